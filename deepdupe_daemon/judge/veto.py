"""Reasons why two pictures are no copies of each other, whatever their pixels look like.

A veto never raises a class; it lowers one. The words are an interface: they stand in the record and in `why`.
"""

from __future__ import annotations

from deepdupe_daemon.judge.evidence import JudgePolicy, PairEvidence
from deepdupe_daemon.model import ExifFacts, ImageFacts, Relation

__all__ = [
    "BUNDLE",
    "BURST_FRAME",
    "CAPTURE_TIME",
    "EXPOSURE_BRACKET",
    "LOW_INFORMATION",
    "MARKED",
    "MULTI_FRAME",
    "PIXELS_DIFFER",
    "SEQUENCE_NUMBER",
    "SHOT_VETOES",
    "TINY",
    "UNIQUE_ID",
    "low_information_vetoes",
    "shot_vetoes",
]

MARKED = "marked not duplicate"
BUNDLE = "members of one bundle"
CAPTURE_TIME = "different capture time"
SEQUENCE_NUMBER = "different sequence number"
EXPOSURE_BRACKET = "exposure bracket"
UNIQUE_ID = "different image id"
BURST_FRAME = "frames of one burst"
MULTI_FRAME = "animated or multi-page"
LOW_INFORMATION = "low information"
TINY = "tiny picture"
PIXELS_DIFFER = "pixels differ"  # the verifier looked, and it is another picture or another shot

#: the tags say that these are two exposures
SHOT_VETOES = frozenset({CAPTURE_TIME, SEQUENCE_NUMBER, EXPOSURE_BRACKET, UNIQUE_ID, BURST_FRAME})

#: Pillow counts a JPEG's embedded preview or gain map (MPO) and a PSD's layers as frames; the picture is the first one.
_STILL_FORMATS = frozenset({"MPO", "PSD"})


def shot_vetoes(a: ImageFacts | None, b: ImageFacts | None) -> tuple[str, ...]:
    """Vetoes from the tags alone: two exposures, or files of which only the first frame was looked at."""
    if a is None or b is None:
        return ()
    found = _exif_vetoes(a.exif, b.exif)
    if _multi_frame(a) or _multi_frame(b):
        found.append(MULTI_FRAME)
    return tuple(found)


def low_information_vetoes(evidence: PairEvidence, policy: JudgePolicy) -> tuple[str, ...]:
    """Vetoes for pictures that hold too little to tell a copy: only identical bytes or pixels count there."""
    found = []
    if any(_tiny(facts, policy) for facts in (evidence.facts_a, evidence.facts_b)):
        found.append(TINY)
    if evidence.comparison is not None and evidence.comparison.relation is Relation.UNDECIDED:
        found.append(LOW_INFORMATION)
    elif evidence.comparison is None and evidence.qualities and min(evidence.qualities) < policy.pdq_min_quality:
        # The hash proves nothing there; the verifier has seen 100 times more pixels and knows better.
        found.append(LOW_INFORMATION)
    return tuple(found)


def _exif_vetoes(a: ExifFacts, b: ExifFacts) -> list[str]:
    found = []
    if _different_moment(a, b):
        found.append(CAPTURE_TIME)
    if _differ(a.sequence_number, b.sequence_number):
        found.append(SEQUENCE_NUMBER)
    if _bracketed(a, b):
        found.append(EXPOSURE_BRACKET)
    if _differ(a.unique_id, b.unique_id):
        found.append(UNIQUE_ID)
    if a.burst_id is not None and a.burst_id == b.burst_id and found:
        found.append(BURST_FRAME)
    return found


def _different_moment(a: ExifFacts, b: ExifFacts) -> bool:
    if _differ(a.captured_at, b.captured_at):
        return True
    if a.captured_at is None or a.captured_at != b.captured_at or a.subsec is None or b.subsec is None:
        return False
    return _fraction(a.subsec) != _fraction(b.subsec)


def _fraction(subsec: str) -> str:
    # SubSecTime is the digits after the point, so "5", "50" and "500 " are one moment (EXIF 2.32, 4.6.6).
    return subsec.strip().rstrip("0")


def _bracketed(a: ExifFacts, b: ExifFacts) -> bool:
    """Both say that they belong to an auto bracket (EXIF 2.32 ExposureMode 2), or their exposures differ."""
    auto = a.exposure_mode == 2 and b.exposure_mode == 2
    bias = _differ(a.exposure_bias_ev, b.exposure_bias_ev)
    time = _differ(a.exposure_time_s, b.exposure_time_s)
    return bias or (time and _longer_by_a_tenth(a.exposure_time_s, b.exposure_time_s)) or (auto and time)


def _longer_by_a_tenth(a: float | None, b: float | None) -> bool:
    # Tools that rewrite tags round rationals; brackets start at a third of a stop, which is 26 %.
    if not a or not b:
        return False
    return max(a, b) > 1.1 * min(a, b)


def _differ(a: object | None, b: object | None) -> bool:
    return a is not None and b is not None and a != b


def _multi_frame(facts: ImageFacts) -> bool:
    return facts.frames > 1 and facts.format not in _STILL_FORMATS


def _tiny(facts: ImageFacts | None, policy: JudgePolicy) -> bool:
    return facts is not None and min(facts.width_px, facts.height_px) < policy.tiny_side_px
