"""What the policy promises, by properties, and what each class needs, by example."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from deepdupe_daemon.judge import JudgePolicy, PairEvidence, decide, needs
from deepdupe_daemon.judge.veto import (
    BUNDLE,
    CAPTURE_TIME,
    EXPOSURE_BRACKET,
    LOW_INFORMATION,
    MARKED,
    MULTI_FRAME,
    SEQUENCE_NUMBER,
    TINY,
)
from deepdupe_daemon.model import Comparison, ExifFacts, ImageFacts, Relation, VerdictClass
from tests.judge.strategies import evidence, facts

POLICY = JudgePolicy()
STRENGTH = {cls: rank for rank, cls in enumerate(reversed(VerdictClass), start=1)}
PHOTO = ImageFacts(4000, 3000, "JPEG", "RGB")
TEN = "2024:05:01 10:00:00"
SAME = Comparison(Relation.SAME, 0.9)


def strength(ev: PairEvidence) -> int:
    verdict_class = decide(ev, POLICY).verdict_class
    return 0 if verdict_class is None else STRENGTH[verdict_class]


@given(evidence)
def test_decide_is_symmetric_and_deterministic(ev: PairEvidence) -> None:
    assert decide(ev, POLICY) == decide(ev.swapped(), POLICY) == decide(replace(ev), POLICY)
    assert needs(ev, POLICY) == needs(ev.swapped(), POLICY)


@given(evidence)
def test_an_automatic_class_never_comes_with_a_veto(ev: PairEvidence) -> None:
    ruling = decide(ev, POLICY)
    assert not (ruling.vetoes and ruling.verdict_class is not None and ruling.verdict_class.proven)


@given(evidence)
def test_an_automatic_class_rests_on_bytes_pixels_or_the_verifier(ev: PairEvidence) -> None:
    verdict_class = decide(ev, POLICY).verdict_class
    if verdict_class is not None and verdict_class.proven:
        verified = ev.comparison is not None and ev.comparison.relation is Relation.SAME
        assert ev.same_bytes or ev.same_pixels or verified


@given(evidence)
def test_equal_bytes_are_the_strongest_proof(ev: PairEvidence) -> None:
    assert strength(replace(ev, same_bytes=True)) >= strength(ev)


@given(evidence)
def test_equal_pixels_never_weaken_a_class(ev: PairEvidence) -> None:
    assert strength(replace(ev, same_pixels=True)) >= strength(replace(ev, same_pixels=False))


@given(evidence, st.sampled_from([Relation.DIFFERENT, Relation.SERIES, Relation.EDITED]))
def test_a_stronger_finding_of_the_verifier_never_weakens_a_class(ev: PairEvidence, weaker: Relation) -> None:
    order = [Relation.DIFFERENT, Relation.SERIES, Relation.EDITED, Relation.SAME]
    stronger = order[order.index(weaker) + 1]
    assert strength(replace(ev, comparison=Comparison(stronger, 0.5))) >= strength(
        replace(ev, comparison=Comparison(weaker, 0.5))
    )


@given(evidence, st.sampled_from(["pdq", "clip.final"]))
def test_a_higher_similarity_never_weakens_a_class(ev: PairEvidence, space: str) -> None:
    assume(space in ev.similarities)
    assert strength(replace(ev, similarities={**ev.similarities, space: 1.0})) >= strength(ev)


@given(evidence)
def test_tags_only_ever_lower_a_class(ev: PairEvidence) -> None:
    assume(not ev.comparison or ev.comparison.relation not in (Relation.DIFFERENT, Relation.UNDECIDED))
    assume(ev.comparison or ev.same_pixels or ev.same_bytes)
    bare = replace(ev, facts_a=None, facts_b=None)
    assert strength(ev) <= strength(bare)


@given(evidence)
def test_asking_ends_and_then_asks_for_nothing(ev: PairEvidence) -> None:
    asked = []
    while (proof := needs(ev, POLICY)) is not None:
        asked.append(proof)
        assert len(asked) <= 2
        ev = (
            replace(ev, same_pixels=False)
            if proof == "pixels"
            else replace(ev, comparison=Comparison(Relation.DIFFERENT, 0.0))
        )
    assert asked == sorted(asked, key=["pixels", "comparison"].index)


@given(evidence, facts, facts)
def test_a_person_has_the_last_word(ev: PairEvidence, a: ImageFacts, b: ImageFacts) -> None:
    marked = replace(ev, marked_not_duplicate=True, facts_a=a, facts_b=b)
    assert decide(marked, POLICY).verdict_class is None
    assert decide(marked, POLICY).vetoes == (MARKED,)
    assert needs(marked, POLICY) is None


def test_equal_bytes_need_nothing_else() -> None:
    ev = PairEvidence(same_bytes=True)
    assert needs(ev, POLICY) is None
    assert decide(ev, POLICY).verdict_class is VerdictClass.IDENTICAL_BYTES


def test_equal_sizes_ask_for_pixels_first_and_then_for_a_comparison() -> None:
    ev = PairEvidence(pdq_distance=2, qualities=(100, 100), facts_a=PHOTO, facts_b=PHOTO)
    assert needs(ev, POLICY) == "pixels"
    assert needs(replace(ev, same_pixels=False), POLICY) == "comparison"
    assert decide(replace(ev, same_pixels=True), POLICY).verdict_class is VerdictClass.IDENTICAL_PIXELS


def test_pixels_are_not_decoded_where_the_hash_rules_them_out() -> None:
    ev = PairEvidence(pdq_distance=24, qualities=(100, 100), facts_a=PHOTO, facts_b=PHOTO)
    assert needs(ev, POLICY) == "comparison"
    assert needs(replace(ev, qualities=(10, 10)), POLICY) == "pixels"  # a hash of low quality rules nothing out


def test_unalike_pictures_cost_no_proof() -> None:
    ev = PairEvidence(
        similarities={"pdq": 0.5}, thresholds={"pdq": 0.76}, pdq_distance=64, facts_a=PHOTO, facts_b=PHOTO
    )
    assert needs(ev, POLICY) is None
    assert decide(ev, POLICY).verdict_class is None


@pytest.mark.parametrize(
    ("match", "expected"),
    [("any", "comparison"), ("all", None), (("clip.final",), "comparison"), (("pdq", "clip.final"), None)],
)
def test_the_match_rule_says_which_spaces_must_propose(match: object, expected: str | None) -> None:
    ev = PairEvidence(
        similarities={"clip.final": 0.97},
        thresholds={"clip.final": 0.95, "pdq": 0.76},
        pdq_distance=60,
        facts_a=PHOTO,
        facts_b=replace(PHOTO, width_px=2000, height_px=1500),
    )
    assert needs(ev, JudgePolicy(match=match)) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("a", "b", "veto"),
    [
        (ExifFacts(captured_at=TEN, subsec="10"), ExifFacts(captured_at=TEN, subsec="20"), CAPTURE_TIME),
        (ExifFacts(captured_at=TEN), ExifFacts(captured_at="2024:05:01 10:00:01"), CAPTURE_TIME),
        (ExifFacts(sequence_number=1), ExifFacts(sequence_number=2), SEQUENCE_NUMBER),
        (ExifFacts(exposure_bias_ev=0.0), ExifFacts(exposure_bias_ev=-2.0), EXPOSURE_BRACKET),
        (
            ExifFacts(exposure_mode=2, exposure_time_s=0.01),
            ExifFacts(exposure_mode=2, exposure_time_s=0.04),
            EXPOSURE_BRACKET,
        ),
    ],
)
def test_a_series_is_told_by_its_tags_and_named(a: ExifFacts, b: ExifFacts, veto: str) -> None:
    ev = PairEvidence(
        pdq_distance=10,
        qualities=(90, 90),
        facts_a=replace(PHOTO, exif=a),
        facts_b=replace(PHOTO, exif=b),
        same_pixels=False,
    )
    assert needs(ev, POLICY) is None
    for known in (ev, replace(ev, comparison=SAME)):
        ruling = decide(known, POLICY)
        assert ruling.verdict_class is VerdictClass.SERIES
        assert veto in ruling.vetoes


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (ExifFacts(captured_at=TEN, subsec="50"), ExifFacts(captured_at=TEN, subsec="5")),
        (ExifFacts(captured_at=TEN, subsec="50"), ExifFacts(captured_at=TEN)),
        (ExifFacts(captured_at=TEN), ExifFacts()),
        (ExifFacts(exposure_time_s=0.01), ExifFacts(exposure_time_s=0.010001)),
    ],
)
def test_tags_that_agree_or_are_missing_hold_nothing_back(a: ExifFacts, b: ExifFacts) -> None:
    ev = PairEvidence(pdq_distance=10, facts_a=replace(PHOTO, exif=a), facts_b=replace(PHOTO, exif=b), comparison=SAME)
    assert decide(ev, POLICY).verdict_class is VerdictClass.RE_ENCODED


def test_equal_pixels_outweigh_a_corrected_clock_but_not_on_black_frames() -> None:
    a = replace(PHOTO, exif=ExifFacts(captured_at=TEN))
    b = replace(PHOTO, exif=ExifFacts(captured_at="2024:05:01 11:00:00"))
    ev = PairEvidence(pdq_distance=0, qualities=(100, 100), facts_a=a, facts_b=b, same_pixels=True)
    assert decide(ev, POLICY).verdict_class is VerdictClass.IDENTICAL_PIXELS
    black = decide(replace(ev, qualities=(0, 0)), POLICY)
    assert black.verdict_class is VerdictClass.SERIES
    assert black.vetoes == (CAPTURE_TIME,)


def test_only_first_frames_were_looked_at_so_an_animation_is_never_automatic() -> None:
    gif = ImageFacts(400, 300, "GIF", "P", frames=12)
    for proof in ({"same_pixels": True}, {"comparison": SAME}):
        ruling = decide(PairEvidence(pdq_distance=0, qualities=(90, 90), facts_a=gif, facts_b=gif, **proof), POLICY)
        assert ruling.verdict_class is VerdictClass.SERIES
        assert ruling.vetoes == (MULTI_FRAME,)
    assert decide(PairEvidence(same_bytes=True, facts_a=gif, facts_b=gif), POLICY).vetoes == ()


def test_a_jpeg_with_an_embedded_preview_is_a_still() -> None:
    phone = replace(PHOTO, format="MPO", frames=2)
    ev = PairEvidence(pdq_distance=4, facts_a=phone, facts_b=PHOTO, comparison=SAME)
    assert decide(ev, POLICY).verdict_class is VerdictClass.RE_ENCODED


def test_low_information_proves_nothing_but_by_bytes_or_pixels() -> None:
    blank = PairEvidence(
        pdq_distance=0, qualities=(0, 0), facts_a=PHOTO, facts_b=PHOTO, comparison=Comparison(Relation.UNDECIDED, 0.0)
    )
    assert decide(blank, POLICY).verdict_class is VerdictClass.RELATED
    assert decide(blank, POLICY).vetoes == (LOW_INFORMATION,)
    assert decide(replace(blank, same_pixels=True), POLICY).verdict_class is VerdictClass.IDENTICAL_PIXELS


def test_a_tiny_picture_is_never_called_re_encoded() -> None:
    icon = ImageFacts(16, 16, "PNG", "RGB")
    ev = PairEvidence(pdq_distance=0, qualities=(90, 90), facts_a=icon, facts_b=PHOTO, comparison=SAME)
    assert decide(ev, POLICY).verdict_class is VerdictClass.RELATED
    assert decide(ev, POLICY).vetoes == (TINY,)


def test_members_of_one_bundle_are_never_duplicates() -> None:
    assert decide(PairEvidence(same_bytes=True, same_bundle=True), POLICY).vetoes == (BUNDLE,)
    assert decide(PairEvidence(same_bytes=True, same_bundle=True), POLICY).verdict_class is None


@pytest.mark.parametrize(
    ("relation", "expected"),
    [
        (Relation.SAME, VerdictClass.RE_ENCODED),
        (Relation.EDITED, VerdictClass.EDITED),
        (Relation.SERIES, VerdictClass.SERIES),
        (Relation.DIFFERENT, VerdictClass.RELATED),
    ],
)
def test_the_verifier_decides_the_class(relation: Relation, expected: VerdictClass) -> None:
    ev = PairEvidence(pdq_distance=12, qualities=(90, 90), comparison=Comparison(relation, 0.5))
    assert decide(ev, POLICY).verdict_class is expected
