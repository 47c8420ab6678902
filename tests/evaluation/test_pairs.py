"""What the labelled pairs must come to: every exact copy, nearly every re-encode, and no picture that was no copy."""

from __future__ import annotations

from pathlib import Path

import pytest

from deepdupe_daemon.model import VerdictClass
from tests.evaluation.pairs import JudgedPair, judge_pairs

pytestmark = pytest.mark.evaluation


@pytest.fixture(scope="module")
def judged(data_dir: Path) -> list[JudgedPair]:
    return judge_pairs(data_dir)


def labelled(judged: list[JudgedPair], *labels: str) -> list[JudgedPair]:
    found = [pair for pair in judged if pair.expect in labels]
    assert found, f"no pair is labelled {labels}"
    return found


def test_every_exact_copy_is_identical_bytes(judged: list[JudgedPair]) -> None:
    assert {pair.verdict_class for pair in labelled(judged, "exact")} == {VerdictClass.IDENTICAL_BYTES}


def test_every_pixel_copy_is_identical_pixels(judged: list[JudgedPair]) -> None:
    assert {pair.verdict_class for pair in labelled(judged, "pixel")} == {VerdictClass.IDENTICAL_PIXELS}


def test_at_least_95_percent_of_the_copies_are_found(judged: list[JudgedPair]) -> None:
    copies = labelled(judged, "dup")
    assert sum(pair.found for pair in copies) >= 0.95 * len(copies)


def test_no_other_picture_is_called_identical_or_re_encoded(judged: list[JudgedPair]) -> None:
    assert [(pair.a, pair.b) for pair in labelled(judged, "similar", "distinct") if pair.automatic] == []
