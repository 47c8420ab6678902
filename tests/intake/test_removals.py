"""Which missing files are gone: devices and mounts decide. The file system is a small table here."""

from __future__ import annotations

import os

import pytest

from deepdupe_daemon.intake.removals import Missing, Removals

ROOT = b"/root"
DISK, OTHER = 8, 9


class Tree:
    """What lstat says: a device per path, "file" or "dir"; everything else is not there."""

    def __init__(self) -> None:
        self.files: dict[bytes, int] = {}
        self.folders: dict[bytes, int] = {b"/": 1, ROOT: DISK}
        self.failing: set[bytes] = set()

    def lstat(self, path: bytes) -> os.stat_result:
        if path in self.failing:
            raise PermissionError(path)
        if path in self.files:
            return os.stat_result((0o100644, 1, self.files[path], 1, 0, 0, 1, 0, 0, 0))
        if path in self.folders:
            return os.stat_result((0o040755, 1, self.folders[path], 1, 0, 0, 1, 0, 0, 0))
        raise FileNotFoundError(path)


@pytest.fixture
def tree() -> Tree:
    return Tree()


def judge(tree: Tree, missing: list[Missing], **options: object) -> Removals:
    removals = Removals(ROOT, takes=lambda path: True, lstat=tree.lstat, **options)  # type: ignore[arg-type] # by name
    for _ in removals.judge(missing):
        pass
    return removals


def test_a_file_missing_from_its_own_file_system_is_gone(tree: Tree) -> None:
    removals = judge(tree, [(ROOT + b"/a", DISK), (ROOT + b"/no/such/folder/b", DISK)])
    assert (removals.gone, removals.withheld) == ([ROOT + b"/a", ROOT + b"/no/such/folder/b"], 0)


def test_a_file_whose_file_system_is_not_there_is_kept(tree: Tree) -> None:
    tree.folders[ROOT + b"/disk"] = DISK
    removals = judge(tree, [(ROOT + b"/disk/a", OTHER), (ROOT + b"/b", DISK)])
    assert (removals.gone, removals.withheld) == ([ROOT + b"/b"], 1)


def test_everything_is_kept_when_the_root_itself_is_gone(tree: Tree) -> None:
    """Whatever lies above the root says nothing of it, even on the same device."""
    del tree.folders[ROOT]
    tree.folders[b"/"] = DISK
    assert judge(tree, [(ROOT + b"/a", DISK), (ROOT + b"/d/b", DISK)]).withheld == 2


def test_a_file_that_is_there_is_not_gone(tree: Tree) -> None:
    tree.files[ROOT + b"/a"] = DISK
    removals = judge(tree, [(ROOT + b"/a", DISK)])
    assert (removals.gone, removals.withheld) == ([], 0)


def test_something_else_in_its_place_counts_as_gone(tree: Tree) -> None:
    tree.folders[ROOT + b"/a"] = DISK
    assert judge(tree, [(ROOT + b"/a", DISK)]).gone == [ROOT + b"/a"]


def test_a_file_that_is_there_and_is_left_out_now_is_gone(tree: Tree) -> None:
    tree.files[ROOT + b"/a"] = DISK
    removals = Removals(ROOT, takes=lambda path: False, lstat=tree.lstat)
    list(removals.judge([(ROOT + b"/a", DISK)]))
    assert removals.gone == [ROOT + b"/a"]


def test_what_cannot_be_looked_at_is_kept(tree: Tree) -> None:
    tree.failing = {ROOT + b"/shut/a", ROOT + b"/shut"}
    assert judge(tree, [(ROOT + b"/shut/a", DISK)]).unknown == 1


def test_a_missing_file_below_a_directory_that_cannot_be_looked_at_is_kept(tree: Tree) -> None:
    tree.failing = {ROOT + b"/shut"}
    assert judge(tree, [(ROOT + b"/shut/a", DISK)]).withheld == 1


def test_a_new_device_number_is_believed_when_as_many_were_met_under_it(tree: Tree) -> None:
    tree.folders[ROOT] = OTHER
    removals = Removals(ROOT, takes=lambda path: True, lstat=tree.lstat)
    for index in range(3):
        removals.met_elsewhere(ROOT + b"/%d" % index, DISK, OTHER)
    list(removals.judge([(ROOT + b"/gone%d" % index, DISK) for index in range(3)]))
    assert (len(removals.gone), removals.withheld) == (3, 0)


def test_a_new_device_number_is_not_believed_on_the_strength_of_a_few(tree: Tree) -> None:
    """A bare mount point that holds a copy of one picture does not make the other 30,000 disappear."""
    tree.folders[ROOT] = OTHER
    removals = Removals(ROOT, takes=lambda path: True, lstat=tree.lstat)
    removals.met_elsewhere(ROOT + b"/cover.jpg", DISK, OTHER)
    list(removals.judge([(ROOT + b"/gone%d" % index, DISK) for index in range(30_000)]))
    assert (removals.gone, removals.withheld) == ([], 30_000)


def test_a_mount_that_is_away_keeps_its_files_whatever_the_device(tree: Tree) -> None:
    """A bind mount of the same file system: only the table of mounts tells."""
    tree.folders[ROOT + b"/bound"] = DISK
    missing = [(ROOT + b"/bound/a", DISK), (ROOT + b"/b", DISK)]
    removals = judge(tree, missing, away=frozenset({ROOT + b"/bound"}))
    assert (removals.gone, removals.withheld) == ([ROOT + b"/b"], 1)


def test_a_mount_given_up_for_good_is_believed_once_its_files_were_met_without_it(tree: Tree) -> None:
    """The disk was copied to a larger one that needs no mount of its own."""
    tree.folders[ROOT + b"/bound"] = DISK
    removals = Removals(ROOT, away=frozenset({ROOT + b"/bound"}), takes=lambda path: True, lstat=tree.lstat)
    assert removals.watches_mounts
    for index in range(5):
        removals.met_elsewhere(ROOT + b"/bound/%d" % index, DISK, DISK)
    list(removals.judge([(ROOT + b"/bound/gone", DISK)]))
    assert (removals.gone, removals.withheld) == ([ROOT + b"/bound/gone"], 0)


def test_very_deep_paths_are_judged(tree: Tree) -> None:
    path = ROOT + b"/d" * 2000 + b"/a"
    assert judge(tree, [(path, DISK)]).gone == [path]


def test_long_lists_come_in_slices_and_sorted(tree: Tree) -> None:
    removals = Removals(ROOT, takes=lambda path: True, lstat=tree.lstat)
    missing = [(ROOT + b"/%05d" % index, DISK) for index in reversed(range(2000))]
    assert len(list(removals.judge(missing))) >= 3
    assert removals.gone == sorted(path for path, _ in missing)
