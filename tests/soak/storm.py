"""Random changes to a tree, the same for the same seed; and what the tree holds at the end."""

from __future__ import annotations

import os
import random
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

from deepdupe_daemon.config import PathFilter
from deepdupe_daemon.intake.settle import identity_of
from deepdupe_daemon.model import FileIdentity

__all__ = ["Storm", "on_disk"]


class Storm:
    """Random changes to a tree. `places` are the roots and one directory that nobody watches."""

    def __init__(self, rng: random.Random, places: list[Path]) -> None:
        self._rng = rng
        self._places = places
        self._serial = 0
        self._acts = self.acts()
        self.steps = 0
        # inodes that once had two names: a write through one makes no event for the other
        self.linked: set[int] = set()

    def step(self) -> None:
        """One change, whatever the tree looks like; one that does not fit is skipped."""
        (act,) = self._rng.choices([act for _, act in self._acts], [weight for weight, _ in self._acts])
        self.steps += 1
        try:
            act()
        except (FileNotFoundError, FileExistsError, NotADirectoryError, IsADirectoryError, shutil.Error):
            return
        except OSError as error:
            if error.errno not in (22, 39, 40, 18):  # a directory into itself, not empty, a loop, across file systems
                raise

    def acts(self) -> list[tuple[int, Callable[[], None]]]:
        """What may happen, with its weight."""
        return [
            (20, self._create), (8, self._append), (8, self._replace), (10, self._rename), (6, self._remove),
            (8, self._make_directory), (5, self._move_directory), (2, self._remove_tree), (4, self._hard_link),
            (3, self._symlink), (3, self._truncate), (2, self._burst), (2, self._copy_tree), (2, self._swap_for_link),
            (1, self._chmod),
        ]  # fmt: skip

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
