"""One pair through recall by PDQ, the proofs and the policy, as the service does it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from deepdupe_daemon.judge import JudgePolicy, PairEvidence, Ruling, compare_pictures, decide, needs
from deepdupe_daemon.model import Comparison, VerdictClass
from tests.evaluation.sources import Sight, Workshop

__all__ = ["Judged", "found", "judged", "pdq_distance"]

POLICY = JudgePolicy()
_POPCOUNT = np.array([value.bit_count() for value in range(256)], np.uint8)


@dataclass(frozen=True, slots=True)
class Judged:
    """What became of a pair. `proposed`: PDQ's eight variants are enough to find it, without any model."""

    ruling: Ruling
    comparison: Comparison | None
    pdq_distance: int
    proposed: bool

    @property
    def verdict(self) -> str:
        """The class as text; "-" for none."""
        return str(self.ruling.verdict_class or "-")


def pdq_distance(a: Sight, b: Sight) -> int:
    """The smallest Hamming distance between b and the dihedral variants of a."""
    variants = np.frombuffer(b"".join(a.variants), np.uint8).reshape(-1, 32)
    return int(_POPCOUNT[variants ^ np.frombuffer(b.pdq.bits, np.uint8)].sum(axis=1).min())


def judged(a: bytes, b: bytes, workshop: Workshop, *, sights: tuple[Sight, Sight] | None = None) -> Judged:
    """The judgement on two files, were they proposed by some model; each proof is fetched when the policy asks."""
    first, second = sights or (workshop.sight(a), workshop.sight(b))
    distance = pdq_distance(first, second)
    evidence = PairEvidence(
        same_bytes=first.digest == second.digest,
        similarities={"any model": 1.0},
        thresholds={"any model": 0.5},
        pdq_distance=distance,
        qualities=(first.pdq.quality, second.pdq.quality),
        facts_a=first.facts,
        facts_b=second.facts,
    )
    while (wanted := needs(evidence, POLICY)) is not None:
        if wanted == "pixels":
            same = workshop.pixel_digest(a) == workshop.pixel_digest(b)
            evidence = replace(evidence, same_pixels=same)
        else:
            evidence = replace(evidence, comparison=compare_pictures(first.pixels, second.pixels))
    proposed = evidence.same_bytes or distance <= POLICY.pdq_max_distance
    return Judged(decide(evidence, POLICY), evidence.comparison, distance, proposed)


def found(outcome: Judged) -> bool:
    """Whether a person is told: a proven class, or an edit."""
    verdict = outcome.ruling.verdict_class
    return verdict is not None and (verdict.proven or verdict is VerdictClass.EDITED)
