"""What we lean on in watchdog. Widen the version range only when these pass with the new version."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from deepdupe_daemon.intake import observer as ears
from deepdupe_daemon.intake.inbox import Inbox, RawEvent
from deepdupe_daemon.intake.observer import Observer
from tests.conftest import Eventually


@pytest.fixture
def inbox() -> Inbox:
    return Inbox(threading.Event())


@pytest.fixture
def observer(inbox: Inbox) -> Iterator[Observer]:
    opened = Observer(inbox)
    yield opened
    opened.close()
    assert not opened.alive


def watch(observer: Observer, folder: Path, *, top: bool = False) -> int:
    fd = os.open(folder, os.O_RDONLY)
    try:
        return observer.watch(fd, top=top)
    finally:
        os.close(fd)


def collect(inbox: Inbox, eventually: Eventually, count: int) -> list[RawEvent]:
    events: list[RawEvent] = []

    def enough() -> bool:
        events.extend(inbox.take(1000))
        return len(events) >= count

    eventually(enough)
    return events


def test_a_write_is_a_creation_and_a_close(
    observer: Observer, inbox: Inbox, tmp_path: Path, eventually: Eventually
) -> None:
    wd = watch(observer, tmp_path)
    (tmp_path / "a.jpg").write_bytes(b"x")
    first, second = collect(inbox, eventually, 2)
    assert (first.wd, first.name, second.name) == (wd, b"a.jpg", b"a.jpg")
    assert first.mask & ears.CAME
    assert not first.mask & ears.CLOSED
    assert second.mask & ears.CLOSED


def test_a_watch_follows_the_directory_and_not_its_name(
    observer: Observer, inbox: Inbox, tmp_path: Path, eventually: Eventually
) -> None:
    folder = tmp_path / "a"
    folder.mkdir()
    wd = watch(observer, folder)
    folder.rename(tmp_path / "b")
    (tmp_path / "b" / "x").write_bytes(b"x")
    assert {event.wd for event in collect(inbox, eventually, 2)} == {wd}


def test_reading_a_file_makes_no_event(
    observer: Observer, inbox: Inbox, tmp_path: Path, eventually: Eventually
) -> None:
    """Else the decoder's own reading would come back as work."""
    (tmp_path / "a.jpg").write_bytes(b"x")
    watch(observer, tmp_path)
    (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "a.jpg").chmod(0o600)
    (tmp_path / "end").touch()
    assert {event.name for event in collect(inbox, eventually, 2)} == {b"end"}


def test_a_deleted_directory_ends_its_watch_and_says_so(
    observer: Observer, inbox: Inbox, tmp_path: Path, eventually: Eventually
) -> None:
    folder = tmp_path / "a"
    folder.mkdir()
    wd = watch(observer, folder, top=True)
    folder.rmdir()
    events = collect(inbox, eventually, 2)
    assert any(event.mask & ears.TOP_MOVED for event in events)
    assert events[-1] == RawEvent(wd, ears.IGNORED, 0, b"")


def test_a_watch_dropped_and_set_again_hears_under_a_new_number_without_a_warning(
    observer: Observer, inbox: Inbox, tmp_path: Path, eventually: Eventually
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        first = watch(observer, tmp_path)
        observer.unwatch([first])
        second = watch(observer, tmp_path)
    assert first != second
    (tmp_path / "a").touch()
    assert {event.wd for event in collect(inbox, eventually, 2)} == {second}


def test_dropping_a_watch_that_the_kernel_has_ended_is_no_error(observer: Observer, tmp_path: Path) -> None:
    folder = tmp_path / "a"
    folder.mkdir()
    wd = watch(observer, folder)
    folder.rmdir()
    observer.unwatch([wd])
    observer.unwatch([wd])


def test_the_overflow_of_the_kernel_s_queue_is_heard(
    observer: Observer, inbox: Inbox, tmp_path: Path, eventually: Eventually
) -> None:
    """Thrown away by 6.0.0 and 7.0.0. The queue is made to overflow by holding up the reader."""
    queue = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    if queue > 100_000:
        pytest.skip(f"fs.inotify.max_queued_events = {queue}: too many events for a test")
    watch(observer, tmp_path)
    names = [tmp_path / "a", tmp_path / "b"]
    with observer._reader._lock:
        for index in range(queue + 5000):  # up to 2,560 events may have been read before the lock stopped the reader
            os.close(os.open(names[index % 2], os.O_WRONLY | os.O_CREAT))
    eventually(inbox.take_loss, 30)
    assert observer.alive
    assert not inbox.take_loss()


def test_two_observers_are_apart(observer: Observer, inbox: Inbox, tmp_path: Path, eventually: Eventually) -> None:
    other_inbox = Inbox(threading.Event())
    other = Observer(other_inbox)
    watch(observer, tmp_path)
    watch(other, tmp_path)
    other.close()
    (tmp_path / "a").touch()
    assert len(collect(inbox, eventually, 2)) == 2
    assert all(event.mask & ears.IGNORED for event in other_inbox.take(10))


def test_a_directory_that_may_not_be_read_is_refused(observer: Observer, public_dir: Path, as_nobody: None) -> None:
    folder = public_dir / "shut"
    folder.mkdir()
    fd = os.open(folder, os.O_RDONLY)
    folder.chmod(0)
    try:
        with pytest.raises(PermissionError):
            observer.watch(fd)
    finally:
        os.close(fd)
        folder.chmod(0o700)


def test_an_inbox_without_room_says_so_once() -> None:
    wake = threading.Event()
    inbox = Inbox(wake, most=2)
    for wd in range(3):
        inbox.put(RawEvent(wd, 0, 0, b""))
    assert wake.is_set()
    assert [event.wd for event in inbox.take(10)] == [0, 1]
    assert (inbox.take_loss(), inbox.take_loss()) == (True, False)
