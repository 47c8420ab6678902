"""When a file counts as finished: quiet by events, and two equal looks. Real files, time as plain numbers."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from deepdupe_daemon.intake.settle import Settling
from deepdupe_daemon.model import Arrival

ROOT = b"/root"


def lstat(root: bytes, path: bytes) -> os.stat_result:
    return os.lstat(path)


SETTLE_S, CLOSE_SETTLE_S = 2.0, 0.2


@pytest.fixture
def settling() -> Settling:
    return Settling(SETTLE_S, CLOSE_SETTLE_S, lstat=lstat)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"bytes")
    return path


def hint(settling: Settling, path: Path, now_s: float, *, closed: bool = False, live: bool = True) -> bool:
    return settling.hint(os.fsencode(path), ROOT, now_s, closed=closed, live=live)


def settled(settling: Settling, now_s: float) -> list[str]:
    return [os.fsdecode(os.path.basename(arrival.key.path)) for arrival in settling.settled(now_s, 100)]


def test_a_closed_file_is_offered_after_the_short_quiet_time(settling: Settling, photo: Path) -> None:
    hint(settling, photo, 0.0)
    hint(settling, photo, 1.0, closed=True)
    assert settled(settling, 1.19) == []
    assert settled(settling, 1.2) == ["a.jpg"]
    assert len(settling) == 0
    assert settling.next_due_s() is None


def test_a_file_that_was_not_closed_is_offered_after_the_long_one(settling: Settling, photo: Path) -> None:
    hint(settling, photo, 0.0)
    assert settled(settling, 1.99) == []
    assert settled(settling, 2.0) == ["a.jpg"]


def test_the_arrival_says_what_rests_there(settling: Settling, photo: Path) -> None:
    hint(settling, photo, 0.0, closed=True, live=False)
    (arrival,) = settling.settled(1.0, 100)
    status = photo.stat()
    assert isinstance(arrival, Arrival)
    assert (arrival.root, arrival.live, arrival.key.path) == (ROOT, False, os.fsencode(photo))
    identity = arrival.key.identity
    assert (identity.dev, identity.ino, identity.size) == (status.st_dev, status.st_ino, 5)
    assert identity.mtime_ns == status.st_mtime_ns


def test_every_event_starts_the_quiet_time_anew(settling: Settling, photo: Path) -> None:
    for moment in range(10):
        hint(settling, photo, float(moment))
        assert settled(settling, moment + 0.9) == []
    assert settled(settling, 11.0) == ["a.jpg"]


def test_a_file_that_grows_without_events_waits(settling: Settling, photo: Path) -> None:
    hint(settling, photo, 0.0)
    for moment in (2.0, 4.0, 6.0):
        with photo.open("ab") as file:
            file.write(b"more")
        assert settled(settling, moment) == []
    assert settled(settling, 7.9) == []
    assert settled(settling, 8.0) == ["a.jpg"]


def test_writing_after_a_close_asks_for_the_long_quiet_time(settling: Settling, photo: Path) -> None:
    """The next close would shorten it again; without one, somebody else holds the file open."""
    hint(settling, photo, 0.0, closed=True)
    photo.write_bytes(b"longer than before")
    assert settled(settling, 0.2) == []
    assert settled(settling, 2.1) == []
    assert settled(settling, 2.2) == ["a.jpg"]


def test_a_chmod_does_not_ask_for_the_long_quiet_time(settling: Settling, photo: Path) -> None:
    hint(settling, photo, 0.0, closed=True)
    photo.chmod(0o600)
    assert settled(settling, 0.2) == []
    assert settled(settling, 0.4) == ["a.jpg"]


def test_an_empty_file_waits_the_long_time_even_when_closed(settling: Settling, photo: Path) -> None:
    photo.write_bytes(b"")
    hint(settling, photo, 0.0, closed=True)
    assert settled(settling, 0.2) == []
    assert settled(settling, 2.0) == ["a.jpg"]


def test_truncate_then_write_is_offered_once_with_its_last_size(settling: Settling, photo: Path) -> None:
    photo.write_bytes(b"")
    hint(settling, photo, 0.0)
    photo.write_bytes(b"the whole picture")
    hint(settling, photo, 0.5, closed=True)
    (arrival,) = settling.settled(60.0, 100)
    assert arrival.key.identity.size == 17
    assert settling.settled(120.0, 100) == []


def test_a_file_held_open_is_offered_and_looked_at_again_for_an_hour(settling: Settling, photo: Path) -> None:
    """Its writer may go on at any time, and there is no event for a write that keeps the file open."""
    hint(settling, photo, 0.0)
    assert settled(settling, 2.0) == ["a.jpg"]
    assert len(settling) == 0
    looks = 0
    now_s = 2.0
    while (due_s := settling.next_due_s()) is not None and due_s < 1000.0:
        now_s, looks = due_s, looks + 1
        assert settled(settling, now_s) == []
    with photo.open("ab") as file:
        file.write(b"and the rest of it")
    assert looks <= 10
    due_s = settling.next_due_s()
    assert due_s is not None
    assert settled(settling, due_s) == []
    assert settled(settling, due_s + 2.0) == ["a.jpg"]


def test_a_file_that_stays_quiet_is_forgotten_after_the_hour(settling: Settling, photo: Path) -> None:
    hint(settling, photo, 0.0)
    assert settled(settling, 2.0) == ["a.jpg"]
    while (due_s := settling.next_due_s()) is not None:
        assert settled(settling, due_s) == []
    assert list(settling.paths()) == []


def test_a_close_while_it_is_looked_at_offers_it_again(settling: Settling, photo: Path) -> None:
    hint(settling, photo, 0.0)
    assert settled(settling, 2.0) == ["a.jpg"]
    hint(settling, photo, 10.0, closed=True)
    assert settled(settling, 10.2) == ["a.jpg"]
    assert settling.next_due_s() is None


def test_a_file_that_vanishes_is_dropped(settling: Settling, photo: Path) -> None:
    hint(settling, photo, 0.0)
    photo.unlink()
    assert settled(settling, 5.0) == []
    assert len(settling) == 0
    assert settling.troubles == []


def test_a_file_replaced_by_another_of_the_same_size_waits_on(settling: Settling, photo: Path, tmp_path: Path) -> None:
    hint(settling, photo, 0.0, closed=True)
    other = tmp_path / "other"
    other.write_bytes(b"BYTES")
    os.utime(other, ns=(photo.stat().st_atime_ns, photo.stat().st_mtime_ns))
    other.rename(photo)
    assert settled(settling, 0.2) == []
    assert settled(settling, 2.2) == ["a.jpg"]


@pytest.mark.parametrize("kind", ["directory", "fifo", "symlink", "dangling", "socket"])
def test_what_is_no_regular_file_never_settles(settling: Settling, photo: Path, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "odd.jpg"
    match kind:
        case "directory":
            path.mkdir()
        case "fifo":
            os.mkfifo(path)
        case "symlink":
            path.symlink_to(photo)
        case "dangling":
            path.symlink_to("nowhere")
        case "socket":
            os.mknod(path, 0o140644)
    hint(settling, path, 0.0, closed=True)
    assert settled(settling, 100.0) == []
    assert len(settling) == 0


def test_live_once_is_live(settling: Settling, photo: Path) -> None:
    """A walk that meets a file which events told of does not make it backfill."""
    hint(settling, photo, 0.0, live=True)
    hint(settling, photo, 0.1, live=False)
    (arrival,) = settling.settled(10.0, 100)
    assert arrival.live


def test_a_full_house_says_so(photo: Path) -> None:
    settling = Settling(SETTLE_S, CLOSE_SETTLE_S, lstat=lstat, most=1)
    assert hint(settling, photo, 0.0)
    other = photo.with_name("b.jpg")
    other.write_bytes(b"x")
    assert settling.full
    assert not hint(settling, other, 0.0)
    assert hint(settling, photo, 1.0), "a file that is followed already needs no room"


def test_files_merely_held_open_make_room(photo: Path) -> None:
    settling = Settling(SETTLE_S, CLOSE_SETTLE_S, lstat=lstat, most=1)
    hint(settling, photo, 0.0)
    assert settled(settling, 2.0) == ["a.jpg"]
    other = photo.with_name("b.jpg")
    other.write_bytes(b"x")
    assert not settling.full
    assert hint(settling, other, 3.0)
    assert settled(settling, 5.0) == ["b.jpg"]


def test_at_most_the_limit_is_given_out_at_once(settling: Settling, tmp_path: Path) -> None:
    for index in range(5):
        path = tmp_path / f"{index}.jpg"
        path.write_bytes(b"x")
        hint(settling, path, 0.0, closed=True)
    assert len(settling.settled(1.0, 3)) == 3
    assert len(settling.settled(1.0, 3)) == 2


def test_the_heap_stays_small_under_many_events_for_one_file(settling: Settling, photo: Path) -> None:
    for moment in range(10_000):
        hint(settling, photo, moment / 1000)
    assert len(settling._heap) < 200


def test_a_look_that_fails_otherwise_is_kept_as_a_trouble(photo: Path) -> None:
    def broken(root: bytes, path: bytes) -> os.stat_result:
        raise OSError(5, "Input/output error")

    settling = Settling(SETTLE_S, CLOSE_SETTLE_S, lstat=broken)
    hint(settling, photo, 0.0)
    assert [(path, error.errno) for path, error in settling.troubles] == [(os.fsencode(photo), 5)]
    assert len(settling) == 0


def test_dropping_a_root_leaves_the_others(settling: Settling, photo: Path) -> None:
    other = photo.with_name("b.jpg")
    other.write_bytes(b"x")
    hint(settling, photo, 0.0, closed=True)
    settling.hint(os.fsencode(other), b"/other", 0.0, closed=True, live=True)
    settling.drop_all(ROOT)
    assert settled(settling, 1.0) == ["b.jpg"]
