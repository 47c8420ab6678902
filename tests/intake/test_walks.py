"""The order in which walks get their turns."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from deepdupe_daemon.clock import ManualClock
from deepdupe_daemon.config import IntakeConfig, RootConfig
from deepdupe_daemon.intake.deliveries import Deliveries
from deepdupe_daemon.intake.job import WalkJob, WalkReason
from deepdupe_daemon.intake.lookup import Lookup
from deepdupe_daemon.intake.mounts import MountTable
from deepdupe_daemon.intake.notice import Notice
from deepdupe_daemon.intake.pace import Pace
from deepdupe_daemon.intake.parts import Parts
from deepdupe_daemon.intake.root import Root
from deepdupe_daemon.intake.settle import Settling
from deepdupe_daemon.intake.walks import Walks
from deepdupe_daemon.ledger import Ledger


class Desk:
    """Walks over real folders, driven by hand."""

    def __init__(self, tmp_path: Path, ledger: Ledger, clock: ManualClock) -> None:
        settings = IntakeConfig()
        self.clock = clock
        self.walked: list[WalkJob] = []
        self.notices: list[Notice] = []
        self.roots = []
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            config = RootConfig(path=tmp_path / name)
            self.roots.append(Root(config, settings, MountTable.read(), Pace(3600, 10), watch=False))
        lookup = Lookup()
        self.parts = Parts(
            roots=tuple(self.roots),
            settings=settings,
            clock=clock,
            ledger=ledger,
            lookup=lookup,
            settling=Settling(2.0, 0.2, lstat=lookup.lstat),
            deliveries=Deliveries(ledger, lambda: None),
            watches=None,
            mounts=MountTable.read(),
            tell=self.notices.append,
        )
        self.walks = Walks(self.parts, self.walked.append)

    def run(self) -> None:
        while self.walks.step(self.clock.monotonic_s()):
            pass


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    clock = ManualClock()
    with Ledger.open(tmp_path / "state", clock) as ledger:
        yield Desk(tmp_path, ledger, clock)


def test_a_root_that_waits_is_not_queued_twice(desk: Desk) -> None:
    for _ in range(5):
        desk.walks.root(desk.roots[0], WalkReason.INTERVAL)
    desk.run()
    assert [job.reason for job in desk.walked] == [WalkReason.INTERVAL]
    assert desk.walks.idle


def test_the_reason_that_is_told_wins(desk: Desk) -> None:
    desk.walks.root(desk.roots[0], WalkReason.INTERVAL)
    desk.walks.root(desk.roots[0], WalkReason.ASKED)
    desk.walks.root(desk.roots[0], WalkReason.INTERVAL)
    desk.run()
    assert [job.reason for job in desk.walked] == [WalkReason.ASKED]
    assert [str(notice.kind) for notice in desk.notices] == ["rescan-done"]


def test_a_walk_asked_for_while_one_runs_is_made_after_it(desk: Desk) -> None:
    """The one that runs may have passed the place already."""
    desk.walks.root(desk.roots[0], WalkReason.INTERVAL)
    desk.walks.step(0.0)
    desk.walks.root(desk.roots[0], WalkReason.ASKED)
    desk.run()
    assert [job.reason for job in desk.walked] == [WalkReason.INTERVAL, WalkReason.ASKED]


def test_errands_and_new_directories_go_before_whole_roots(desk: Desk) -> None:
    order: list[str] = []

    def errand() -> Iterator[None]:
        order.append("errand")
        yield

    for index in range(3):
        (Path(os.fsdecode(desk.roots[1].path)) / f"d{index}").mkdir()
    desk.walks.root(desk.roots[0], WalkReason.INTERVAL)
    desk.walks.step(0.0)
    desk.walks.directory(desk.roots[1], desk.roots[1].path + b"/d1")
    desk.walks.errand(errand())
    assert desk.walks.looking
    desk.walks.step(0.0)
    assert order == ["errand"]
    while desk.walks.looking:
        desk.walks.step(0.0)
    assert desk.walked == []
    desk.run()
    assert len(desk.walked) == 1


def test_a_new_directory_below_one_that_waits_is_met_on_the_way(desk: Desk) -> None:
    root = desk.roots[0]
    desk.walks.directory(root, root.path + b"/a")
    for path in (b"/a/b", b"/a/b/c", b"/a"):
        desk.walks.directory(root, root.path + path)
    assert len(desk.walks._new) == 1
    desk.walks.directory(root, root.path + b"/ab")
    assert len(desk.walks._new) == 2


def test_a_walk_that_pauses_lets_others_go_on_and_comes_back(desk: Desk) -> None:
    order: list[str] = []

    def pausing() -> Iterator[float | None]:
        order.append("begun")
        yield 5.0
        order.append("ended")

    desk.walks.errand(pausing())
    desk.run()
    assert (order, desk.walks.ready, desk.walks.idle, desk.walks.next_due_s()) == (["begun"], False, False, 5.0)
    desk.walks.root(desk.roots[0], WalkReason.INTERVAL)
    desk.run()
    assert len(desk.walked) == 1
    desk.clock.advance(5.0)
    desk.run()
    assert order == ["begun", "ended"]
    assert desk.walks.idle


def test_closing_gives_up_open_directories(desk: Desk) -> None:
    top = Path(os.fsdecode(desk.roots[0].path))
    for index in range(200):
        (top / f"d{index}").mkdir()
    before = len(os.listdir("/proc/self/fd"))
    desk.walks.root(desk.roots[0], WalkReason.INTERVAL)
    desk.walks.step(0.0)
    assert len(os.listdir("/proc/self/fd")) > before
    desk.walks.close()
    assert len(os.listdir("/proc/self/fd")) == before
