"""Renames, moves and removals: the ledger follows, and what is known is never seen anew."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from deepdupe_daemon.model import FileState
from tests.intake.conftest import Ground


def plant(ground: Ground, *names: str) -> dict[str, int]:
    """Files that are known and have been looked at; gives their file ids."""
    for name in names:
        (ground.root / name).parent.mkdir(parents=True, exist_ok=True)
        (ground.root / name).write_bytes(name.encode())
    ground.start()
    ground.until_known(*names)
    ground.index_all()
    return ids(ground, *names)


def ids(ground: Ground, *names: str) -> dict[str, int]:
    found = {}
    for name in names:
        row = ground.row(name)
        assert row is not None, name
        found[name] = row.file_id
    return found


def nothing_to_do(ground: Ground) -> bool:
    return not ground.ledger.take_pending(1, after=())


def test_a_renamed_file_keeps_its_row_and_is_not_seen_again(ground: Ground) -> None:
    before = plant(ground, "a.jpg")
    (ground.root / "a.jpg").rename(ground.root / "b.jpg")
    ground.until_known("b.jpg")
    assert ids(ground, "b.jpg") == {"b.jpg": before["a.jpg"]}
    assert nothing_to_do(ground)


def test_a_file_moved_between_roots_keeps_its_row(ground: Ground, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (ground.root / "a.jpg").write_bytes(b"x")
    ground.start(ground.root, other)
    ground.until_known("a.jpg")
    ground.index_all()
    before = ids(ground, "a.jpg")["a.jpg"]
    (ground.root / "a.jpg").rename(other / "a.jpg")
    ground.until(lambda: ground.known(other) == {"a.jpg"})
    row = ground.row("a.jpg", other)
    assert row is not None
    assert (row.file_id, row.root) == (before, os.fsencode(other))
    ground.until_known()
    assert nothing_to_do(ground)


def test_a_renamed_directory_keeps_every_row_and_is_heard_under_its_new_name(ground: Ground) -> None:
    names = [f"old/{index % 3}/{index}.jpg" for index in range(60)]
    before = plant(ground, *names)
    (ground.root / "old").rename(ground.root / "new")
    renamed = [name.replace("old/", "new/") for name in names]
    ground.until_known(*renamed)
    assert list(ids(ground, *renamed).values()) == list(before.values())
    assert nothing_to_do(ground)
    (ground.root / "new" / "1" / "later.jpg").write_bytes(b"x")
    ground.until_known(*renamed, "new/1/later.jpg")
    ground.until(lambda: ground.status().watched_directories == 5)


def test_a_directory_renamed_and_its_old_name_taken_by_another(ground: Ground) -> None:
    before = plant(ground, "a/1.jpg")
    (ground.root / "a").rename(ground.root / "b")
    (ground.root / "a").mkdir()
    (ground.root / "a" / "2.jpg").write_bytes(b"two")
    ground.until_known("b/1.jpg", "a/2.jpg")
    assert ids(ground, "b/1.jpg")["b/1.jpg"] == before["a/1.jpg"]
    (ground.root / "b" / "3.jpg").write_bytes(b"three")
    (ground.root / "a" / "4.jpg").write_bytes(b"four")
    ground.until_known("b/1.jpg", "a/2.jpg", "b/3.jpg", "a/4.jpg")


def test_a_storm_of_renames_ends_with_the_tree_as_it_is(ground: Ground) -> None:
    plant(ground, *(f"{index}.jpg" for index in range(40)))
    for round_ in range(15):
        for index in range(40):
            (ground.root / f"{index}{'x' * round_}.jpg").rename(ground.root / f"{index}{'x' * (round_ + 1)}.jpg")
    ground.until_known(*(f"{index}{'x' * 15}.jpg" for index in range(40)))
    ground.idle()
    assert nothing_to_do(ground)


def test_two_files_that_swap_their_names(ground: Ground) -> None:
    before = plant(ground, "a.jpg", "b.jpg")
    (ground.root / "a.jpg").rename(ground.root / "t.jpg")
    (ground.root / "b.jpg").rename(ground.root / "a.jpg")
    (ground.root / "t.jpg").rename(ground.root / "b.jpg")

    def swapped() -> bool:
        a, b = ground.row("a.jpg"), ground.row("b.jpg")
        return a is not None and b is not None and (a.key.identity.size, a.key.identity.ino) == (
            5, (ground.root / "a.jpg").stat().st_ino,
        ) and b.key.identity.ino == (ground.root / "b.jpg").stat().st_ino  # fmt: skip

    ground.until(swapped)
    ground.idle()
    assert ground.known() == {"a.jpg", "b.jpg"}
    assert set(before) == {"a.jpg", "b.jpg"}


def test_a_file_renamed_while_nobody_watched_keeps_its_row(ground: Ground) -> None:
    before = plant(ground, "d/a.jpg", "e/b.jpg")
    ground.stop()
    (ground.root / "d" / "a.jpg").rename(ground.root / "moved.jpg")
    (ground.root / "e").rename(ground.root / "f")
    ground.start()
    ground.until_known("moved.jpg", "f/b.jpg")
    assert ids(ground, "moved.jpg", "f/b.jpg") == {"moved.jpg": before["d/a.jpg"], "f/b.jpg": before["e/b.jpg"]}
    assert nothing_to_do(ground)


def test_a_removed_file_is_gone(ground: Ground) -> None:
    plant(ground, "a.jpg", "b.jpg")
    (ground.root / "a.jpg").unlink()
    ground.until(lambda: ground.state_of("a.jpg") is FileState.GONE)
    assert ground.known() == {"b.jpg"}
    ground.until(lambda: ground.status().gone_files == 1)


def test_a_removed_tree_is_gone(ground: Ground) -> None:
    plant(ground, *(f"d/{index % 5}/{index}.jpg" for index in range(100)), "kept.jpg")
    shutil.rmtree(ground.root / "d")
    ground.until_known("kept.jpg")
    ground.until(lambda: ground.status().watched_directories == 1)


def test_a_directory_moved_out_is_gone_with_its_files_and_heard_no_more(ground: Ground) -> None:
    plant(ground, "d/e/1.jpg", "kept.jpg")
    (ground.root / "d").rename(ground.elsewhere / "d")
    ground.until_known("kept.jpg")
    (ground.elsewhere / "d" / "e" / "2.jpg").write_bytes(b"x")
    ground.until(lambda: ground.status().watched_directories == 1)
    (ground.elsewhere / "d").rename(ground.root / "back")
    ground.until_known("kept.jpg", "back/e/1.jpg", "back/e/2.jpg")


def test_files_removed_while_nobody_watched_are_gone_after_the_first_walk(ground: Ground) -> None:
    plant(ground, "a.jpg", "d/b.jpg", "d/c.jpg")
    ground.stop()
    (ground.root / "a.jpg").unlink()
    shutil.rmtree(ground.root / "d")
    (ground.root / "new.jpg").write_bytes(b"new")
    ground.start()
    ground.until_known("new.jpg")


def test_a_file_removed_and_put_back_needs_no_second_look(ground: Ground) -> None:
    before = plant(ground, "a.jpg", "b.jpg")
    (ground.root / "a.jpg").rename(ground.elsewhere / "a.jpg")
    ground.until_known("b.jpg")
    (ground.elsewhere / "a.jpg").rename(ground.root / "a.jpg")
    ground.until_known("a.jpg", "b.jpg")
    assert ids(ground, "a.jpg", "b.jpg") == before
    assert nothing_to_do(ground)


def test_a_file_replaced_by_a_directory_or_link_is_gone(ground: Ground) -> None:
    plant(ground, "a.jpg", "b.jpg", "kept.jpg")
    for name in ("a.jpg", "b.jpg"):
        (ground.root / name).unlink()
    (ground.root / "a.jpg").mkdir()
    (ground.root / "b.jpg").symlink_to("kept.jpg")
    ground.until_known("kept.jpg")


def test_a_directory_that_left_a_link_behind_is_gone_from_its_old_place(ground: Ground) -> None:
    """Through the link the old path still shows the file."""
    plant(ground, "d/1.jpg", "kept.jpg")
    (ground.root / "d").rename(ground.elsewhere / "d")
    (ground.root / "d").symlink_to(ground.elsewhere / "d")
    ground.until_known("kept.jpg")
    ground.stop()
    ground.start()
    assert ground.known() == {"kept.jpg"}


def test_a_file_that_comes_while_its_directory_is_swapped_for_a_link_is_not_taken_from_behind_it(
    ground: Ground,
) -> None:
    plant(ground, "kept.jpg")
    (ground.elsewhere / "1.jpg").write_bytes(b"secret")
    (ground.root / "d").mkdir()
    ground.until(lambda: ground.status().watched_directories == 2)
    (ground.root / "d" / "1.jpg").write_bytes(b"x")
    shutil.rmtree(ground.root / "d")
    (ground.root / "d").symlink_to(ground.elsewhere)
    ground.idle()
    ground.clock.wait(ground.never, 0.5)
    assert ground.known() == {"kept.jpg"}


def test_a_root_reached_through_a_link_above_it_is_watched_all_the_same(ground: Ground, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(ground.elsewhere)
    root = tmp_path / "link" / "inside"
    root.mkdir()
    ground.start(root)
    (root / "a.jpg").write_bytes(b"x")
    ground.until(lambda: ground.known(root) == {"a.jpg"})
    (root / "a.jpg").unlink()
    ground.until(lambda: ground.known(root) == set())
