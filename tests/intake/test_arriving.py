"""However a file can arrive in a live root, it is found, once, as what it is at the end. Real inotify, real ledger."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from deepdupe_daemon.clock import SystemClock
from deepdupe_daemon.model import FileState
from tests.intake.conftest import Ground


def test_a_file_that_was_there_is_backfill_and_one_that_comes_is_live(ground: Ground) -> None:
    (ground.root / "old.jpg").write_bytes(b"old")
    ground.start()
    (ground.root / "new.jpg").write_bytes(b"new")
    ground.until_known("old.jpg", "new.jpg")
    old, new = ground.row("old.jpg"), ground.row("new.jpg")
    assert old is not None
    assert new is not None
    assert (old.live, new.live) == (False, True)
    assert old.file_id < new.file_id
    assert ground.pending.is_set()


def test_a_scan_walks_once_and_hears_nothing(ground: Ground) -> None:
    (ground.root / "d").mkdir()
    (ground.root / "d" / "a.jpg").write_bytes(b"x")
    ground.start(watch=False)
    assert ground.known() == {"d/a.jpg"}
    assert (ground.status().walks, ground.status().watched_directories) == (1, 0)
    (ground.root / "b.jpg").write_bytes(b"x")
    assert ground.intake is not None
    ground.intake.rescan()
    ground.until_known("b.jpg", "d/a.jpg")
    assert ground.status().events == 0


#: how programs name what they are still writing, for a picture that will be called a.jpg
UNFINISHED = {
    "rsync": ".a.jpg.Xy12Zq",
    "firefox": "a.jpg.part",
    "chrome": "Unconfirmed 123456.crdownload",
    "safari": "a.jpg.download",
    "opera": "a.jpg.opdownload",
    "winscp": "a.jpg.filepart",
    "syncthing": ".syncthing.a.jpg.tmp",
    "nextcloud": ".a.jpg.~1f0a33c2",
    "resilio": "a.jpg.!sync",
    "android": ".pending-1700000000-a.jpg",
    "editor": ".goutputstream-8X2J1A",
    "unknown": "upload-4711",
}


def test_unfinished_files_of_browsers_and_phones_give_one_row_under_the_final_name(ground: Ground) -> None:
    """Half is written, then the rest, then it is renamed into place: nobody ever sees the half."""
    ground.start()
    for program, temporary in UNFINISHED.items():
        (ground.root / program).mkdir()
        with (ground.root / program / temporary).open("wb", buffering=0) as file:
            file.write(b"x" * 50)
            file.write(b"y" * 50)
        (ground.root / program / temporary).rename(ground.root / program / "a.jpg")
    ground.until_known(*(f"{program}/a.jpg" for program in UNFINISHED))
    ground.idle()
    for program, temporary in UNFINISHED.items():
        row = ground.row(f"{program}/a.jpg")
        assert row is not None
        assert row.key.identity.size == 100
        assert ground.row(f"{program}/{temporary}") is None


def test_an_unfinished_file_that_rests_is_left_alone_where_its_name_says_so(ground: Ground) -> None:
    """A download that was given up stays for days; only a name that nobody knows is taken for a picture."""
    ground.start()
    for temporary in UNFINISHED.values():
        (ground.root / temporary).write_bytes(b"half a picture")
    ground.until_known("upload-4711")
    ground.idle()
    assert ground.known() == {"upload-4711"}


def test_a_file_moved_in_from_outside(ground: Ground) -> None:
    ground.start()
    (ground.elsewhere / "a.jpg").write_bytes(b"x")
    (ground.elsewhere / "a.jpg").rename(ground.root / "a.jpg")
    ground.until_known("a.jpg")


def test_a_hard_link_is_a_file_of_its_own(ground: Ground) -> None:
    (ground.root / "a.jpg").write_bytes(b"x")
    ground.start()
    os.link(ground.root / "a.jpg", ground.root / "b.jpg")
    ground.until_known("a.jpg", "b.jpg")


def test_a_write_through_one_name_of_a_hard_link_is_found_under_the_other(ground: Ground) -> None:
    """The kernel tells of the name that was written through alone; a walk finds the other."""
    (ground.root / "d").mkdir()
    (ground.root / "a.jpg").write_bytes(b"x")
    os.link(ground.root / "a.jpg", ground.root / "d" / "b.jpg")
    os.link(ground.root / "a.jpg", ground.elsewhere / "c.jpg")
    intake = ground.start()
    ground.index_all()
    with (ground.elsewhere / "c.jpg").open("ab") as file:  # outside the root: no event at all
        file.write(b" and more")
    intake.rescan()
    for name in ("a.jpg", "d/b.jpg"):
        ground.until(lambda name=name: (row := ground.row(name)) is not None and row.key.identity.size == 10)
        assert ground.state_of(name) is FileState.PENDING


def test_a_slow_writer_is_offered_with_its_last_bytes(ground: Ground) -> None:
    ground.start(settle_s=1.5)
    with (ground.root / "slow.jpg").open("wb", buffering=0) as file:
        for _ in range(6):
            file.write(b"x" * 1000)
            ground.clock.wait(ground.never, 0.3)
        assert ground.known() == set(), "the writer pauses for less than the settle time"
    ground.until_known("slow.jpg")
    row = ground.row("slow.jpg")
    assert row is not None
    assert row.key.identity.size == 6000


def test_a_file_that_stays_open_is_offered_and_offered_again_when_it_goes_on(ground: Ground) -> None:
    ground.start()
    with (ground.root / "open.jpg").open("wb", buffering=0) as file:
        file.write(b"first")
        ground.until_known("open.jpg")
        ground.index_all()
        file.write(b" and more")
        ground.until(lambda: ground.state_of("open.jpg") is FileState.PENDING)
        row = ground.row("open.jpg")
        assert row is not None
        assert row.key.identity.size == 14


def test_truncate_then_write_makes_the_file_pending_again(ground: Ground) -> None:
    (ground.root / "a.jpg").write_bytes(b"first")
    ground.start()
    ground.index_all()
    (ground.root / "a.jpg").write_bytes(b"second, longer")
    ground.until(lambda: ground.state_of("a.jpg") is FileState.PENDING)
    row = ground.row("a.jpg")
    assert row is not None
    assert row.key.identity.size == 14


def test_written_in_place_like_rsync_inplace(ground: Ground) -> None:
    (ground.root / "a.jpg").write_bytes(b"x" * 4096)
    ground.start()
    ground.index_all()
    with (ground.root / "a.jpg").open("r+b") as file:
        file.seek(100)
        file.write(b"new")
    ground.until(lambda: ground.state_of("a.jpg") is FileState.PENDING)


def test_a_sparse_file_is_offered(ground: Ground) -> None:
    ground.start()
    with (ground.root / "sparse.tif").open("wb") as file:
        file.truncate(10_000_000)
    ground.until_known("sparse.tif")


def test_empty_files_are_offered_when_they_stay_empty(ground: Ground) -> None:
    ground.start()
    (ground.root / "empty.jpg").touch()
    ground.until_known("empty.jpg")


def test_an_unnamed_file_that_gets_a_name(ground: Ground) -> None:
    ground.start()
    fd = os.open(ground.root, os.O_TMPFILE | os.O_WRONLY, 0o644)
    os.write(fd, b"x")
    # Python calls linkat(2), which alone follows the link in /proc, only where a directory descriptor is given
    os.link(f"/proc/self/fd/{fd}", ground.root / "named.jpg", src_dir_fd=fd, follow_symlinks=True)
    os.close(fd)
    ground.until_known("named.jpg")


def test_cp_r_of_600_files_into_a_live_root(ground: Ground) -> None:
    """Measured: fewer closes than files arrive, since files are written before their new directory is watched."""
    source = ground.elsewhere / "tree"
    wanted = set()
    for index in range(30):
        folder = source / f"a{index % 6}" / f"b{index}"
        folder.mkdir(parents=True)
        for number in range(20):
            (folder / f"{number}.jpg").write_bytes(b"x" * 2000)
            wanted.add(f"tree/a{index % 6}/b{index}/{number}.jpg")
    ground.start()
    subprocess.run(["cp", "-r", source, ground.root], check=True)
    ground.until_known(*wanted)
    ground.idle()
    ground.until(lambda: ground.status().found_files == 600)  # each is told to the ledger once
    ground.until(lambda: ground.status().watched_directories == 38)
    rows = [ground.row(name) for name in wanted]
    assert all(row is not None and row.live for row in rows)


def test_a_burst_of_new_directories_with_a_file_each(ground: Ground) -> None:
    ground.start()
    wanted = set()
    for index in range(300):
        folder = ground.root / f"x{index % 7}" / f"y{index % 31}" / f"z{index}"
        folder.mkdir(parents=True)
        (folder / "1.jpg").write_bytes(b"x")
        wanted.add(f"x{index % 7}/y{index % 31}/z{index}/1.jpg")
    ground.until_known(*wanted)


def test_a_directory_moved_in_is_walked_and_heard_from_then_on(ground: Ground) -> None:
    """Both released versions of the recursive observer are deaf in it for ever."""
    folder = ground.elsewhere / "d" / "e"
    folder.mkdir(parents=True)
    (folder / "1.jpg").write_bytes(b"x")
    ground.start()
    (ground.elsewhere / "d").rename(ground.root / "d")
    ground.until_known("d/e/1.jpg")
    (ground.root / "d" / "e" / "2.jpg").write_bytes(b"x")
    (ground.root / "d" / "f").mkdir()
    (ground.root / "d" / "f" / "3.jpg").write_bytes(b"x")
    ground.until_known("d/e/1.jpg", "d/e/2.jpg", "d/f/3.jpg")


def test_a_directory_deleted_and_made_again_is_heard(ground: Ground) -> None:
    """File systems hand out the inode number again at once, so the number proves nothing."""
    ground.start()
    for round_ in range(20):
        (ground.root / "d").mkdir()
        (ground.root / "d" / f"{round_}.jpg").write_bytes(b"x")
        shutil.rmtree(ground.root / "d")
    (ground.root / "d").mkdir()
    ground.until(lambda: ground.status().watched_directories == 2)
    ground.idle()
    (ground.root / "d" / "last.jpg").write_bytes(b"x")
    ground.until_known("d/last.jpg")


@pytest.mark.parametrize(
    "name", [b"new\nline.jpg", b"\xff\xfe.jpg", b"x" * 251 + b".jpg", b"\x1b[31mred.jpg", b"-rf *", b"...jpg"]
)
def test_any_name_reaches_the_ledger_intact(ground: Ground, name: bytes) -> None:
    ground.start()
    top = os.fsencode(ground.root)
    with open(top + b"/" + name, "wb") as file:
        file.write(b"x")
    os.mkdir(top + b"/d")
    with open(top + b"/d/" + name, "wb") as file:
        file.write(b"x")
    ground.until(
        lambda: {path for path, _, _ in ground.ledger.known_paths(top)} == {top + b"/" + name, top + b"/d/" + name}
    )


def test_what_is_no_regular_file_is_left_alone(ground: Ground) -> None:
    ground.start()
    os.mkfifo(ground.root / "fifo.jpg")
    (ground.root / "link.jpg").symlink_to(ground.elsewhere / "a.jpg")
    (ground.elsewhere / "a.jpg").write_bytes(b"x")
    (ground.root / "loop").symlink_to(".")
    os.mknod(ground.root / "socket.jpg", 0o140644)
    (ground.root / "dir.jpg").mkdir()
    (ground.root / "plain.jpg").write_bytes(b"x")
    ground.until_known("plain.jpg")
    ground.idle()
    assert ground.known() == {"plain.jpg"}


def test_excluded_names_and_folders_never_arrive_and_cost_no_watch(ground: Ground) -> None:
    ground.start(root_exclude=("private/",))
    for name in ("@eaDir", "private", ".deepdupe-quarantine", "kept"):
        (ground.root / name).mkdir()
        (ground.root / name / "a.jpg").write_bytes(b"x")
    for name in ("._a.jpg", "a.jpg.part", ".syncthing.a.jpg.tmp"):
        (ground.root / name).write_bytes(b"x")
    ground.until_known("kept/a.jpg")
    ground.idle()
    assert ground.known() == {"kept/a.jpg"}
    ground.until(lambda: ground.status().watched_directories == 2)


def test_a_file_left_out_by_a_later_configuration_is_known_no_more(ground: Ground) -> None:
    for name in ("a.jpg", "b.jpg"):
        (ground.root / name).write_bytes(b"x")
    ground.start()
    ground.until_known("a.jpg", "b.jpg")
    ground.stop()
    ground.start(root_exclude=("b.jpg",))
    ground.until_known("a.jpg")
    ground.stop()
    ground.start()
    ground.until_known("a.jpg", "b.jpg")


def test_a_path_longer_than_path_max_gets_its_row(ground: Ground) -> None:
    """It cannot be opened by name, so the decoder will fail it; but it is not passed over in silence."""
    fd = os.open(ground.root, os.O_RDONLY)
    for _ in range(20):
        name = b"d" * 250
        os.mkdir(name, dir_fd=fd)
        inner = os.open(name, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = inner
    os.close(os.open(b"deep.jpg", os.O_CREAT | os.O_WRONLY, dir_fd=fd))
    os.close(fd)
    ground.start()
    (name,) = ground.known()
    assert name.endswith("/deep.jpg")
    assert len(name) > 4096


def test_two_roots_are_kept_apart(ground: Ground, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    ground.start(ground.root, other)
    (ground.root / "a.jpg").write_bytes(b"x")
    (other / "b.jpg").write_bytes(b"x")
    ground.until_known("a.jpg")
    ground.until(lambda: ground.known(other) == {"b.jpg"})
    row = ground.row("b.jpg", other)
    assert row is not None
    assert row.root == os.fsencode(other)


@pytest.mark.parametrize("hours", [-24, 24])
def test_a_wall_clock_that_jumps_delays_nothing(ground: Ground, hours: int) -> None:
    """Files seem to be of tomorrow, or to have been quiet for a day; settling goes by the clock that never jumps."""

    class Jumped(SystemClock):
        def now_ns(self) -> int:
            return super().now_ns() + hours * 3600 * 10**9

    ground.clock = Jumped()
    (ground.root / "a.jpg").write_bytes(b"x")
    ground.start()
    assert ground.known() == {"a.jpg"}
    (ground.root / "b.jpg").write_bytes(b"x")
    ground.until_known("a.jpg", "b.jpg")
    (ground.root / "a.jpg").write_bytes(b"changed")
    ground.until(lambda: (row := ground.row("a.jpg")) is not None and row.key.identity.size == 7)


def test_a_stop_before_the_file_settled_loses_nothing(ground: Ground) -> None:
    ground.start(settle_s=60, close_settle_s=60)
    (ground.root / "a.jpg").write_bytes(b"x")
    ground.until(lambda: ground.status().settling == 1)
    ground.stop()
    assert ground.known() == set()
    ground.start()
    ground.until_known("a.jpg")


def test_a_quarantine_is_never_looked_into_whatever_the_globs_say(ground: Ground) -> None:
    (ground.root / "d" / ".deepdupe-quarantine").mkdir(parents=True)
    (ground.root / "d" / ".deepdupe-quarantine" / "a.jpg").write_bytes(b"x")
    ground.start(exclude=())
    (ground.root / "d" / ".deepdupe-quarantine" / "b.jpg").write_bytes(b"x")
    (ground.root / "d" / "c.jpg").write_bytes(b"x")
    ground.until_known("d/c.jpg")
    ground.idle()
    assert ground.known() == {"d/c.jpg"}


def test_a_file_moved_into_quarantine_is_gone(ground: Ground) -> None:
    (ground.root / "a.jpg").write_bytes(b"x")
    (ground.root / "b.jpg").write_bytes(b"y")
    ground.start()
    (ground.root / ".deepdupe-quarantine").mkdir()
    (ground.root / "a.jpg").rename(ground.root / ".deepdupe-quarantine" / "a.jpg")
    ground.until_known("b.jpg")
