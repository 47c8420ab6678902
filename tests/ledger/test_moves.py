"""Renames on a real disk: a row goes with its file, and a hard link is a file of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from deepdupe_daemon.clock import ManualClock
from deepdupe_daemon.ledger import FileRow, Ledger, Noted
from deepdupe_daemon.model import FileState
from tests.ledger.build import SPACE, arrival_at, seen

PENDING, KNOWN, MOVED = Noted.PENDING, Noted.KNOWN, Noted.MOVED


class Album:
    """A folder of real files, and a ledger that is told of them as intake would."""

    def __init__(self, root: Path, ledger: Ledger) -> None:
        self.root = root
        self.ledger = ledger

    def write(self, *names: str) -> None:
        for name in names:
            (self.root / name).parent.mkdir(exist_ok=True)
            (self.root / name).write_text(name)

    def note(self, *names: str) -> list[Noted]:
        return self.ledger.note_arrivals([arrival_at(self.root / name, self.root) for name in names])

    def indexed(self, *names: str) -> list[int]:
        """Write, note, see and judge; gives the file ids."""
        self.write(*names)
        self.note(*names)
        rows = [self.row(name) for name in names]
        self.ledger.record_seen([seen(row, name) for row, name in zip(rows, names, strict=True)])
        self.ledger.record_judged([row.file_id for row in rows], [])
        return [row.file_id for row in rows]

    def row(self, name: str) -> FileRow:
        row = self.ledger.file_by_path(os.fsencode(self.root / name))
        assert row is not None, name
        return row

    def names(self) -> dict[str, int]:
        known = [os.fsdecode(path) for path, _, _ in self.ledger.known_paths(os.fsencode(self.root))]
        return {os.path.relpath(path, self.root): self.row(os.path.relpath(path, self.root)).file_id for path in known}


@pytest.fixture
def album(tmp_path: Path, clock: ManualClock) -> Iterator[Album]:
    root = tmp_path / "album"
    root.mkdir()
    with Ledger.open(tmp_path / "state", clock) as ledger:
        ledger.ensure_space(SPACE)
        yield Album(root, ledger)
        assert ledger.damage() == []


def test_a_renamed_file_keeps_its_row(album: Album) -> None:
    [a] = album.indexed("a")
    os.rename(album.root / "a", album.root / "b")
    assert album.note("b") == [MOVED]
    assert album.names() == {"b": a}
    assert album.row("b").state is FileState.INDEXED
    assert album.note("b") == [KNOWN]


def test_a_renamed_folder_keeps_all_its_rows(album: Album) -> None:
    ids = album.indexed("d/1", "d/2", "d/3")
    os.rename(album.root / "d", album.root / "e")
    assert album.note("e/3", "e/1", "e/2") == [MOVED] * 3
    assert album.names() == {"e/1": ids[0], "e/2": ids[1], "e/3": ids[2]}


def test_removal_may_be_told_before_or_after_the_arrival(album: Album) -> None:
    a, b = album.indexed("a", "b")
    os.rename(album.root / "a", album.root / "a2")
    os.rename(album.root / "b", album.root / "b2")
    assert album.ledger.note_gone(os.fsencode(album.root / "a")) == 1
    assert album.note("a2", "b2") == [MOVED, MOVED]
    assert album.ledger.note_gone(os.fsencode(album.root / "b")) == 0
    assert album.names() == {"a2": a, "b2": b}
    assert [album.row(n).state for n in ("a2", "b2")] == [FileState.SEEN, FileState.INDEXED]


def test_a_hard_link_is_a_file_of_its_own(album: Album) -> None:
    [a] = album.indexed("a")
    os.link(album.root / "a", album.root / "b")
    assert album.note("b") == [PENDING]
    assert album.names()["a"] == a
    assert album.row("b").state is FileState.PENDING
    os.rename(album.root / "a", album.root / "c")
    assert album.note("c") == [MOVED]
    assert album.names()["c"] == a


def test_two_renamed_hard_links_are_still_two_files(album: Album) -> None:
    album.indexed("a")
    os.link(album.root / "a", album.root / "b")
    album.note("b")
    before = set(album.names().values())
    os.rename(album.root / "a", album.root / "c")
    os.rename(album.root / "b", album.root / "d")
    album.note("c", "d")
    assert set(album.names()) == {"c", "d"}
    assert set(album.names().values()) == before


def test_a_copy_is_no_move(album: Album) -> None:
    album.indexed("a")
    (album.root / "b").write_text("a")
    stat = os.stat(album.root / "a")
    os.utime(album.root / "b", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert album.note("b") == [PENDING]
    assert set(album.names()) == {"a", "b"}


def test_a_file_moved_over_another_replaces_it(album: Album) -> None:
    a, b = album.indexed("a", "b")
    os.rename(album.root / "a", album.root / "b")
    assert album.note("b") == [MOVED]
    assert album.names() == {"b": a}
    replaced = album.ledger.file(b)
    assert replaced is not None
    assert replaced.state is FileState.GONE
    assert album.ledger.note_gone(os.fsencode(album.root / "a")) == 0
    assert album.ledger.living_images().tolist() == [album.row("b").image_id]


def test_two_files_that_swap_names_keep_their_rows(album: Album) -> None:
    a, b = album.indexed("a", "b")
    os.rename(album.root / "a", album.root / "t")
    os.rename(album.root / "b", album.root / "a")
    os.rename(album.root / "t", album.root / "b")
    assert album.note("a", "b") == [MOVED, MOVED]
    assert album.names() == {"a": b, "b": a}
    assert album.row("a").image_id != album.row("b").image_id


def test_three_files_that_go_round_keep_their_rows(album: Album) -> None:
    a, b, c = album.indexed("a", "b", "c")
    os.rename(album.root / "c", album.root / "t")
    os.rename(album.root / "b", album.root / "c")
    os.rename(album.root / "a", album.root / "b")
    os.rename(album.root / "t", album.root / "a")
    assert album.note("b", "a", "c") == [MOVED] * 3
    assert album.names() == {"a": c, "b": a, "c": b}


def test_a_replaced_file_that_is_moved_back_needs_no_decode(album: Album) -> None:
    a, b = album.indexed("a", "b")
    os.rename(album.root / "b", album.root / "b.bak")  # nobody saw this name
    os.rename(album.root / "a", album.root / "b")
    assert album.note("b") == [MOVED]
    os.rename(album.root / "b", album.root / "a")
    os.rename(album.root / "b.bak", album.root / "b")
    assert album.note("a", "b") == [MOVED, MOVED]
    assert album.names() == {"a": a, "b": b}
    assert album.ledger.take_pending(9) == []


def test_a_path_may_be_replaced_again_and_again(album: Album) -> None:
    album.indexed("keep", *(f"n{i}" for i in range(5)))
    for i in range(5):
        os.rename(album.root / f"n{i}", album.root / "keep")
        assert album.note("keep") == [MOVED]
    assert set(album.names()) == {"keep"}
    assert album.ledger.counts()[FileState.GONE] == 5
    assert album.ledger.counts()[FileState.INDEXED] == 1


def test_an_editors_save_by_rename_is_a_change_of_the_same_file(album: Album) -> None:
    [a] = album.indexed("a")
    (album.root / ".a.tmp").write_text("edited")
    os.rename(album.root / ".a.tmp", album.root / "a")
    assert album.note("a") == [PENDING]
    assert album.names() == {"a": a}


def test_a_file_that_waits_keeps_waiting_under_its_new_name(album: Album) -> None:
    album.write("a")
    album.note("a")
    before = album.row("a")
    os.rename(album.root / "a", album.root / "b")
    assert album.note("b") == [PENDING]
    [row] = album.ledger.take_pending(9)
    assert (row.file_id, row.key.path) == (before.file_id, os.fsencode(album.root / "b"))
    assert not album.ledger.record_failed(before.file_id, before.key, "vanished", "no such file", None)
    assert album.ledger.record_seen([seen(before, "a")]) == [1], "the bytes that were read are still its bytes"


def test_a_place_that_cannot_be_looked_at_counts_as_still_there(tmp_path: Path, clock: ManualClock) -> None:
    def dead_mount(path: bytes) -> os.stat_result:
        raise OSError(107, "Transport endpoint is not connected")

    root = tmp_path / "album"
    root.mkdir()
    with Ledger.open(tmp_path / "state", clock, lstat=dead_mount) as ledger:
        ledger.ensure_space(SPACE)
        album = Album(root, ledger)
        [a] = album.indexed("a")
        os.rename(root / "a", root / "b")
        assert album.note("b") == [PENDING]
        assert album.names()["a"] == a
