"""A seeded storm over the whole service, with overflows of the kernel's queue and SIGKILLs.

At the end the ledger equals the tree, every planted duplicate is reported, and no bytes were embedded twice.
`DEEPDUPE_SOAK_SEED` repeats a run; `make nightly` runs the long form, whose length is `DEEPDUPE_SOAK_S` (20 minutes).
"""

from __future__ import annotations

import hashlib
import io
import os
import random
import signal
import stat
import subprocess
import sys
import threading
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest

from deepdupe_daemon.clock import SystemClock
from deepdupe_daemon.ledger import Ledger
from deepdupe_daemon.model import FileState
from tests.benchmarks.processes import family
from tests.conftest import Eventually
from tests.service.pictures import photo
from tests.soak.storm import Storm, on_disk

pytestmark = [pytest.mark.soak, pytest.mark.timeout(3600)]

PICTURES = 24
SIZE = (192, 144)
MOST_FILES = 1500
#: of the kernel; a little more than that and events are dropped
QUEUE = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
AT_REST = {FileState.INDEXED, FileState.IGNORED, FileState.FAILED}


class Pictures:
    """Each picture as five files' worth of bytes: two encodings of the same pixels, and three re-encodings."""

    def __init__(self) -> None:
        self.variants: list[list[bytes]] = []
        self.number_of: dict[bytes, int] = {}
        for number in range(PICTURES):
            original = photo(number, SIZE)
            made = [encode(original, "PNG", compress_level=1), encode(original, "PNG", compress_level=6)]
            made += [encode(original, "JPEG", quality=quality) for quality in (92, 88, 80)]
            self.variants.append(made)
            self.number_of |= {hashlib.sha256(data).digest(): number for data in made}


def encode(picture: object, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **options)  # type: ignore[attr-defined] # a PIL image
    return out.getvalue()


class PhotoStorm(Storm):
    """A storm that plants copies of pictures as well, and keeps the tree small enough to be compared."""

    def __init__(self, rng: random.Random, places: list[Path], pictures: Pictures) -> None:
        super().__init__(rng, places)
        self._pictures = pictures

    def acts(self) -> list[tuple[int, Callable[[], None]]]:
        return [*super().acts(), (24, self._plant), (4, self._plant_by_rename)]

    def _plant(self) -> None:
        (self._directory() / self._name()).write_bytes(self._picture())

    def _plant_by_rename(self) -> None:
        folder, name = self._directory(), self._name()
        beside = folder / f".{name}.part"
        beside.write_bytes(self._picture())
        beside.rename(folder / name)

    def _picture(self) -> bytes:
        return self._rng.choice(self._rng.choice(self._pictures.variants))

    def prune(self) -> None:
        """Remove files at random until `MOST_FILES` are left."""
        files = [Path(folder) / name for place in self._places for folder, _, names in os.walk(place) for name in names]
        for path in self._rng.sample(files, max(0, len(files) - MOST_FILES)):
            path.unlink(missing_ok=True)


class Life:
    """One run of the service."""

    def __init__(self, root: Path, state: Path, log: Path, said: Path, project_root: Path) -> None:
        self._said = said.open("ab")
        self._path = said
        self._from = said.stat().st_size
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.soak.counting_daemon", str(root), str(state), str(log)],
            stdin=subprocess.DEVNULL,
            stdout=self._said,
            stderr=self._said,
            cwd=project_root,
            start_new_session=True,
        )

    @property
    def ready(self) -> bool:
        with self._path.open("rb") as file:
            file.seek(self._from)
            return b'"kind": "ready"' in file.read()

    def deafen(self, work: Callable[[], None]) -> None:
        """Do `work` while the service is stopped, so that what happens piles up in the kernel's queue."""
        os.kill(self.process.pid, signal.SIGSTOP)
        try:
            work()
        finally:
            os.kill(self.process.pid, signal.SIGCONT)

    def kill(self, *, whole_group: bool) -> None:
        assert self.process.poll() is None, self.last_words()
        if whole_group:
            os.killpg(self.process.pid, signal.SIGKILL)
        else:
            self.process.kill()
        self.process.wait()
        self._said.close()

    def end(self) -> int:
        self.process.terminate()
        code = self.process.wait(120)
        self._said.close()
        return code

    def clear(self) -> None:
        if self.process.poll() is None:
            for pid in family(self.process.pid):
                os.kill(pid, signal.SIGKILL)
            self.process.wait()
        self._said.close()

    def last_words(self) -> str:
        return self._path.read_text(errors="replace")[-3000:]


def storm_over_the_service(
    seconds: float, seed: int, tmp_path: Path, project_root: Path, eventually: Eventually
) -> None:
    clock, never = SystemClock(), threading.Event()
    rng = random.Random(seed)
    root, elsewhere, state, log = (tmp_path / name for name in ("root", "elsewhere", "state", "embedded"))
    root.mkdir()
    elsewhere.mkdir()
    log.touch()
    pictures = Pictures()
    storm = PhotoStorm(rng, [root, elsewhere], pictures)
    lives: list[Life] = []
    kills = overflows = 0

    def start() -> Life:
        lives.append(Life(root, state, log, tmp_path / "said", project_root))
        return lives[-1]

    def until_ready(life: Life) -> None:
        eventually(lambda: life.ready or life.process.poll() is not None, 120, every_s=0.05)

    def more_events_than_the_queue_holds() -> None:
        targets = [root / "flood-a", root / "flood-b"]  # in turn: an event equal to the last one is not queued again
        for index in range(QUEUE + 500):
            os.close(os.open(targets[index % 2], os.O_WRONLY | os.O_CREAT))
        for _ in range(100):
            storm.step()

    def blow(for_s: float) -> None:
        until_s = clock.monotonic_s() + for_s
        while clock.monotonic_s() < until_s:
            storm.step()
            if rng.random() < 0.05:
                clock.wait(never, rng.random() * 0.1)

    until_s = clock.monotonic_s() + seconds
    try:
        while clock.monotonic_s() < until_s:
            life = start()
            if rng.random() < 0.7:
                blow(rng.random() * 2)
                until_ready(life)
            blow(rng.random() * 6)
            if life.ready and QUEUE <= 100_000 and rng.random() < 0.4:
                life.deafen(more_events_than_the_queue_holds)
                overflows += 1
                blow(rng.random() * 3)
            storm.prune()
            life.kill(whole_group=rng.random() < 0.5)
            kills += 1
            if rng.random() < 0.5:
                blow(rng.random())
        last = start()
        until_ready(last)
        ask_for_a_walk(state, project_root)  # a write through one name of a hard link is heard of by walks alone
        until_at_rest(root, state, eventually)
        assert last.end() == 0, last.last_words()
    finally:
        for life in lives:
            life.clear()
    said = (tmp_path / "said").read_text(errors="replace")
    assert '"kind": "fatal"' not in said
    assert '"kind": "handler-error"' not in said
    losses = said.count('"kind": "events-lost"')
    check_the_end(root, state, log, pictures)
    print(
        f"{storm.steps} steps, {kills} kills, {overflows} overflows, {losses} told losses, {len(on_disk(root))} files"
    )


def ask_for_a_walk(state: Path, project_root: Path) -> None:
    command = [sys.executable, "-m", "deepdupe_daemon", "rescan", "--state-dir", str(state)]
    subprocess.run(command, cwd=project_root, check=True, stdout=subprocess.DEVNULL)


def until_at_rest(root: Path, state: Path, eventually: Eventually) -> None:
    """The ledger knows exactly the files of the tree, as they are, and nothing waits; retries ahead do not count."""

    def differences() -> list[str]:
        disk = on_disk(root)
        with Ledger.open(state, SystemClock(), readonly=True) as ledger:
            known = {path: (identity, kind) for path, identity, kind in ledger.known_paths(os.fsencode(root))}
            waits = ledger.unalerted(1) != []
            away = {row.key.path for row in ledger.failed(10_000) if row.error_kind == "vanished"}
        found = [f"not in the ledger: {path!r}" for path in sorted(disk.keys() - known.keys())]
        found += [f"not on the disk: {path!r}" for path in sorted(known.keys() - disk.keys())]
        for path in sorted(disk.keys() & known.keys()):
            identity, kind = known[path]
            if identity != disk[path]:
                found.append(f"other identity: {path!r}")
            elif path in away:  # renamed away and back while it was read: it is tried again
                found.append(f"waits for its next try: {path!r}")
            elif kind not in AT_REST:
                found.append(f"{kind}: {path!r}")
        return found + ["not every verdict was told"] * waits

    last: list[str] = ["not looked at"]

    def at_rest() -> bool:
        last[:] = differences()
        return not last

    try:
        eventually(at_rest, 300, every_s=1.0)
    except pytest.fail.Exception:
        pytest.fail("\n".join(last[:20]))


def check_the_end(root: Path, state: Path, log: Path, pictures: Pictures) -> None:
    number_of: dict[bytes, int] = {}  # planted files that are there, by path
    for path, identity in on_disk(root).items():
        if identity.size and stat.S_ISREG(os.lstat(path).st_mode):
            with open(path, "rb") as file:
                number = pictures.number_of.get(hashlib.sha256(file.read()).digest())
            if number is not None:
                number_of[path] = number
    groups: dict[int, set[bytes]] = defaultdict(set)
    for path, number in number_of.items():
        groups[number].add(path)
    with Ledger.open(state, SystemClock()) as ledger:
        assert ledger.damage() == []
        judged = {
            row.duplicate_now: row.keeper_now
            for row in ledger.duplicates()
            if row.verdict.verdict_class.proven and row.duplicate_now is not None
        }
        for path in number_of:
            row = ledger.file_by_path(path)
            assert row is not None
            assert row.state is FileState.INDEXED, (path, row.state, row.error)
        for number, paths in groups.items():
            kept = sorted(paths - judged.keys())
            assert len(kept) <= 1, f"picture {number}: {len(paths)} files, and these are nobody's duplicates: {kept}"
        strangers = [
            (duplicate, keeper)
            for duplicate, keeper in judged.items()
            if duplicate in number_of and keeper in number_of and number_of[duplicate] != number_of[keeper]
        ]
        assert strangers == [], "two pictures were taken for one"
        for space in ledger.spaces():
            ids = [int(i) for chunk, _ in ledger.vectors(space.name) for i in chunk]
            assert len(ids) == len(set(ids))
    embedded = Counter(log.read_text().split())
    twice = {digest: count for digest, count in embedded.items() if count > 1}
    assert twice == {}, "embedded twice"
    assert len(embedded) > PICTURES, "the storm planted hardly anything"


def test_a_storm_over_the_service_with_kills(
    seed: int, tmp_path: Path, project_root: Path, eventually: Eventually
) -> None:
    storm_over_the_service(30, seed, tmp_path, project_root, eventually)


@pytest.mark.nightly
def test_the_long_storm_over_the_service(seed: int, tmp_path: Path, project_root: Path, eventually: Eventually) -> None:
    seconds = float(os.environ.get("DEEPDUPE_SOAK_S", "1200"))
    storm_over_the_service(seconds, seed + 1, tmp_path, project_root, eventually)
