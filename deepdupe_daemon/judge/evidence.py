"""What is known of two pictures before they are judged, and what a judgement looks like. Frozen throughout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, Self

from deepdupe_daemon.model import Comparison, ImageFacts, VerdictClass

__all__ = ["JudgePolicy", "PairEvidence", "Proof", "Ruling"]

#: the proofs that `needs` can ask for: digests of the upright full-size pixels, or the pixel-level verifier
Proof = Literal["pixels", "comparison"]


@dataclass(frozen=True, slots=True)
class JudgePolicy:
    """What the configuration says about judging.

    `match` names the spaces that must propose a pair before it is compared: "any" of those configured (PDQ within
    `pdq_max_distance` counts as one), "all" of them, or each of the named ones. Identical bytes need no proposal.
    """

    match: Literal["any", "all"] | tuple[str, ...] = "any"
    pdq_max_distance: int = 31  # of 256 bits; Meta's published threshold
    pdq_min_quality: int = 50  # of 100; below it Meta discards the hash
    tiny_side_px: int = 32  # a shorter side below this holds too little to prove a re-encode


@dataclass(frozen=True, slots=True)
class PairEvidence:
    """All that is known of a pair (a, b). None means: not asked yet.

    `similarities` holds, per space, the best cosine over the variants searched, raw; `normalised` the score of those
    spaces that have a rule of their own, which then counts instead; `thresholds` every active space.
    `pdq_distance` is the smallest Hamming distance over the eight dihedral variants, `qualities` PDQ's of a and b.
    """

    same_bytes: bool = False
    same_pixels: bool | None = None
    similarities: Mapping[str, float] = field(default_factory=dict)
    normalised: Mapping[str, float] = field(default_factory=dict)
    thresholds: Mapping[str, float] = field(default_factory=dict)
    pdq_distance: int | None = None
    qualities: tuple[int, int] | None = None
    facts_a: ImageFacts | None = None
    facts_b: ImageFacts | None = None
    comparison: Comparison | None = None
    marked_not_duplicate: bool = False
    same_bundle: bool = False  # members of one bundle (RAW+JPEG, Live Photo, ...)
    joined: bool = False  # one is alike to a proven copy of the other, which is proposal enough

    def swapped(self) -> Self:
        """The same evidence seen from b."""
        qualities = (self.qualities[1], self.qualities[0]) if self.qualities is not None else None
        return replace(self, qualities=qualities, facts_a=self.facts_b, facts_b=self.facts_a)


@dataclass(frozen=True, slots=True)
class Ruling:
    """The judgement on a pair: its class (None: nothing to tell), the vetoes that held it back, and why in words."""

    verdict_class: VerdictClass | None
    vetoes: tuple[str, ...] = ()
    reason: str = ""
