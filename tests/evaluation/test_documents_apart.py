"""One digit, one word, one tick makes another document, however it was compressed; the same page stays a copy."""

from __future__ import annotations

import pytest

from tests.evaluation.documents import DOCUMENTS, document_pair
from tests.evaluation.ladder import RE_ENCODED
from tests.evaluation.proving import judged
from tests.evaluation.sources import Source, Workshop

WAYS = ("png", "jpeg 75", "webp 80")


@pytest.fixture(scope="module")
def workshop() -> Workshop:
    return Workshop()


def a_seed(kind: str, *, held_out: bool) -> int:
    """The first page of this kind on which constants were set, or were not."""
    return next(seed for seed in range(40) if Source(f"drawn:{kind}:{seed}").held_out == held_out)


@pytest.mark.parametrize("held_out", [False, True], ids=["tuned on", "held out"])
@pytest.mark.parametrize("kind", DOCUMENTS)
def test_another_document_is_never_taken_for_a_copy(kind: str, held_out: bool, workshop: Workshop) -> None:
    page, other = document_pair(kind, a_seed(kind, held_out=held_out))
    original = RE_ENCODED["png"](page)
    for way in WAYS:
        verdict = judged(original, RE_ENCODED[way](other), workshop).ruling.verdict_class
        assert verdict is None or not verdict.proven, way
    copy = judged(original, RE_ENCODED["jpeg 75"](page), workshop).ruling.verdict_class
    assert copy is not None
    assert copy.proven
