"""A seeded storm over two live roots, with overflows, restarts and kills; at the end the ledger equals the tree.

The seed is printed with a failure. `make nightly` runs the long form.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partialmethod
from pathlib import Path

import pytest

from deepdupe_daemon.config import PathFilter
from deepdupe_daemon.intake.inbox import Inbox
from deepdupe_daemon.intake.settle import identity_of
from deepdupe_daemon.model import FileIdentity
from tests.conftest import Eventually
from tests.intake.conftest import Ground

pytestmark = pytest.mark.soak


class Storm:
    """Random changes to a tree. `places` are the roots and one directory that nobody watches."""

    def __init__(self, rng: random.Random, places: list[Path]) -> None:
        self._rng = rng
        self._places = places
        self._serial = 0
        self.steps = 0
        self.linked: set[int] = (
            set()
        )  # inodes that once had two names: a write through one makes no event for the other

    def step(self) -> None:
        """One change, whatever the tree looks like; one that does not fit is skipped."""
        acts: list[tuple[int, Callable[[], None]]] = [
            (20, self._create), (8, self._append), (8, self._replace), (10, self._rename), (6, self._remove),
            (8, self._make_directory), (5, self._move_directory), (2, self._remove_tree), (4, self._hard_link),
            (3, self._symlink), (3, self._truncate), (2, self._burst), (2, self._copy_tree), (2, self._swap_for_link),
            (1, self._chmod),
        ]  # fmt: skip
        (act,) = self._rng.choices([act for _, act in acts], [weight for weight, _ in acts])
        self.steps += 1
        try:
            act()
        except (FileNotFoundError, FileExistsError, NotADirectoryError, IsADirectoryError, shutil.Error):
            return
        except OSError as error:
            if error.errno not in (22, 39, 40, 18):  # a directory into itself, not empty, a loop, across file systems
                raise

    def _create(self) -> None:
        path = self._directory() / self._name()
        with path.open("wb") as file:
            file.write(self._rng.randbytes(self._rng.choice([0, 1, 100, 5000])))

    def _append(self) -> None:
        with self._file().open("ab") as file:
            file.write(b"more")

    def _replace(self) -> None:
        """Written beside it and renamed over it."""
        path = self._file()
        beside = path.with_name(f".{path.name}.{self._serial:06d}"[-200:])
        beside.write_bytes(self._rng.randbytes(50))
        beside.rename(path)

    def _rename(self) -> None:
        self._file().rename(self._directory() / self._name())

    def _remove(self) -> None:
        self._file().unlink()

    def _make_directory(self) -> None:
        (self._directory() / self._name() / "deeper").mkdir(parents=True)

    def _move_directory(self) -> None:
        source = self._directory()
        if source not in self._places:
            source.rename(self._directory() / self._name())

    def _remove_tree(self) -> None:
        victim = self._directory()
        if victim not in self._places and len(victim.relative_to(self._place_of(victim)).parts) > 1:
            shutil.rmtree(victim)

    def _hard_link(self) -> None:
        source = self._file()
        self.linked.add(source.stat().st_ino)
        os.link(source, self._directory() / self._name())

    def _symlink(self) -> None:
        (self._directory() / self._name()).symlink_to(self._file())

    def _truncate(self) -> None:
        with self._file().open("r+b") as file:  # truncate(2) by name opens and closes nothing: only a walk finds that
            file.truncate(self._rng.randrange(200))

    def _burst(self) -> None:
        folder = self._directory()
        for _ in range(self._rng.randrange(50, 300)):
            (folder / self._name()).touch()

    def _copy_tree(self) -> None:
        source, target = self._directory(), self._directory()
        if source not in self._places and not target.is_relative_to(source) and sum(1 for _ in source.rglob("*")) < 300:
            shutil.copytree(source, target / self._name(), symlinks=True)

    def _swap_for_link(self) -> None:
        """A directory moves away and a link to it takes its name."""
        victim = self._directory()
        if victim not in self._places:
            elsewhere = self._places[-1] / self._name()
            victim.rename(elsewhere)
            victim.symlink_to(elsewhere)

    def _chmod(self) -> None:
        self._file().chmod(self._rng.choice([0o600, 0o644]))

    def _name(self) -> str:
        self._serial += 1
        ending = self._rng.choice([".jpg", ".JPG", "", ".part", "\udcff.png", "\n.gif"])
        return f"{self._rng.choice('abcdefgh')}{self._serial}{ending}"

    def _place_of(self, path: Path) -> Path:
        return next(place for place in self._places if path.is_relative_to(place))

    def _directory(self) -> Path:
        """A random directory, by a random walk from a random place."""
        here = self._rng.choice(self._places)
        while self._rng.random() < 0.75:
            inside = [entry.name for entry in os.scandir(here) if entry.is_dir(follow_symlinks=False)]
            if not inside:
                break
            here = here / self._rng.choice(sorted(inside))
        return here

    def _file(self) -> Path:
        for _ in range(8):
            here = self._directory()
            files = [entry.name for entry in os.scandir(here) if entry.is_file(follow_symlinks=False)]
            if files:
                return here / self._rng.choice(sorted(files))
        raise FileNotFoundError("no file came by")


def on_disk(root: Path) -> dict[bytes, FileIdentity]:
    """Every regular file below `root` that the default filter admits."""
    admits = PathFilter()
    top = os.fsencode(root)
    found = {}
    for folder, folders, files in os.walk(top):
        relative = folder[len(top) + 1 :]
        prefix = relative + b"/" if relative else b""
        folders[:] = [name for name in folders if admits.enters(prefix + name)]
        for name in files:
            status = os.lstat(os.path.join(folder, name))
            if stat.S_ISREG(status.st_mode) and admits.matches_file(prefix + name):
                found[os.path.join(folder, name)] = identity_of(status)
    return found


def in_ledger(ground: Ground, root: Path) -> dict[bytes, FileIdentity]:
    return {path: identity for path, identity, _ in ground.ledger.known_paths(os.fsencode(root))}


def until_equal(ground: Ground, roots: list[Path], eventually: Eventually, *, but_for: set[int]) -> None:
    """Wait until the ledger knows exactly the files of `roots`, and how they are, but for the inodes `but_for`."""

    def same(disk: dict[bytes, FileIdentity], ledger: dict[bytes, FileIdentity]) -> bool:
        return disk.keys() == ledger.keys() and all(
            identity == ledger[path] or identity.ino in but_for for path, identity in disk.items()
        )

    def equal() -> bool:
        return all(same(on_disk(root), in_ledger(ground, root)) for root in roots)

    def differences() -> str:
        lines = []
        for root in roots:
            disk, ledger = on_disk(root), in_ledger(ground, root)
            lines += [f"not in the ledger: {path!r}" for path in sorted(disk.keys() - ledger.keys())[:10]]
            lines += [f"not on the disk: {path!r}" for path in sorted(ledger.keys() - disk.keys())[:10]]
            lines += [
                f"other identity: {path!r}" for path in sorted(disk) if ledger.get(path, disk[path]) != disk[path]
            ][:10]
        return "\n".join(lines)

    try:
        eventually(equal, 60, every_s=0.1)
    except pytest.fail.Exception:
        pytest.fail(differences() or "equal just now, but not in time")


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> Iterator[int]:
    chosen = int(os.environ.get("DEEPDUPE_SOAK_SEED", "20260417"))
    yield chosen
    print(f"seed {chosen}: DEEPDUPE_SOAK_SEED={chosen} repeats it")


def storm_over_a_live_intake(
    ground: Ground, seconds: float, seed: int, eventually: Eventually, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = random.Random(seed)
    other = tmp_path / "other"
    other.mkdir()
    roots = [ground.root, other]
    storm = Storm(rng, [*roots, ground.elsewhere])
    whole_init = Inbox.__init__
    ground.start(*roots)
    rounds = 0
    until_s = ground.clock.monotonic_s() + seconds
    while ground.clock.monotonic_s() < until_s:
        rounds += 1
        for _ in range(rng.randrange(200, 1500)):
            storm.step()
            if rng.random() < 0.005:
                ground.index_all()
            if rng.random() < 0.01:
                ground.clock.wait(ground.never, rng.random() * 0.2)
        if rng.random() < 0.4:
            until_equal(ground, roots, eventually, but_for=storm.linked)
        if rng.random() < 0.3:
            ground.stop()
            for _ in range(rng.randrange(100)):
                storm.step()
            # sometimes an inbox that is much too small, so that events are lost all the time
            most = rng.choice([20, 100_000])
            monkeypatch.setattr(Inbox, "__init__", partialmethod(whole_init, most=most))
            ground.start(*roots, walked=rng.random() < 0.5)
    until_equal(ground, roots, eventually, but_for=storm.linked)
    assert ground.intake is not None
    ground.intake.rescan()
    until_equal(ground, roots, eventually, but_for=set())
    assert "handler-error" not in ground.kinds(), [notice.text for notice in ground.notices]
    assert ground.ledger.damage() == []
    print(f"{storm.steps} steps, {rounds} rounds, {ground.kinds().count('events-lost')} losses")


def storm_over_a_daemon_that_is_killed(
    ground: Ground, seconds: float, seed: int, eventually: Eventually, project_root: Path
) -> None:
    rng = random.Random(seed)
    storm = Storm(rng, [ground.root, ground.elsewhere])
    command = [sys.executable, "-m", "tests.intake.runner", str(ground.root), str(ground.state)]
    until_s = ground.clock.monotonic_s() + seconds
    kills = 0
    while ground.clock.monotonic_s() < until_s:
        child = subprocess.Popen(command, cwd=project_root, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        pause_s = ground.clock.monotonic_s() + 0.3 + rng.random() * 2
        while ground.clock.monotonic_s() < pause_s:
            storm.step()
        child.send_signal(signal.SIGKILL)
        child.communicate()
        kills += 1
    ground.start()
    until_equal(ground, [ground.root], eventually, but_for=set())
    assert ground.ledger.damage() == []
    print(f"{storm.steps} steps, {kills} kills")


def test_a_storm_over_a_live_intake(
    ground: Ground, seed: int, eventually: Eventually, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storm_over_a_live_intake(ground, 12, seed, eventually, tmp_path, monkeypatch)


def test_a_storm_over_a_daemon_that_is_killed(
    ground: Ground, seed: int, eventually: Eventually, project_root: Path
) -> None:
    storm_over_a_daemon_that_is_killed(ground, 8, seed, eventually, project_root)


@pytest.mark.nightly
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("offset", range(10))
def test_the_long_storm(
    ground: Ground, seed: int, offset: int, eventually: Eventually, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storm_over_a_live_intake(ground, 60, seed + offset, eventually, tmp_path, monkeypatch)


@pytest.mark.nightly
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("offset", range(10))
def test_the_long_storm_with_kills(
    ground: Ground, seed: int, offset: int, eventually: Eventually, project_root: Path
) -> None:
    storm_over_a_daemon_that_is_killed(ground, 60, seed + offset, eventually, project_root)
