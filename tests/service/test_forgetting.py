"""Recall forgets pictures that nobody has any longer, and knows them again when they come back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from deepdupe_daemon.model import Relation, VerdictClass
from deepdupe_daemon.service import examiner
from tests.service.court import SPACE, Court, Looks

FEW = 3


@pytest.fixture
def court(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Court]:
    monkeypatch.setattr(examiner, "LEAST_GONE", FEW)
    opened = Court(tmp_path, Looks({frozenset((0, 1)): Relation.SAME}), contents=150)
    yield opened
    opened.close()


def arrive(court: Court, name: str, content: int, *, max_candidates: int = 64) -> None:
    court.note(name, content)
    court.see(name)
    court.judge(max_candidates=max_candidates)


def size(court: Court) -> int:
    return court.examiner().index.size(SPACE.name)


def test_what_comes_and_goes_does_not_stay_in_memory(court: Court) -> None:
    arrive(court, "stays", 0)
    for number in range(40):
        arrive(court, f"passes-{number}", 100 + number)
        court.gone(f"passes-{number}")
        court.examiner().forget_gone()
        assert size(court) <= 1 + FEW
    arrive(court, "copy", 1)
    assert court.verdicts()["copy"] == ("stays", VerdictClass.RE_ENCODED)


def test_what_comes_back_is_found_again(court: Court) -> None:
    arrive(court, "original", 0)
    for number in range(FEW + 1):
        arrive(court, f"passes-{number}", 100 + number)
        court.gone(f"passes-{number}")
    court.gone("original")
    assert court.examiner().forget_gone() == FEW + 2
    assert size(court) == 0
    court.note("original", 0)  # its file system is mounted again: nothing is decoded
    court.judge()
    arrive(court, "copy", 1)
    assert court.verdicts() == {"copy": ("original", VerdictClass.RE_ENCODED)}


def test_a_few_are_let_be(court: Court) -> None:
    """To look for them reads every id: not for each deletion."""
    for number in range(FEW):
        arrive(court, f"passes-{number}", 100 + number)
        court.gone(f"passes-{number}")
    assert court.examiner().forget_gone() == 0
    assert size(court) == FEW


def test_the_deleted_do_not_crowd_out_the_living(court: Court) -> None:
    """Recall gives the likest: deleted shots of one scene must not stand before the copy that is there."""
    for number in range(20):
        arrive(court, f"passes-{number}", 100 + number)
        court.gone(f"passes-{number}")
    arrive(court, "original", 0)
    court.examiner().forget_gone()
    arrive(court, "copy", 1, max_candidates=1)
    assert court.verdicts()["copy"] == ("original", VerdictClass.RE_ENCODED)
