"""A root that goes away is an outage, not mass deletion; one that comes back is armed and walked."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Literal

import pytest

from deepdupe_daemon.config import IntakeConfig, RootConfig
from deepdupe_daemon.intake.mounts import MountTable
from deepdupe_daemon.intake.pace import Pace
from deepdupe_daemon.intake.root import Root
from deepdupe_daemon.model import FileState
from tests.intake.conftest import Ground

SOME = [f"d{index % 4}/{index}.jpg" for index in range(50)]


def plant(ground: Ground) -> None:
    for name in SOME:
        (ground.root / name).parent.mkdir(exist_ok=True)
        (ground.root / name).write_bytes(name.encode())
    ground.start()
    ground.until_known(*SOME)
    ground.index_all()


def is_offline(ground: Ground) -> bool:
    return bool(ground.status().offline)


def test_a_root_renamed_away_keeps_its_files_and_is_heard_again_when_it_returns(ground: Ground) -> None:
    plant(ground)
    ground.root.rename(ground.elsewhere / "root")
    ground.until(lambda: is_offline(ground))
    assert ground.known() == set(SOME)
    (ground.elsewhere / "root" / "meanwhile.jpg").write_bytes(b"x")
    (ground.elsewhere / "root").rename(ground.root)
    ground.until_known(*SOME, "meanwhile.jpg")
    assert ground.status().gone_files == 0
    (ground.root / "d1" / "after.jpg").write_bytes(b"x")
    ground.until_known(*SOME, "meanwhile.jpg", "d1/after.jpg")
    ground.until(lambda: "rescan-done" in ground.kinds())
    assert ground.kinds() == ["root-offline", "root-back", "rescan-done"]
    counts = ground.ledger.pending_counts()
    assert sum(counts) == 2, "what was known was not taken for new"


def test_a_root_deleted_and_made_again_is_empty_at_first_and_loses_nothing(ground: Ground) -> None:
    plant(ground)
    shutil.rmtree(ground.root)
    ground.until(lambda: is_offline(ground))
    gone_first = ground.status().gone_files
    ground.root.mkdir()
    ground.until(lambda: ground.notices and is_offline(ground))
    ground.idle()
    assert ground.status().gone_files == gone_first, "an empty directory proves nothing"
    (ground.root / "new.jpg").write_bytes(b"x")
    ground.until_known("new.jpg")
    ground.until(lambda: not is_offline(ground))
    assert ground.state_of(SOME[0]) is FileState.GONE


def test_a_root_that_is_missing_at_the_start_is_offline_and_picked_up_later(ground: Ground) -> None:
    ground.start(walked=False)
    ground.until(lambda: ground.status().first_walk_done)
    ground.stop()
    ground.root.rmdir()
    ground.start(walked=False)
    ground.until(lambda: is_offline(ground) and ground.status().first_walk_done)
    ground.root.mkdir()
    (ground.root / "a.jpg").write_bytes(b"x")
    ground.until_known("a.jpg")
    (ground.root / "b.jpg").write_bytes(b"x")
    ground.until_known("a.jpg", "b.jpg")


def test_a_root_found_empty_at_the_start_keeps_what_is_known(ground: Ground) -> None:
    plant(ground)
    ground.stop()
    ground.root.rename(ground.elsewhere / "root")
    ground.root.mkdir()
    ground.start()
    assert is_offline(ground)
    assert ground.known() == set(SOME)
    assert ground.notices[-1].counts == {"known": 50}
    ground.root.rmdir()
    (ground.elsewhere / "root").rename(ground.root)
    ground.until(lambda: not is_offline(ground))
    ground.idle()
    assert ground.known() == set(SOME)
    assert sum(ground.ledger.pending_counts()) == 0


def test_a_root_replaced_by_another_directory_is_walked_and_heard(ground: Ground) -> None:
    plant(ground)
    other = ground.elsewhere / "other"
    other.mkdir()
    (other / "x.jpg").write_bytes(b"x")
    ground.root.rename(ground.elsewhere / "old")
    other.rename(ground.root)
    ground.until_known("x.jpg")
    (ground.root / "y.jpg").write_bytes(b"y")
    ground.until_known("x.jpg", "y.jpg")


def test_a_root_that_becomes_a_symlink_is_offline(ground: Ground) -> None:
    plant(ground)
    ground.root.rename(ground.elsewhere / "root")
    ground.root.symlink_to(ground.elsewhere / "root")
    ground.until(lambda: is_offline(ground))
    ground.idle()
    assert ground.known() == set(SOME)


def test_files_deleted_one_by_one_from_a_live_root_may_leave_it_empty(ground: Ground) -> None:
    """Each removal was heard, and its file system is there: that is a person tidying up."""
    (ground.root / "a.jpg").write_bytes(b"a")
    (ground.root / "b.jpg").write_bytes(b"b")
    ground.start()
    ground.until_known("a.jpg", "b.jpg")
    for name in ("a.jpg", "b.jpg"):
        (ground.root / name).unlink()
    ground.until_known()
    assert not is_offline(ground)


def test_one_root_offline_leaves_the_other_at_work(ground: Ground) -> None:
    plant(ground)
    ground.stop()
    ground.start(ground.root, ground.elsewhere)
    ground.root.rename(ground.root.with_name("away"))
    ground.until(lambda: is_offline(ground))
    (ground.elsewhere / "a.jpg").write_bytes(b"x")
    ground.until(lambda: ground.known(ground.elsewhere) == {"a.jpg"})
    assert ground.known() == set(SOME)


def test_a_root_kept_in_view_by_walks_uses_no_watch_and_misses_nothing(ground: Ground) -> None:
    ground.start(ground.root, ground.elsewhere, polled=ground.root, poll_floor_s=0.1)
    assert ground.status().watched_directories == 1, "that of the other root"
    (ground.root / "d").mkdir()
    (ground.root / "d" / "a.jpg").write_bytes(b"x")
    ground.until_known("d/a.jpg")
    (ground.root / "d" / "a.jpg").unlink()
    (ground.root / "b.jpg").write_bytes(b"x")
    ground.until_known("b.jpg")
    row = ground.row("b.jpg")
    assert row is not None
    assert row.live, "it came after the first walk"
    assert ground.status().events == 0


@pytest.mark.parametrize(
    ("strategy", "remote", "short", "polling"),
    [
        ("auto", False, False, False), ("auto", True, False, True), ("auto", False, True, True),
        ("inotify", True, False, False), ("inotify", False, True, True), ("poll", False, False, True),
    ],
)  # fmt: skip
def test_when_walks_must_tell_what_events_do_not(
    tmp_path: Path, strategy: Literal["auto", "inotify", "poll"], remote: bool, short: bool, polling: bool
) -> None:
    config = RootConfig(path=tmp_path, strategy=strategy)
    root = Root(config, IntakeConfig(), MountTable([]), Pace(1, 1), watch=True)
    root.remote_devices = frozenset({7} if remote else {})
    root.short_of_watches = short
    assert root.polling is polling
    assert root.watch is (strategy != "poll")
