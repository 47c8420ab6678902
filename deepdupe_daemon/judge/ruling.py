"""From evidence to a class: pure policy. `needs` says which proof to fetch next, `decide` what the proofs amount to."""

from __future__ import annotations

from deepdupe_daemon.judge.evidence import JudgePolicy, PairEvidence, Proof, Ruling
from deepdupe_daemon.judge.veto import (
    BUNDLE,
    MARKED,
    MULTI_FRAME,
    PIXELS_DIFFER,
    SHOT_VETOES,
    low_information_vetoes,
    shot_vetoes,
)
from deepdupe_daemon.model import Relation, VerdictClass

__all__ = ["DEFAULT_POLICY", "decide", "needs", "proposed"]

DEFAULT_POLICY = JudgePolicy()

#: DESIGN section 4, weakest first, so that `max` and `min` speak of strength
_STRENGTH = {cls: rank for rank, cls in enumerate(reversed(VerdictClass))}

_CLASS_OF = {
    Relation.SAME: VerdictClass.RE_ENCODED,
    Relation.EDITED: VerdictClass.EDITED,
    Relation.SERIES: VerdictClass.SERIES,
}

#: A decode to a smaller size and another container's decoder move a few bits of PDQ's 256 and no more (PDQ's authors:
#: implementations agree within 10 bits at quality >= 80), so a larger distance rules identical pixels out for free.
_SAME_PIXELS_PDQ = 16


def proposed(evidence: PairEvidence, policy: JudgePolicy = DEFAULT_POLICY) -> bool:
    """Whether the spaces that `policy.match` asks for hold the pair above their thresholds."""
    if evidence.joined:
        return True
    scores = {**evidence.similarities, **evidence.normalised}
    above = {space for space, threshold in evidence.thresholds.items() if scores.get(space, -2.0) >= threshold}
    if policy.match == "any":
        return bool(above) or _pdq_within(evidence, policy)
    wanted = set(evidence.thresholds) if policy.match == "all" else set(policy.match)
    return bool(wanted) and wanted <= above


def needs(evidence: PairEvidence, policy: JudgePolicy = DEFAULT_POLICY) -> Proof | None:
    """The next proof worth its cost, or None when `decide` can rule: ask, add what was found, ask again."""
    if evidence.marked_not_duplicate or evidence.same_bundle or evidence.same_bytes or evidence.same_pixels:
        return None
    if not proposed(evidence, policy):
        return None
    if evidence.same_pixels is None and _pixels_could_be_equal(evidence, policy):
        return "pixels"
    if evidence.comparison is not None:
        return None
    if SHOT_VETOES.intersection(shot_vetoes(evidence.facts_a, evidence.facts_b)) and _pdq_within(evidence, policy):
        return None  # a series by its tags and its look; a burst of n frames would cost n comparisons an arrival
    return "comparison"


def decide(evidence: PairEvidence, policy: JudgePolicy = DEFAULT_POLICY) -> Ruling:
    """The class of a pair, with the vetoes that lowered it. Symmetric; a stronger proof never weakens the class.

    An automatic class (`VerdictClass.proven`) never comes with a veto.
    """
    if evidence.marked_not_duplicate:
        return Ruling(None, (MARKED,), "a person said that these are no duplicates")
    if evidence.same_bundle:
        return Ruling(None, (BUNDLE,), "members of one bundle are never duplicates of each other")
    if evidence.same_bytes:
        return Ruling(VerdictClass.IDENTICAL_BYTES, (), "same bytes")
    shot = shot_vetoes(evidence.facts_a, evidence.facts_b)
    low = low_information_vetoes(evidence, policy)
    if evidence.same_pixels:
        return _on_identical_pixels(evidence, policy, shot, low)
    return _on_likeness(evidence, policy, shot, low)


def _on_identical_pixels(
    evidence: PairEvidence, policy: JudgePolicy, shot: tuple[str, ...], low: tuple[str, ...]
) -> Ruling:
    # Noise makes two exposures differ somewhere, so equal pixels outweigh tags that disagree (somebody set the clock
    # right). That fails for pictures without information (lens cap, blown out) and for frames that nobody looked at.
    blank = bool(low) or (evidence.qualities is not None and min(evidence.qualities) < policy.pdq_min_quality)
    held = tuple(veto for veto in shot if blank or veto == MULTI_FRAME)
    if held:
        return Ruling(VerdictClass.SERIES, held, "same pixels, but not the same shot")
    return Ruling(VerdictClass.IDENTICAL_PIXELS, (), "same pixels")


def _on_likeness(evidence: PairEvidence, policy: JudgePolicy, shot: tuple[str, ...], low: tuple[str, ...]) -> Ruling:
    found = evidence.comparison
    proven = _CLASS_OF.get(found.relation) if found is not None else None
    reason = found.reason if found is not None else ""
    differ = found is not None and found.relation in (Relation.SERIES, Relation.DIFFERENT)
    held = (*shot, *low, *((PIXELS_DIFFER,) if differ else ()))
    if proven is None:
        if not proposed(evidence, policy):
            return Ruling(None, (), reason or "not alike enough to compare")
        series = SHOT_VETOES.intersection(shot) and not low and _pdq_within(evidence, policy)
        weak = VerdictClass.SERIES if series else VerdictClass.RELATED
        return Ruling(weak, held, reason or "alike, not proven")
    limit = VerdictClass.RELATED if low else VerdictClass.SERIES if shot else proven
    verdict_class = min(proven, limit, key=_STRENGTH.__getitem__)
    return Ruling(verdict_class, held if differ or verdict_class is not proven else (), reason)


def _pdq_within(evidence: PairEvidence, policy: JudgePolicy) -> bool:
    return evidence.pdq_distance is not None and evidence.pdq_distance <= policy.pdq_max_distance


def _pixels_could_be_equal(evidence: PairEvidence, policy: JudgePolicy) -> bool:
    a, b = evidence.facts_a, evidence.facts_b
    if a is None or b is None or (a.width_px, a.height_px) != (b.width_px, b.height_px):
        return False
    if evidence.pdq_distance is None or evidence.qualities is None or min(evidence.qualities) < policy.pdq_min_quality:
        return True
    return evidence.pdq_distance <= _SAME_PIXELS_PDQ
