"""The labelled pairs, judged as the service judges them: `python -m tests.evaluation.pairs` prints the table.

A pair is proposed by PDQ in its eight orientations (the weight-free default; no other space is asked), then proven by
the digests and the pixel-level verifier, in the decoding workers.
"""

from __future__ import annotations

import json
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
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

__all__ = ["JudgedPair", "judge_pairs", "main", "table"]

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
    distance = min((int.from_bytes(bits) ^ int.from_bytes(b.pdq.bits)).bit_count() for bits in a.pdq_variants)
    evidence = PairEvidence(
        same_bytes=a.digest == b.digest,
        similarities={PDQ_SPACE.name: 1 - 2 * distance / PDQ_SPACE.dim},
        thresholds={PDQ_SPACE.name: 1 - 2 * policy.pdq_max_distance / PDQ_SPACE.dim},
        pdq_distance=distance,
        qualities=(a.pdq.quality, b.pdq.quality),
        facts_a=a.facts,
        facts_b=b.facts,
    )
    return Pair(Picture(None, a.digest, a.key.path), Picture(None, b.digest, b.key.path), evidence)


def table(judged: list[JudgedPair]) -> Iterator[str]:
    """One line a label: how many, what they were called, the share found and the automatic ones."""
    by_label: dict[str, list[JudgedPair]] = defaultdict(list)
    for pair in judged:
        by_label[pair.expect].append(pair)
    columns = [*(str(each) for each in VerdictClass), "-"]
    yield f"{'label':<10} {'pairs':>5}  " + "  ".join(f"{column:>16}" for column in columns) + "   found  automatic"
    for label, pairs in sorted(by_label.items()):
        counts = Counter(str(pair.verdict_class or "-") for pair in pairs)
        found = sum(pair.found for pair in pairs) / len(pairs)
        automatic = sum(pair.automatic for pair in pairs)
        cells = "  ".join(f"{counts[column]:>16}" for column in columns)
        yield f"{label:<10} {len(pairs):>5}  {cells}  {100 * found:5.1f} %  {automatic:>9}"


def main(data: Path) -> None:
    judged = judge_pairs(data)
    for line in table(judged):
        print(line)
    for pair in judged:
        wrong = pair.automatic if pair.expect in ("similar", "distinct", "variant") else not pair.found
        if wrong and pair.expect in ("exact", "pixel", "dup", "similar", "distinct", "variant"):
            reason = pair.comparison.reason if pair.comparison is not None else pair.ruling.reason
            print(f"{pair.expect}: {pair.verdict_class}: {pair.a} | {pair.b} | {pair.operation} | {reason}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[3] / "shared" / "data")
