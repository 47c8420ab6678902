"""Which verdict stands does not depend on who was judged first."""

from __future__ import annotations

import itertools

import pytest

from deepdupe_daemon.judge import DEFAULT_RULES, Member, PairEvidence, Ruling
from deepdupe_daemon.ledger import FileRow, ImageRow
from deepdupe_daemon.model import FileIdentity, FileKey, FileState, ImageFacts, PdqHash, VerdictClass
from deepdupe_daemon.service.examiner import Finding
from deepdupe_daemon.service.sentencing import identical_verdicts, keeper_of, pair_verdicts

FACTS = ImageFacts(640, 480, "JPEG", "RGB")


def row(file_id: int, image_id: int | None = None, ino: int | None = None) -> FileRow:
    return FileRow(
        file_id=file_id,
        key=FileKey(b"/%d.jpg" % file_id, FileIdentity(1, ino if ino is not None else file_id, 3, 4)),
        root=b"/protected" if file_id >= 100 else b"/",
        state=FileState.SEEN,
        image_id=image_id if image_id is not None else file_id,
        digest=b"d" * 32,
        live=False,
        attempts=0,
        error_kind=None,
        error=None,
        arrived_at_ns=file_id,
        retry_at_ns=None,
    )


def member(file: FileRow) -> Member:
    return Member(path=file.key.path, file_id=file.file_id, facts=FACTS, protected=file.root == b"/protected")


def finding(file: FileRow, verdict_class: VerdictClass | None) -> Finding:
    image = ImageRow(file.file_id, bytes([file.file_id]) * 32, None, FACTS, PdqHash(b"\0" * 32, 100), (), 0)
    return Finding(image, (file,), PairEvidence(similarities={"pdq.hash": 0.9}), Ruling(verdict_class))


def test_the_keeper_of_equal_bytes_is_the_first_whatever_the_order() -> None:
    rows = [row(3), row(1), row(2)]
    for order in itertools.permutations(rows):
        keeper, _ = keeper_of(order, member, DEFAULT_RULES)
        assert keeper.file_id == 1


def test_every_other_file_of_the_same_bytes_is_a_duplicate_of_the_keeper() -> None:
    sentences = identical_verdicts([row(1), row(2), row(3)], b"x" * 32, member, DEFAULT_RULES, 9)
    assert [(s.duplicate_id, s.keeper_id, s.verdict.verdict_class) for s in sentences] == [
        (2, 1, VerdictClass.IDENTICAL_BYTES),
        (3, 1, VerdictClass.IDENTICAL_BYTES),
    ]


def test_a_file_in_a_protected_root_is_kept_though_it_came_later() -> None:
    sentences = identical_verdicts([row(1), row(100)], b"x" * 32, member, DEFAULT_RULES, 9)
    assert [(s.duplicate_id, s.keeper_id, s.verdict.keeper_rule) for s in sentences] == [(1, 100, "protected")]


def test_hard_links_are_one_file() -> None:
    assert identical_verdicts([row(1, ino=7), row(2, ino=7)], b"x" * 32, member, DEFAULT_RULES, 9) == []


def test_the_strongest_class_stands_and_then_the_earliest_keeper() -> None:
    found = [
        finding(row(1), VerdictClass.RE_ENCODED),
        finding(row(2), VerdictClass.IDENTICAL_PIXELS),
        finding(row(3), VerdictClass.IDENTICAL_PIXELS),
        finding(row(4), None),
    ]
    for order in itertools.permutations(found):
        (sentence,) = pair_verdicts(row(9), b"n" * 32, order, member, DEFAULT_RULES, 0)
        assert (sentence.duplicate_id, sentence.keeper_id) == (9, 2)
        assert sentence.verdict.keeper_digest == b"\x02" * 32
        assert sentence.verdict.duplicate_digest == b"n" * 32


def test_a_file_that_was_there_first_makes_the_others_its_duplicates() -> None:
    found = [finding(row(5), VerdictClass.RE_ENCODED), finding(row(6), VerdictClass.EDITED)]
    sentences = pair_verdicts(row(1), b"n" * 32, found, member, DEFAULT_RULES, 0)
    assert [(s.duplicate_id, s.keeper_id) for s in sentences] == [(5, 1), (6, 1)]
    assert {s.verdict.duplicate_digest for s in sentences} == {b"\x05" * 32, b"\x06" * 32}


@pytest.mark.parametrize(
    ("other", "keeper_id", "stands"),
    [
        (VerdictClass.RE_ENCODED, 1, True),
        (VerdictClass.IDENTICAL_BYTES, 9, False),
        (VerdictClass.IDENTICAL_PIXELS, 1, False),
        (VerdictClass.IDENTICAL_PIXELS, 2, False),
        (VerdictClass.IDENTICAL_PIXELS, 3, True),
    ],
)
def test_the_order_of_verdicts_is_total(other: VerdictClass, keeper_id: int, stands: bool) -> None:
    (sentence,) = pair_verdicts(
        row(9), b"n" * 32, [finding(row(2), VerdictClass.IDENTICAL_PIXELS)], member, DEFAULT_RULES, 0
    )
    assert sentence.stands_over(other, keeper_id) is stands
