"""Committing what was seen: whole, guarded against change, repeatable."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from deepdupe_daemon.clock import ManualClock
from deepdupe_daemon.ledger import F16Array, FileRow, Ledger, SeenRecord
from deepdupe_daemon.model import FileState, ImageFacts, PdqHash
from tests.ledger.build import FACTS, OTHER, SPACE, add, arrival, digest_of, seen, vector_of, verdict


def vectors(ledger: Ledger, space: str = SPACE.name) -> dict[int, list[float]]:
    return {int(i): row.tolist() for ids, rows in ledger.vectors(space) for i, row in zip(ids, rows, strict=True)}


def seen_with(row: FileRow, rows: dict[str, F16Array]) -> SeenRecord:
    return SeenRecord(row.file_id, row.key, digest_of("a"), FACTS, PdqHash(bytes(32), 9), (), rows)


def test_an_image_comes_back_as_it_was_given(ledger: Ledger, clock: ManualClock) -> None:
    [row] = add(ledger, ["a"])
    image = ledger.image(row.image_id or 0)
    assert image is not None
    assert image == ledger.image_by_digest(digest_of("a"))
    assert (image.digest, image.pixel_digest, image.facts) == (digest_of("a"), None, FACTS)
    assert image.pdq == PdqHash(digest_of("a"), 90)
    assert image.pdq_variants == (digest_of("a"),) * 8
    assert image.first_seen_at_ns == clock.now_ns()
    ledger.record_proofs([], {image.image_id: b"\x01" * 32})
    again = ledger.image(image.image_id)
    assert again is not None
    assert again.pixel_digest == b"\x01" * 32
    assert ledger.image(99) is None
    assert ledger.image_by_digest(b"?" * 32) is None


def test_files_with_the_same_bytes_share_one_image_and_one_vector(ledger: Ledger) -> None:
    a, b = add(ledger, ["a", "b"], content="same")
    assert a.image_id == b.image_id
    assert vectors(ledger) == {a.image_id: vector_of("same").tolist()}
    assert [row.file_id for row in ledger.living_files(a.image_id or 0)] == [a.file_id, b.file_id]
    assert ledger.living_images().tolist() == [a.image_id]


def test_a_file_that_changed_meanwhile_keeps_nothing_of_the_old_bytes(ledger: Ledger) -> None:
    ledger.ensure_space(SPACE)
    ledger.note_arrivals([arrival("a", 1), arrival("b", 2)])
    a, b = ledger.take_pending(2)
    ledger.note_arrivals([arrival("a", 3)])
    assert ledger.record_seen([seen(a, "a"), seen(b, "b")]) == [None, 1]
    assert ledger.image_by_digest(digest_of("a")) is None
    assert [row.key.identity.ino for row in ledger.take_pending(9)] == [3]


def test_a_file_that_went_meanwhile_keeps_its_image_for_its_return(ledger: Ledger) -> None:
    ledger.ensure_space(SPACE)
    ledger.note_arrivals([arrival("a", 1)])
    [row] = ledger.take_pending(1)
    ledger.note_gone(row.key.path)
    assert ledger.record_seen([seen(row, "a")]) == [1]
    assert ledger.counts()[FileState.GONE] == 1
    assert vectors(ledger) == {}
    assert ledger.unstored_counts() == {SPACE.name: 0}
    ledger.note_arrivals([arrival("a", 1)])
    assert [r.image_id for r in ledger.take_seen(9)] == [1]
    assert list(vectors(ledger)) == [1]
    assert ledger.unstored_counts() == {SPACE.name: 1}


def test_repeating_a_record_changes_nothing(ledger: Ledger) -> None:
    [row] = add(ledger, ["a"])
    before = ledger.file(row.file_id), ledger.image(1), vectors(ledger), ledger.unstored_counts()
    assert ledger.record_seen([seen(row, "a"), seen(row, "a")]) == [1, 1]
    assert (ledger.file(row.file_id), ledger.image(1), vectors(ledger), ledger.unstored_counts()) == before


def test_a_newer_decoder_renews_the_facts_and_never_the_vector(ledger: Ledger) -> None:
    [row] = add(ledger, ["a"])
    facts = ImageFacts(41, 31, "HEIF", "RGB")
    newer = SeenRecord(
        row.file_id, row.key, digest_of("a"), facts, PdqHash(b"\x02" * 32, 70), (), {SPACE.name: vector_of("b")}
    )
    assert ledger.record_seen([newer]) == [1]
    image = ledger.image(1)
    assert image is not None
    assert (image.facts, image.pdq, image.pdq_variants) == (facts, PdqHash(b"\x02" * 32, 70), ())
    assert vectors(ledger) == {1: vector_of("a").tolist()}


def test_a_vector_in_a_new_space_is_judged_again(ledger: Ledger) -> None:
    [row] = add(ledger, ["a"])
    ledger.ensure_space(OTHER)
    assert [r.file_id for r in ledger.missing_vectors(OTHER.name, 9)] == [row.file_id]
    ledger.record_seen([seen(row, "a", SPACE, OTHER)])
    assert [r.file_id for r in ledger.take_seen(9)] == [row.file_id]
    assert ledger.missing_vectors(OTHER.name, 9) == []
    assert ledger.has_vectors(digest_of("a"), [SPACE.name, OTHER.name])


def test_a_model_that_is_added_takes_nothing_from_recall_meanwhile(ledger: Ledger) -> None:
    a, b = add(ledger, ["a", "b"], content="same")
    [c] = add(ledger, ["c"])
    ledger.mark_stored(SPACE.name, [1, 2])
    record = [verdict(b, a)]
    ledger.record_judged([b.file_id], record)
    ledger.ensure_space(OTHER)
    assert ledger.requeue_missing([SPACE.name, OTHER.name]) == 3
    assert ledger.requeue_missing([SPACE.name, OTHER.name]) == 0, "once is enough"
    assert set(vectors(ledger)) == {1, 2}
    assert ledger.unwanted(SPACE.name, 9)[0].size == 0, "nothing leaves the collection"
    assert len(list(ledger.duplicates())) == 1
    assert ledger.counts()[FileState.INDEXED] == 3
    assert ledger.pending_counts() == (0, 3)
    ledger.note_arrivals([arrival("new", 9)])
    assert next(r.key.path[-3:] for r in ledger.take_pending(9)) == b"new", "what is new comes first"
    assert [r.file_id for r in ledger.take_pending(9, after=[4, a.file_id])] == [b.file_id, c.file_id]
    assert ledger.take_seen(9) == []
    ledger.record_seen([seen(c, "c", SPACE, OTHER), seen(b, "same", SPACE, OTHER)])
    assert [r.file_id for r in ledger.take_seen(9)] == [b.file_id, c.file_id], "a has not been looked at yet"
    assert ledger.attach_known(a.file_id, a.key, digest_of("same")) == 1
    assert [r.file_id for r in ledger.take_seen(9)] == [a.file_id, b.file_id, c.file_id], "equal bytes, judged together"
    assert ledger.pending_counts() == (0, 1)
    assert ledger.record_judged([1, 2, 3], record) == []


def test_a_file_that_fails_for_a_model_that_is_added_says_so(ledger: Ledger) -> None:
    """It could be read once; now it cannot, and no space may hold it without the others."""
    [row] = add(ledger, ["a"])
    ledger.ensure_space(OTHER)
    ledger.requeue_missing([OTHER.name])
    assert ledger.record_failed(row.file_id, row.key, "truncated", "ends early", None)
    assert ledger.take_pending(9) == []
    assert ledger.take_seen(9) == []
    assert [r.file_id for r in ledger.failed(9)] == [row.file_id]


def test_known_bytes_are_attached_without_a_decode(ledger: Ledger) -> None:
    [a] = add(ledger, ["a"])
    ledger.note_arrivals([arrival("b", 2), arrival("c", 3)])
    b, c = ledger.take_pending(2)
    assert ledger.attach_known(b.file_id, b.key, digest_of("new")) is None
    assert ledger.attach_known(b.file_id, b.key, digest_of("a")) == a.image_id
    ledger.note_arrivals([arrival("c", 4)])
    assert ledger.attach_known(c.file_id, c.key, digest_of("a")) is None
    assert [row.file_id for row in ledger.take_seen(9)] == [b.file_id]
    assert [row.file_id for row in ledger.take_pending(9)] == [c.file_id]


@pytest.mark.parametrize("change", ["identity", "path"])
def test_a_failure_speaks_only_of_the_file_that_was_read(ledger: Ledger, change: str) -> None:
    ledger.note_arrivals([arrival("a", 1)])
    [row] = ledger.take_pending(1)
    ledger.note_arrivals([arrival("a", 2) if change == "identity" else arrival("b", 1)])
    assert not ledger.record_failed(row.file_id, row.key, "vanished", "no such file", None)
    assert not ledger.record_ignored(row.file_id, row.key, "text")
    assert ledger.counts()[FileState.PENDING] == 1


def test_a_later_failure_takes_nothing_from_a_picture_that_was_seen(ledger: Ledger) -> None:
    """A space that is filled later may time out on a file; what recall has of it stays."""
    [row] = add(ledger, ["a"])
    assert not ledger.record_failed(row.file_id, row.key, "timeout", "60 s", None)
    assert ledger.living_images().tolist() == [row.image_id]


def test_an_ignored_file_says_why(ledger: Ledger) -> None:
    ledger.note_arrivals([arrival("a", 1)])
    [row] = ledger.take_pending(1)
    assert ledger.record_ignored(row.file_id, row.key, "it is text")
    found = ledger.file(row.file_id)
    assert found is not None
    assert (found.state, found.error_kind, found.error) == (FileState.IGNORED, "not-an-image", "it is text")


@pytest.mark.parametrize("bad", [[np.nan] * 8, [np.inf] + [0.0] * 7, [[0.0] * 8]])
def test_a_bad_vector_is_refused_alone(ledger: Ledger, bad: object) -> None:
    [row] = add(ledger, ["a"])
    with pytest.raises(ValueError, match="finite"):
        seen_with(row, {"s": np.array(bad, np.float16)})


@pytest.mark.parametrize(("bits", "variants"), [(b"x", ()), (bytes(32), (bytes(32),)), (bytes(32), (bytes(31),) * 8)])
def test_a_bad_pdq_is_refused(ledger: Ledger, bits: bytes, variants: tuple[bytes, ...]) -> None:
    [row] = add(ledger, ["a"])
    with pytest.raises(ValueError, match="PDQ"):
        SeenRecord(row.file_id, row.key, digest_of("a"), FACTS, PdqHash(bits, 9), variants, {})


def test_a_batch_with_an_unknown_space_or_a_wrong_dimension_keeps_nothing(ledger: Ledger) -> None:
    ledger.ensure_space(SPACE)
    ledger.note_arrivals([arrival("a", 1), arrival("b", 2)])
    a, b = ledger.take_pending(2)
    with pytest.raises(LookupError, match=r"other\.pooler"):
        ledger.record_seen([seen(a, "a"), seen(b, "b", OTHER)])
    with pytest.raises(ValueError, match="8 dimensions"):
        ledger.record_seen([seen(a, "a"), seen_with(b, {SPACE.name: vector_of("b", 9)})])
    assert ledger.counts()[FileState.PENDING] == 2
    assert ledger.image_by_digest(hashlib.sha256(b"a").digest()) is None
    assert ledger.record_seen([]) == []
