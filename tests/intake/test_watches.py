"""Which directory a descriptor stands for, as directories come, move and go."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from deepdupe_daemon.config import IntakeConfig, RootConfig
from deepdupe_daemon.intake.inbox import Inbox
from deepdupe_daemon.intake.mounts import MountTable
from deepdupe_daemon.intake.observer import Observer
from deepdupe_daemon.intake.pace import Pace
from deepdupe_daemon.intake.root import Root
from deepdupe_daemon.intake.watches import WatchMap


class Watcher:
    """A watch map over a real observer, and one root."""

    def __init__(self, observer: Observer, folder: Path) -> None:
        self.observer = observer
        self.map = WatchMap(observer)
        self.folder = folder
        self.root = Root(RootConfig(path=folder), IntakeConfig(), MountTable.read(), Pace(1, 1), watch=True)

    def path(self, name: str) -> bytes:
        return os.fsencode(self.folder / name) if name else os.fsencode(self.folder)

    def watch(self, name: str) -> bool:
        """Watch a directory, made where it is not there; says whether that was new."""
        (self.folder / name).mkdir(exist_ok=True)
        fd = os.open(self.folder / name, os.O_RDONLY)
        try:
            return self.map.watch(self.root, self.path(name), fd, os.fstat(fd))
        finally:
            os.close(fd)

    def wd(self, name: str) -> int:
        watched = self.map.at(self.path(name))
        assert watched is not None
        assert self.map.of(watched.wd) is watched
        return watched.wd


@pytest.fixture
def watcher(tmp_path: Path) -> Iterator[Watcher]:
    observer = Observer(Inbox(threading.Event()))
    yield Watcher(observer, tmp_path)
    observer.close()


def test_a_directory_is_watched_once(watcher: Watcher) -> None:
    assert watcher.watch("")
    assert watcher.watch("a")
    assert not watcher.watch("a")
    assert len(watcher.map) == 2


def test_forgetting_takes_everything_below_along(watcher: Watcher) -> None:
    for name in ("", "a", "a/b", "a/b/c", "ab"):
        watcher.watch(name)
    wd = watcher.wd("a/b/c")
    assert watcher.map.forget(watcher.path("a")) == 3
    assert watcher.map.of(wd) is None
    assert watcher.map.at(watcher.path("ab")) is not None
    assert watcher.map.forget(watcher.path("a")) == 0
    assert len(watcher.map) == 2


def test_a_directory_that_moved_is_watched_under_its_new_path_alone(watcher: Watcher) -> None:
    for name in ("", "a", "a/x"):
        watcher.watch(name)
    old = watcher.wd("a")
    (watcher.folder / "a").rename(watcher.folder / "b")
    assert watcher.watch("b")
    assert watcher.watch("b/x")
    assert watcher.map.at(watcher.path("a")) is None
    assert watcher.map.of(old) is None
    assert watcher.map.forget(watcher.path("b")) == 2
    assert len(watcher.map) == 1


def test_another_directory_under_the_same_path_is_watched_instead(watcher: Watcher) -> None:
    for name in ("", "a", "a/x"):
        watcher.watch(name)
    (watcher.folder / "a").rename(watcher.folder / "away")
    assert watcher.watch("a")
    assert len(watcher.map) == 2
    assert watcher.map.at(watcher.path("a/x")) is None


def test_a_parent_watched_anew_takes_its_children_back(watcher: Watcher) -> None:
    for name in ("", "a", "a/x"):
        watcher.watch(name)
    ended = watcher.wd("a")
    watcher.observer.unwatch([ended])  # as the kernel would
    watcher.map.ignored(ended)
    assert len(watcher.map) == 2
    watcher.watch("a")
    watcher.watch("a/x")
    assert watcher.map.forget(watcher.path("a")) == 2


def test_an_ended_watch_is_forgotten_even_if_its_path_has_another_by_now(watcher: Watcher) -> None:
    watcher.watch("")
    watcher.watch("a")
    old = watcher.wd("a")
    (watcher.folder / "a").rename(watcher.folder / "away")
    watcher.watch("a")
    assert watcher.map.ignored(old) is None
    assert watcher.wd("a") != old
    assert watcher.map.ignored(12345) is None
