"""The walk over real trees: order, what is passed over, and that nothing stops it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deepdupe_daemon.intake.walk import Entered, TreeWalk


def everywhere(_: bytes) -> bool:
    return True


def names(walk: TreeWalk) -> list[bytes]:
    return [path[len(walk.root) + 1 :] for found in walk for path, _ in found]


def make(root: Path, *files: str) -> bytes:
    for name in files:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return os.fsencode(root)


def test_files_come_in_the_order_of_their_path_bytes(tmp_path: Path) -> None:
    """`a.jpg` sorts before `a/b`, and `a0` after: a merge with the ledger's rows needs exactly that order."""
    root = make(tmp_path, "a/b", "a.jpg", "a0", "a-", "a/b.c/d", "a/b-", "Z", "ä", "b/c/d/e", "b/c.d")
    found = names(TreeWalk(root, everywhere))
    assert found == sorted(found)
    assert len(found) == 10


NAME = st.binary(min_size=1, max_size=6).filter(lambda n: b"/" not in n and b"\0" not in n and n not in (b".", b".."))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(paths=st.lists(st.lists(NAME, min_size=1, max_size=4), max_size=12))
def test_any_tree_comes_out_sorted_and_whole(
    tmp_path_factory: pytest.TempPathFactory, paths: list[list[bytes]]
) -> None:
    root = os.fsencode(tmp_path_factory.mktemp("tree"))
    wanted = set()
    for parts in paths:
        path = b"/".join(parts)
        try:
            os.makedirs(os.path.join(root, os.path.dirname(path)), exist_ok=True)
            with open(os.path.join(root, path), "xb"):
                wanted.add(path)
        except (FileExistsError, NotADirectoryError, IsADirectoryError):
            continue
    found = names(TreeWalk(root, everywhere))
    assert found == sorted(wanted)


def test_only_regular_files_are_reported(tmp_path: Path) -> None:
    root = make(tmp_path, "plain.jpg", "dir/inside.jpg")
    os.mkfifo(tmp_path / "fifo.jpg")
    os.mknod(tmp_path / "socket.jpg", 0o140644)
    (tmp_path / "link.jpg").symlink_to("plain.jpg")
    (tmp_path / "dangling.jpg").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to(".")
    (tmp_path / "dir.jpg").mkdir()
    os.link(tmp_path / "plain.jpg", tmp_path / "second-name.jpg")
    walk = TreeWalk(root, everywhere)
    assert names(walk) == [b"dir/inside.jpg", b"plain.jpg", b"second-name.jpg"]
    assert (walk.files, walk.directories, walk.unread) == (3, 3, [])


def test_a_device_node_is_passed_over(tmp_path: Path) -> None:
    root = make(tmp_path, "plain.jpg")
    try:
        os.mknod(tmp_path / "null.jpg", 0o020644, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("making a device node needs CAP_MKNOD")
    assert names(TreeWalk(root, everywhere)) == [b"plain.jpg"]


@pytest.mark.parametrize("name", [b"new\nline.jpg", b"\xff\xfe.jpg", b"x" * 251 + b".jpg", b" ", b"-rf", b"..jpg"])
def test_any_name_comes_through_as_it_is(tmp_path: Path, name: bytes) -> None:
    root = os.fsencode(tmp_path)
    with open(root + b"/" + name, "xb"):
        pass
    os.mkdir(root + b"/d" + name[:200])
    with open(root + b"/d" + name[:200] + b"/" + name, "xb"):
        pass
    assert names(TreeWalk(root, everywhere)) == sorted([name, b"d" + name[:200] + b"/" + name])


def test_excluded_directories_are_not_opened(tmp_path: Path) -> None:
    root = make(tmp_path, "kept/a", "left-out/b", "kept/left-out/c")
    entered: list[Entered] = []
    walk = TreeWalk(root, lambda relpath: b"left-out" not in relpath, on_directory=entered.append)
    assert names(walk) == [b"kept/a"]
    assert [entry.path for entry in entered] == [root, root + b"/kept"]


def test_a_directory_is_told_before_it_is_listed(tmp_path: Path) -> None:
    """What appears between the watch and the listing is met by the listing, what appears later by the watch."""
    root = make(tmp_path, "a/1")

    def add_one(entered: Entered) -> None:
        assert os.fstat(entered.fd).st_ino == entered.status.st_ino
        with open(entered.path + b"/late", "wb"):
            pass

    assert names(TreeWalk(root, everywhere, on_directory=add_one)) == [b"a/1", b"a/late", b"late"]


def test_a_start_below_the_root_walks_that_alone(tmp_path: Path) -> None:
    root = make(tmp_path, "a/b/1", "a/2", "b/3")
    assert names(TreeWalk(root, everywhere, start=root + b"/a/b")) == [b"a/b/1"]


def test_a_start_that_is_gone_or_excluded_yields_nothing(tmp_path: Path) -> None:
    root = make(tmp_path, "a/1")
    gone = TreeWalk(root, everywhere, start=root + b"/gone/deeper")
    assert names(gone) == []
    assert (gone.started, gone.unread) == (False, [])
    shut = TreeWalk(root, lambda relpath: relpath != b"a", start=root + b"/a")
    assert names(shut) == []


def test_a_start_behind_a_symlink_is_not_entered(tmp_path: Path) -> None:
    root = make(tmp_path / "root", "a/1")
    make(tmp_path / "secret", "deeper/2")
    (tmp_path / "root" / "link").symlink_to(tmp_path / "secret")
    walk = TreeWalk(root, everywhere, start=root + b"/link/deeper")
    assert names(walk) == []
    assert not walk.started


def test_a_directory_swapped_for_a_link_while_walking_leads_nowhere(tmp_path: Path) -> None:
    root = make(tmp_path / "root", "a/1", "m/2", "z/3")
    make(tmp_path / "secret", "2")

    def swap(entered: Entered) -> None:
        if entered.path.endswith(b"/a"):
            (tmp_path / "root" / "m").rename(tmp_path / "moved")
            (tmp_path / "root" / "m").symlink_to(tmp_path / "secret")

    walk = TreeWalk(root, everywhere, on_directory=swap)
    assert names(walk) == [b"a/1", b"z/3"]


def test_a_root_that_is_gone_is_said(tmp_path: Path) -> None:
    walk = TreeWalk(os.fsencode(tmp_path / "gone"), everywhere)
    assert names(walk) == []
    assert not walk.started
    assert [type(unread.error) for unread in walk.unread] == [FileNotFoundError]


def test_an_unreadable_directory_is_said_and_the_rest_walked(public_dir: Path, as_nobody: None) -> None:
    root = make(public_dir, "a/1", "shut/2", "z/3")
    (public_dir / "shut").chmod(0)
    walk = TreeWalk(root, everywhere)
    assert names(walk) == [b"a/1", b"z/3"]
    assert [unread.path for unread in walk.unread] == [root + b"/shut"]
    (public_dir / "shut").chmod(0o700)


def test_trees_deeper_than_the_descriptors_it_holds(tmp_path: Path) -> None:
    """200 levels with a file on each, beyond PATH_MAX for the deepest; every descriptor is closed at the end."""
    before = len(os.listdir("/proc/self/fd"))
    fd = os.open(tmp_path, os.O_RDONLY)
    for level in range(200):
        os.close(os.open(b"file", os.O_CREAT | os.O_WRONLY, dir_fd=fd))
        name = b"%03d" % level + b"x" * 30
        os.mkdir(name, dir_fd=fd)
        inner = os.open(name, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = inner
    os.close(os.open(b"last", os.O_CREAT | os.O_WRONLY, dir_fd=fd))
    os.close(fd)
    walk = TreeWalk(os.fsencode(tmp_path), everywhere)
    found, most = [], 0
    for slice_ in walk:
        found += slice_
        most = max(most, len(os.listdir("/proc/self/fd")) - before)
    assert len(found) == 201
    assert walk.directories == 201
    assert len(found[-1][0]) < len(max((path for path, _ in found), key=len))
    assert max(len(path) for path, _ in found) > 4096
    assert most < 70
    assert len(os.listdir("/proc/self/fd")) == before


def deep(root: bytes, levels: int, *, also: tuple[bytes, ...] = ()) -> None:
    """`levels` directories one in the other, each with a file `f`, and at each level the directories `also`."""
    fd = os.open(root, os.O_RDONLY)
    for _ in range(levels):
        for name in (b"m", *also):
            os.mkdir(name, dir_fd=fd)
            inner = os.open(name, os.O_RDONLY, dir_fd=fd)
            os.close(os.open(b"f", os.O_CREAT | os.O_WRONLY, dir_fd=inner))
            os.close(inner)
        inner = os.open(b"m", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = inner
    os.close(fd)


def test_the_way_back_from_the_depth_leads_into_other_depths(tmp_path: Path) -> None:
    root = os.fsencode(tmp_path)
    deep(root, 150, also=(b"a", b"z"))
    for name in (b"z/x", b"m/z/x"):
        os.mkdir(root + b"/" + name)
        deep(root + b"/" + name, 90)
    found = names(TreeWalk(root, everywhere))
    assert found == sorted(found)
    assert len(found) == 3 * 150 + 2 * 90


def test_a_deep_directory_that_moves_while_it_is_walked_ends_the_walk_and_says_so(tmp_path: Path) -> None:
    root = os.fsencode(tmp_path)
    deep(root, 100)
    before = len(os.listdir("/proc/self/fd"))
    moved = []

    def move(entered: Entered) -> None:
        if entered.path.count(b"/m") == 99 and not moved:
            moved.append(True)
            (tmp_path / "m" / "m" / "m").rename(tmp_path / "elsewhere")

    walk = TreeWalk(root, everywhere, on_directory=move)
    assert len(names(walk)) >= 97
    assert walk.cut_short
    assert len(os.listdir("/proc/self/fd")) == before


def test_an_abandoned_walk_closes_its_descriptors(tmp_path: Path) -> None:
    root = make(tmp_path, *(f"d{index}/{file}" for index in range(5) for file in range(300)))
    before = len(os.listdir("/proc/self/fd"))
    slices = iter(TreeWalk(root, everywhere))
    next(slices)
    assert len(os.listdir("/proc/self/fd")) > before
    slices.close()  # type: ignore[attr-defined] # a generator
    assert len(os.listdir("/proc/self/fd")) == before


def test_slices_are_short(tmp_path: Path) -> None:
    root = make(tmp_path, *(f"{index % 7}/{index}" for index in range(1500)))
    sizes = [len(found) for found in TreeWalk(root, everywhere)]
    assert sum(sizes) == 1500
    assert max(sizes) <= 512
