"""The labelled pairs, judged as the service judges them.

A pair is proposed by PDQ in its eight orientations (the weight-free default; no other space is asked), then proven by
the digests and the pixel-level verifier, in the decoding workers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deepdupe_daemon.clock import SystemClock
from deepdupe_daemon.config import DecoderConfig
from deepdupe_daemon.errors import FileFailed
from deepdupe_daemon.judge import JudgePolicy, PairEvidence, Ruling, decide
from deepdupe_daemon.model import Comparison, Sighting, VerdictClass
from deepdupe_daemon.service.checking import file_key
from deepdupe_daemon.service.proofs import Pair, Picture, Proofs
from deepdupe_daemon.vision import PDQ_INPUT, PDQ_SPACE, DecoderPool

__all__ = ["JudgedPair", "judge_pairs"]

#: what people call a duplicate found: a proof, or an edit that is named
FOUND = frozenset({*(each for each in VerdictClass if each.proven), VerdictClass.EDITED})


@dataclass(frozen=True, slots=True)
class JudgedPair:
    """A labelled pair with its ruling; `comparison` is None where the verifier was not asked."""

    a: str
    b: str
    expect: str
    operation: str
    pdq_distance: int
    ruling: Ruling
    comparison: Comparison | None

    @property
    def verdict_class(self) -> VerdictClass | None:
        return self.ruling.verdict_class

    @property
    def automatic(self) -> bool:
        """Whether it may be acted on automatically."""
        return self.verdict_class is not None and self.verdict_class.proven

    @property
    def found(self) -> bool:
        return self.verdict_class in FOUND


def judge_pairs(data: Path, workers: int = 2) -> list[JudgedPair]:
    """Every labelled pair of `data/pairs.json` whose files open, judged."""
    labelled = json.loads((data / "pairs.json").read_text())
    labelled = labelled if isinstance(labelled, list) else labelled["pairs"]
    pool = DecoderPool(DecoderConfig(workers=workers), [PDQ_INPUT], clock=SystemClock(), claim=lambda *_: True)
    pool.start()
    try:
        seen = _seen(pool, data, sorted({pair[side] for pair in labelled for side in "ab"}))
        policy = JudgePolicy()
        wanted = [pair for pair in labelled if pair["a"] in seen and pair["b"] in seen]
        pairs = [_pair(seen[pair["a"]], seen[pair["b"]], policy) for pair in wanted]
        Proofs(pool, policy).fetch(pairs)
        return [
            JudgedPair(
                a=label["a"],
                b=label["b"],
                expect=label["expect"],
                operation=label["op"],
                pdq_distance=pair.evidence.pdq_distance or 0,
                ruling=decide(pair.evidence, policy),
                comparison=pair.evidence.comparison,
            )
            for label, pair in zip(wanted, pairs, strict=True)
        ]
    finally:
        pool.stop(10.0)


def _seen(pool: DecoderPool, data: Path, names: list[str]) -> Mapping[str, Sighting]:
    futures = {name: pool.see(at, file_key(bytes(data / name)), live=False) for at, name in enumerate(names, 1)}
    seen = {}
    for name, future in futures.items():
        try:
            sighting = future.result()
        except FileFailed:
            continue
        if sighting is not None:
            seen[name] = sighting
    return seen


def _pair(a: Sighting, b: Sighting, policy: JudgePolicy) -> Pair:
    ours, theirs = _picture(a), _picture(b)
    distance = ours.pdq_distance(theirs)
    evidence = PairEvidence(
        same_bytes=a.digest == b.digest,
        similarities={PDQ_SPACE.name: 1 - 2 * distance / PDQ_SPACE.dim},
        thresholds={PDQ_SPACE.name: 1 - 2 * policy.pdq_max_distance / PDQ_SPACE.dim},
        pdq_distance=distance,
        qualities=(a.pdq.quality, b.pdq.quality),
        facts_a=a.facts,
        facts_b=b.facts,
    )
    return Pair(ours, theirs, evidence)


def _picture(seen: Sighting) -> Picture:
    return Picture(None, seen.digest, seen.key.path, seen.facts, seen.pdq, seen.pdq_variants)
