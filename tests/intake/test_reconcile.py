"""A walk held against the ledger, and nothing else: real tree, real ledger."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from deepdupe_daemon.clock import ManualClock
from deepdupe_daemon.config import IntakeConfig, RootConfig
from deepdupe_daemon.intake.mounts import MountTable
from deepdupe_daemon.intake.pace import Pace
from deepdupe_daemon.intake.reconcile import Reconciliation
from deepdupe_daemon.intake.removals import Removals
from deepdupe_daemon.intake.root import Root
from deepdupe_daemon.intake.settle import identity_of
from deepdupe_daemon.ledger import Ledger
from deepdupe_daemon.model import Arrival, FileIdentity, FileKey


class Bench:
    """A root on disk, a ledger, and what a walk takes."""

    def __init__(self, folder: Path, ledger: Ledger) -> None:
        self.folder = folder
        self.ledger = ledger
        self.root = Root(RootConfig(path=folder), IntakeConfig(), MountTable.read(), Pace(3600, 10), watch=False)
        self.top = os.fsencode(folder)

    def make(self, *names: str) -> None:
        for name in names:
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"x")

    def know(self, *names: str, dev: int = 0) -> None:
        """The ledger knows these as they are on disk (or as some file, where they are not)."""
        batch = []
        for name in names:
            path = self.top + b"/" + os.fsencode(name)
            identity = identity_of(os.lstat(path)) if os.path.lexists(path) else FileIdentity(7, len(batch) + 1, 2, 3)
            identity = FileIdentity(identity.dev + dev, identity.ino, identity.size, identity.mtime_ns)
            batch.append(Arrival(FileKey(path, identity), self.top, live=False))
        self.ledger.note_arrivals(batch)
        for row in self.ledger.take_pending(1000, after=()):
            self.ledger.record_ignored(row.file_id, row.key, "not an image")

    def walk(self, start: str = "", **options: bool) -> tuple[list[str], list[str], Reconciliation]:
        """What was taken and what was missing, relative to the root."""
        taken: list[str] = []
        comparison = Reconciliation(
            self.root,
            self.ledger,
            lambda path, status: taken.append(os.fsdecode(path[len(self.top) + 1 :])),
            Removals(self.top, takes=self.root.takes),
            start=self.top + (b"/" + os.fsencode(start) if start else b""),
            on_directory=None,
            filter_changed=options.get("filter_changed", False),
            most_missing=options.get("most_missing", 1000),
        )
        for _ in comparison.steps():
            pass
        return taken, [os.fsdecode(path[len(self.top) + 1 :]) for path, _ in comparison.missing], comparison


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    (tmp_path / "root").mkdir()
    with Ledger.open(tmp_path / "state", ManualClock()) as ledger:
        yield Bench(tmp_path / "root", ledger)


def test_new_known_changed_and_missing(bench: Bench) -> None:
    bench.make("a/1", "a/2", "a.x", "b", "zz/9")
    bench.know("a/1", "a/2", "b", "a/gone", "gone", "zzz")
    (bench.folder / "b").write_bytes(b"other bytes")
    taken, missing, comparison = bench.walk()
    assert taken == ["a.x", "b", "zz/9"]
    assert missing == ["a/gone", "gone", "zzz"]
    assert (comparison.walk.files, comparison.known, comparison.taken) == (5, 6, 3)
    assert not comparison.nothing_there


def test_a_subtree_is_compared_with_what_is_known_below_it_alone(bench: Bench) -> None:
    bench.make("a/1", "b/2")
    bench.know("a/gone", "b/gone", "a-gone", "a0")
    taken, missing, _ = bench.walk("a")
    assert (taken, missing) == (["a/1"], ["a/gone"])


def test_a_subtree_that_is_gone_is_missing_whole(bench: Bench) -> None:
    bench.know("a/1", "a/b/2", "c")
    taken, missing, comparison = bench.walk("a")
    assert (taken, missing) == ([], ["a/1", "a/b/2"])
    assert not comparison.walk.started


def test_an_empty_root_is_known_as_such(bench: Bench) -> None:
    assert bench.walk()[2].nothing_there
    (bench.folder / "d").mkdir()
    assert not bench.walk()[2].nothing_there


def test_a_new_device_number_is_no_change(bench: Bench) -> None:
    bench.make("a", "b")
    bench.know("a", "b", dev=1)
    taken, missing, _ = bench.walk()
    assert (taken, missing) == ([], [])


def test_a_new_device_number_is_a_change_for_a_file_that_waits_to_be_seen(bench: Bench) -> None:
    """Its reader would find another identity than the row has, and give up."""
    bench.make("a")
    identity = identity_of(os.lstat(bench.folder / "a"))
    other = FileIdentity(identity.dev + 1, identity.ino, identity.size, identity.mtime_ns)
    bench.ledger.note_arrivals([Arrival(FileKey(bench.top + b"/a", other), bench.top, live=False)])
    assert bench.walk()[0] == ["a"]


def test_another_inode_with_the_same_size_and_mtime_is_a_change_on_a_local_disk(bench: Bench) -> None:
    bench.make("a")
    bench.know("a")
    before = (bench.folder / "a").stat()
    (bench.folder / "b").write_bytes(b"y")
    os.utime(bench.folder / "b", ns=(before.st_atime_ns, before.st_mtime_ns))
    (bench.folder / "b").rename(bench.folder / "a")
    assert bench.walk()[0] == ["a"]


def test_another_inode_is_no_change_where_inode_numbers_do_not_last(bench: Bench) -> None:
    """FUSE and some network file systems number anew at every mount."""
    bench.make("a")
    identity = identity_of(os.lstat(bench.folder / "a"))
    bench.root.remote_devices = frozenset({identity.dev})
    other = FileIdentity(identity.dev + 1, identity.ino + 1, identity.size, identity.mtime_ns)
    bench.ledger.note_arrivals([Arrival(FileKey(bench.top + b"/a", other), bench.top, live=False)])
    (row,) = bench.ledger.take_pending(1, after=())
    bench.ledger.record_ignored(row.file_id, row.key, "not an image")
    assert bench.walk()[0] == []


def test_excluded_files_are_not_taken_and_known_ones_are_missing_when_the_filter_is_new(bench: Bench) -> None:
    bench.make("a.part", "b", "@eaDir/c")
    bench.know("a.part", "b", "@eaDir/c")
    assert bench.walk()[:2] == ([], ["@eaDir/c"])
    assert bench.walk(filter_changed=True)[:2] == ([], ["@eaDir/c", "a.part"])


def test_more_missing_files_than_are_kept_in_mind_are_said(bench: Bench) -> None:
    bench.make("zz")
    bench.know(*(f"{index:04d}" for index in range(50)))
    _, missing, comparison = bench.walk(most_missing=20)
    assert len(missing) == 20
    assert comparison.more_missing


def test_names_of_any_bytes_are_merged_in_order(bench: Bench) -> None:
    names = ["a", "a\udcff", "a\n", "ä", "a/b", "a.b", "a-", "\udcfe/x", "Z", "a0"]
    for name in names:
        if name != "a":
            bench.make(name)
    bench.know(*(name for name in names if name != "a"))
    assert bench.walk()[:2] == ([], [])


def test_rows_that_appear_while_the_walk_runs_do_no_harm(bench: Bench) -> None:
    bench.make(*(f"d{index:02d}/{name}" for index in range(70) for name in range(20)))
    taken: list[bytes] = []
    comparison = Reconciliation(
        bench.root,
        bench.ledger,
        lambda path, status: taken.append(path),
        Removals(bench.top, takes=bench.root.takes),
        start=bench.top,
        on_directory=None,
        filter_changed=False,
    )
    steps = comparison.steps()
    next(steps)
    bench.know("d69/19", "d00/0")
    for _ in steps:
        pass
    assert comparison.missing == []
    assert len(taken) in (1399, 1400)
