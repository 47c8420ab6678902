"""Spaces: their identity, their vectors, and where each stands towards its collection."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from deepdupe_daemon.clock import ManualClock
from deepdupe_daemon.errors import SpaceMismatch
from deepdupe_daemon.ledger import Ledger
from deepdupe_daemon.model import SpaceKey
from tests.ledger.build import OTHER, SPACE, add, arrival, digest_of, ino_of, seen, vector_of

NAME = SPACE.name


def ids(ledger: Ledger, space: str = NAME) -> list[int]:
    return [int(i) for chunk, _ in ledger.vectors(space) for i in chunk]


def test_a_space_is_remembered_as_it_was(ledger: Ledger) -> None:
    ledger.ensure_space(SPACE)
    ledger.ensure_space(OTHER)
    ledger.ensure_space(SPACE)
    assert ledger.spaces() == [SPACE, OTHER]


@pytest.mark.parametrize(
    "other",
    [
        replace(SPACE, dim=16),
        replace(SPACE, weights="v2"),
        replace(SPACE, weights_digest="ab"),
        replace(SPACE, preprocessing="{}"),
        replace(SPACE, schema=2),
    ],
)
def test_vectors_of_another_origin_are_never_mixed(ledger: Ledger, other: SpaceKey) -> None:
    add(ledger, ["a"])
    with pytest.raises(SpaceMismatch, match=r"reindex --model small") as caught:
        ledger.ensure_space(other)
    [field] = [
        f for f in ("dim", "weights_digest", "weights", "preprocessing", "schema") if f + " was" in str(caught.value)
    ]
    assert getattr(other, field) != getattr(SPACE, field)
    assert ledger.spaces() == [SPACE]
    assert ids(ledger) == [1]


def test_weights_are_known_by_their_digest_whatever_they_are_called(ledger: Ledger) -> None:
    """By a tag yesterday and by the path of the same file today: one space, called as it was at first."""
    tagged = SpaceKey("clip-vit-b-32", "final", 8, weights="openai", weights_digest="ab" * 32, preprocessing="{}")
    ledger.ensure_space(tagged)
    ledger.ensure_space(replace(tagged, weights="sha256:abababababab"))
    assert ledger.spaces() == [tagged]
    with pytest.raises(SpaceMismatch, match="weights_digest was"):
        ledger.ensure_space(replace(tagged, weights_digest="cd" * 32))


def test_fingerprints_stay_what_they_are() -> None:
    """They name builds in the ledger and collections in Chroma."""
    plain = SpaceKey("clip-vit-b-32", "final", 512, "sha256:abababababab", "ab" * 32, "{}")
    assert plain.fingerprint() == "6330102e690e44f6"
    assert replace(plain, weights="openai").fingerprint() == plain.fingerprint()
    assert SpaceKey("pdq", "hash", 256, "none", "", "{}").fingerprint() != SpaceKey("pdq", "hash", 256).fingerprint()


@pytest.mark.parametrize("name", ['x"; DROP TABLE files; --', "a'b", "", "vectors_1", "ü" * 200])
def test_a_hostile_name_stays_a_name(ledger: Ledger, name: str) -> None:
    key = SpaceKey(name, "final", 8)
    add(ledger, ["a"])
    ledger.ensure_space(key)
    row = ledger.file(1)
    assert row is not None
    ledger.record_seen([seen(row, "a", key)])
    assert ids(ledger, key.name) == [1]
    assert ledger.spaces() == [SPACE, key]


def test_an_unknown_space_is_a_lookup_error(ledger: Ledger) -> None:
    for ask in (ledger.space_generation, ledger.clear_stored, lambda s: list(ledger.vectors(s))):
        with pytest.raises(LookupError, match="no space nowhere"):
            ask("nowhere")


def test_vectors_come_in_chunks_without_loss(ledger: Ledger) -> None:
    add(ledger, [f"{i:03d}" for i in range(25)])
    chunks = list(ledger.vectors(NAME, chunk_rows=10))
    assert [len(chunk) for chunk, _ in chunks] == [10, 10, 5]
    assert np.concatenate([chunk for chunk, _ in chunks]).tolist() == list(range(1, 26))
    rows = np.concatenate([rows for _, rows in chunks])
    assert rows.dtype == np.float16
    assert np.array_equal(rows, np.stack([vector_of(f"{i:03d}") for i in range(25)]))
    assert [len(chunk) for chunk, _ in ledger.vectors(NAME, chunk_rows=5)] == [5] * 5


def test_an_empty_space_has_no_vectors(ledger: Ledger) -> None:
    ledger.ensure_space(SPACE)
    assert list(ledger.vectors(NAME)) == []
    found, digests, rows = ledger.unstored(NAME, 10)
    assert (found.shape, digests, rows.shape) == ((0,), [], (0, 8))


def test_only_images_with_a_living_file_are_recalled(ledger: Ledger) -> None:
    add(ledger, ["a", "b"], content="same")
    add(ledger, ["c"])
    assert ids(ledger) == [1, 2]
    ledger.note_gone(b"/photos/a")
    assert ids(ledger) == [1, 2], "b still has these bytes"
    ledger.note_gone(b"/photos/b")
    assert ids(ledger) == [2]
    ledger.note_arrivals([arrival("a", ino_of("a"))])
    assert ids(ledger) == [1, 2]
    ledger.note_arrivals([arrival("c", 5)])
    assert ids(ledger) == [1]


def test_vectors_wait_until_they_are_stored(ledger: Ledger) -> None:
    add(ledger, ["a", "b", "c"])
    found, digests, rows = ledger.unstored(NAME, 2)
    assert found.tolist() == [1, 2]
    assert digests == [digest_of("a"), digest_of("b")]
    assert np.array_equal(rows, np.stack([vector_of("a"), vector_of("b")]))
    ledger.mark_stored(NAME, found)
    assert ledger.unstored(NAME, 9)[0].tolist() == [3]
    assert ledger.unstored_counts() == {NAME: 1}
    ledger.mark_stored(NAME, [3, 999])
    assert ledger.unstored_counts() == {NAME: 0}
    ledger.clear_stored(NAME)
    assert ledger.unstored(NAME, 9)[0].tolist() == [1, 2, 3]


def test_what_has_no_file_any_longer_is_to_be_removed_from_the_collection(ledger: Ledger) -> None:
    add(ledger, ["a", "b"])
    ledger.mark_stored(NAME, [1])
    assert ledger.note_gone_tree(b"/photos") == 2
    assert ledger.unwanted(NAME, 9)[0].tolist() == [1], "b was never stored"
    assert ledger.unwanted(NAME, 9)[1] == [digest_of("a")]
    assert ledger.unstored_counts() == {NAME: 0}
    ledger.mark_removed(NAME, ledger.unwanted(NAME, 9)[0])
    assert ledger.unwanted(NAME, 9)[0].size == 0
    ledger.note_arrivals([arrival("a", ino_of("a")), arrival("b", ino_of("b"))])
    assert ledger.unstored(NAME, 9)[0].tolist() == [1, 2]


def test_a_return_before_the_removal_needs_nothing(ledger: Ledger) -> None:
    add(ledger, ["a"])
    ledger.mark_stored(NAME, [1])
    ledger.note_gone(b"/photos/a")
    ledger.note_arrivals([arrival("a", ino_of("a"))])
    assert ledger.unwanted(NAME, 9)[0].size == 0
    assert ledger.unstored_counts() == {NAME: 0}


def test_a_file_that_goes_while_it_is_stored_is_removed_afterwards(ledger: Ledger) -> None:
    add(ledger, ["a"])
    on_its_way = ledger.unstored(NAME, 9)[0]
    ledger.note_gone(b"/photos/a")
    ledger.mark_stored(NAME, on_its_way)
    assert ledger.unwanted(NAME, 9)[0].tolist() == [1]


def test_a_file_that_returns_while_it_is_removed_is_stored_again(ledger: Ledger) -> None:
    add(ledger, ["a"])
    ledger.mark_stored(NAME, [1])
    ledger.note_gone(b"/photos/a")
    on_its_way = ledger.unwanted(NAME, 9)[0]
    ledger.note_arrivals([arrival("a", ino_of("a"))])
    ledger.mark_removed(NAME, on_its_way)
    assert ledger.unstored(NAME, 9)[0].tolist() == [1]


def test_a_lost_collection_forgets_what_was_to_be_removed(ledger: Ledger) -> None:
    add(ledger, ["a", "b"])
    ledger.mark_stored(NAME, [1, 2])
    ledger.note_gone(b"/photos/a")
    ledger.clear_stored(NAME)
    assert ledger.unwanted(NAME, 9)[0].size == 0
    assert ledger.unstored(NAME, 9)[0].tolist() == [2]


def test_spaces_do_not_touch_each_other(ledger: Ledger) -> None:
    ledger.ensure_space(OTHER)
    [row] = add(ledger, ["a"])
    assert ledger.unstored_counts() == {OTHER.name: 0, NAME: 1}
    ledger.record_seen([seen(row, "a", OTHER)])
    ledger.mark_stored(NAME, [1])
    assert ledger.unstored_counts() == {OTHER.name: 1, NAME: 0}
    assert ledger.unstored(OTHER.name, 9)[2].tolist() == [vector_of("a", 4).tolist()]
    ledger.set_space_generation(OTHER.name, 3)
    assert (ledger.space_generation(OTHER.name), ledger.space_generation(NAME)) == (3, 0)


def test_missing_vectors_name_the_first_living_file_of_each_image(ledger: Ledger) -> None:
    add(ledger, ["a", "b"], content="same")
    add(ledger, ["c", "d"])
    ledger.ensure_space(OTHER)
    assert not ledger.has_vectors(digest_of("same"), [OTHER.name])
    assert ledger.has_vectors(digest_of("same"), [NAME])
    assert ledger.has_vectors(digest_of("same"), [])
    assert not ledger.has_vectors(b"?" * 32, [])
    ledger.note_gone(b"/photos/a")
    ledger.note_gone(b"/photos/d")
    assert [r.key.path[-1:] for r in ledger.missing_vectors(OTHER.name, 9)] == [b"b", b"c"]
    assert [r.key.path[-1:] for r in ledger.missing_vectors(OTHER.name, 1)] == [b"b"]
    assert [r.key.path[-1:] for r in ledger.missing_vectors(OTHER.name, 9, after_image_id=1)] == [b"c"]


def test_another_connection_sees_a_new_space(ledger: Ledger, state_dir: Path, clock: ManualClock) -> None:
    found: list[object] = []

    def look() -> None:
        with Ledger.open(state_dir, clock) as beside:
            found.append(beside.spaces())
            found.extend(ids(beside))

    add(ledger, ["a"])
    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert found == [[SPACE], 1]
