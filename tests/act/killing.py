"""Kills moves and restores with SIGKILL at every step, starts again, and looks at what lies where.

    python -m tests.act.killing FOLDER {same|OTHER_DISK} {move|restore|purge} BUNDLE_FILES EVERY [DOUBLE_SEED]

A step is a line of the protocol's own code (`act/` and `ledger/`): the process is killed before the n-th line that it
runs, for n = 1, 1 + EVERY, and so on, until it comes to its end unharmed. With DOUBLE_SEED recovery is killed as well,
at a line drawn at random, before it runs to its end. Each attempt is a process of its own, forked from this one.
OTHER_DISK is a folder on another file system, where quarantine lies then. Prints one JSON object: the kills, and what
was found wrong.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

import deepdupe_daemon
from deepdupe_daemon.act import Problem
from deepdupe_daemon.ledger import ActionRow, ActionState
from deepdupe_daemon.model import VerdictClass
from tests.act.ground import Ground, Likeness, likeness, tree

_PACKAGE = os.path.dirname(deepdupe_daemon.__file__)
_ROOMS = (os.path.join(_PACKAGE, "act"), os.path.join(_PACKAGE, "ledger"))
_RESTING = {
    "move": (ActionState.QUARANTINED, ActionState.ABANDONED),
    "restore": (ActionState.QUARANTINED, ActionState.RESTORED),
    "purge": (ActionState.QUARANTINED, ActionState.PURGED),
}


class Scene:
    """One bundle, its keeper, and its quarantine. Made anew for each kill."""

    def __init__(self, folder: Path, *, disk: Path | None, files: int) -> None:
        self.folder = folder
        self._place = os.fsencode(disk / "quarantine") if disk is not None else None
        for at in (folder / "photos", folder / "state", self._place):
            if at is not None:
                shutil.rmtree(at, ignore_errors=True)
        ground = self.open()
        keeper = ground.file("kept/kept.jpg", b"the picture" * 2000)
        names = [b"IMG_1.jpg", b"IMG_1.xmp", b"IMG_1.\xff\nmov"][:files]
        rows = [ground.file(b"new/" + name, name * 3000) for name in names]
        for number, row in enumerate(rows):
            path = row.key.path
            os.setxattr(path, "user.number", str(number).encode())
            os.chmod(path, 0o640 - number)
            with suppress(PermissionError):
                os.chown(path, 1000 + number, 2000 + number)
            os.utime(path, ns=(1_600_000_000_123_456_789, 1_700_000_000_987_654_321 + number))
        rows = [ground.see(row.key.path) for row in rows]
        self.verdict = ground.judge(rows[0], keeper, VerdictClass.RE_ENCODED)
        self.members = [row.key.path for row in rows]
        self.keeper = keeper.key.path
        self.before = {path: likeness(path) for path in [*self.members, self.keeper]}
        ground.close()

    def open(self) -> Ground:
        ground = Ground(self.folder)
        if self._place is not None:
            ground.place = self._place
        return ground

    def move(self) -> None:
        ground = self.open()
        ground.move(self.verdict, companions=self.members[1:])
        ground.close()

    def restore(self) -> None:
        ground = self.open()
        ground.quarantine.restore(1)
        ground.close()

    def purge(self) -> None:
        ground = self.open()
        ground.quarantine.purge(1)
        ground.close()

    def recover(self) -> None:
        ground = self.open()
        ground.quarantine.recover()
        ground.close()

    # -- what must be true after a restart -------------------------------------------------------------------------

    def before_restart(self) -> list[str]:
        """At every instant: each file is somewhere, whole."""
        lying = [likeness(path)[0] for path in tree(*self._places())]
        return [f"lost before restart: {path!r}" for path in self.before if self.before[path][0] not in lying]

    def after_restart(self, doing: str) -> list[str]:
        ground = self.open()
        rows = list(ground.ledger.actions())
        wrong = [f"{doing}: {len(rows)} actions"] if len(rows) > 1 else []
        if not rows:
            wrong += self._all_in_place()
        for row in rows:
            if row.state not in _RESTING[doing]:
                wrong.append(f"state {row.state}")
            elif row.state is ActionState.QUARANTINED:
                wrong += self._all_in_quarantine(ground, row)
            elif row.state is ActionState.PURGED:
                wrong += self._all_purged()
            else:
                wrong += self._all_in_place()
        if not os.path.exists(self.keeper) or likeness(self.keeper) != self.before[self.keeper]:
            wrong.append("the keeper was touched")
        wrong += ground.ledger.damage()
        ground.close()
        return wrong

    def _all_in_place(self) -> list[str]:
        wrong = [f"missing: {path!r}" for path in self.before if not os.path.lexists(path)]
        wrong += [f"altered: {p!r}" for p in self.before if os.path.lexists(p) and likeness(p) != self.before[p]]
        wrong += [f"left over: {path!r}" for path in tree(*self._places()) - set(self.before)]
        return wrong + self._leftovers()

    def _all_purged(self) -> list[str]:
        return [f"left over: {path!r}" for path in tree(*self._places()) - {self.keeper}] + self._leftovers()

    def _leftovers(self) -> list[str]:
        """Folders of ours that ought to be gone."""
        found = []
        for place in self._places():
            for at, folders, files in os.walk(place):
                if b".deepdupe-quarantine." in at or b"manifest.json" in files:
                    found.append(f"left over: {at!r}")
                if os.path.basename(at) in (b".deepdupe-quarantine", b"quarantine") and folders:
                    found.append(f"left over: {folders!r}")
        return found

    def _all_in_quarantine(self, ground: Ground, row: ActionRow) -> list[str]:
        stored = [ground.stored(row, position) for position in range(len(self.members))]
        expected = {*stored, self.keeper}
        wrong = [f"not where it should be: {path!r}" for path in tree(*self._places()) ^ expected]
        kept: list[Likeness] = [likeness(path) for path in stored if os.path.lexists(path)]
        wrong += [] if kept == [self.before[path] for path in self.members] else ["altered in quarantine"]
        findings = [finding for finding in ground.quarantine.verify() if finding.problem is not None]
        wrong += [f"verify: {finding.problem} {finding.detail}" for finding in findings]
        assert Problem.OPEN not in [finding.problem for finding in findings]
        return wrong + [f"aside: {at!r}" for at in self._asides()]

    def _asides(self) -> list[bytes]:
        return [at for place in self._places() for at, _, _ in os.walk(place) if b".deepdupe-quarantine." in at]

    def _places(self) -> list[bytes]:
        places = [os.fsencode(self.folder / "photos")]
        return places + ([self._place] if self._place is not None else [])


def run_child(doing: Callable[[], None], kill_at: int | None) -> tuple[str, int]:
    """Run in a forked process that is killed before its n-th line: ("killed" or "done" or what it died of, lines)."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read)
        try:
            lines = _traced(doing, kill_at)
            os.write(write, json.dumps(["done", lines]).encode())
        except BaseException as error:  # noqa: BLE001 - told to the parent
            os.write(write, json.dumps([repr(error), 0]).encode())
        finally:
            os._exit(0)
    os.close(write)
    with open(read, "rb") as pipe:
        said = pipe.read()
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return "killed", kill_at or 0
    words, lines = json.loads(said) if said else ["died", 0]
    return words, lines


def _traced(doing: Callable[[], None], kill_at: int | None) -> int:
    lines = 0

    def on_line(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal lines
        if event == "line":
            lines += 1
            if lines == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
        return on_line

    def on_call(frame: FrameType, event: str, _: Any) -> Any:
        return on_line if frame.f_code.co_filename.startswith(_ROOMS) else None

    sys.settrace(on_call)
    try:
        doing()
    finally:
        sys.settrace(None)
    return lines


def rounds(
    folder: Path, *, disk: Path | None, doing: str, files: int, every: int, double_seed: int | None
) -> dict[str, Any]:
    """Kill at every `every`-th line until one run comes to its end; then say what was found."""
    choose = random.Random(double_seed)
    kills, wrong, at = 0, list[str](), 1
    while True:
        scene = Scene(folder, disk=disk, files=files)
        if doing != "move":
            scene.move()
        ended, _ = run_child(getattr(scene, doing), at)
        if ended == "killed":
            kills += 1
            if doing != "purge":
                wrong += [f"{at}: {what}" for what in scene.before_restart()]
            if double_seed is not None and run_child(scene.recover, choose.randint(1, 900))[0] == "killed":
                kills += 1
        elif ended != "done":
            wrong.append(f"{at}: {ended}")
        recovered, _ = run_child(scene.recover, None)
        wrong += [f"{at}: recovery: {recovered}"] if recovered != "done" else []
        wrong += [f"{at}: {what}" for what in scene.after_restart(doing)]
        if ended != "killed":
            return {"kills": kills, "steps": at, "wrong": wrong}
        at += every


def main(folder: str, where: str, doing: str, files: str, every: str, double_seed: str = "") -> None:
    found = rounds(
        Path(folder),
        disk=None if where == "same" else Path(where),
        doing=doing,
        files=int(files),
        every=int(every),
        double_seed=int(double_seed) if double_seed else None,
    )
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
