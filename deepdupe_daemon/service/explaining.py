"""Why two files are judged as they are: the whole chain, from what the ledger holds and, where wanted, the pixels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from deepdupe_daemon.config import Config
from deepdupe_daemon.judge import BundleFile, PairEvidence, Ruling, choose_keeper, decide, needs, same_bundle
from deepdupe_daemon.ledger import FileRow, ImageRow, Ledger, PairRow
from deepdupe_daemon.model import Comparison
from deepdupe_daemon.service.loading import configured_thresholds
from deepdupe_daemon.service.membership import Membership
from deepdupe_daemon.service.neighbourhood import VERIFIER
from deepdupe_daemon.service.policy import policy_of
from deepdupe_daemon.service.proofs import Picture

__all__ = ["Explanation", "explain", "met_images"]

#: fetches the comparison of two pictures, told from the first to the second; None where it cannot be had
Compare = Callable[[Picture, Picture], Comparison | None]


@dataclass(frozen=True, slots=True)
class Explanation:
    """Two files (one, other), of which `keeper` would stay by `keeper_rule`. The comparison is told from one to other.

    `met`: recall proposed the pair when the later of the two came. `compared`: nothing more was wanted of it; a pair of
    which one is a proven copy of a third is not compared, but with that third.
    """

    met: bool
    compared: bool
    thresholds: Mapping[str, float]
    evidence: PairEvidence
    ruling: Ruling
    keeper: bytes
    keeper_rule: str


def explain(
    config: Config,
    ledger: Ledger,
    one: FileRow,
    other: FileRow,
    *,
    similarities: Mapping[str, float],
    compare: Compare | None = None,
) -> Explanation | None:
    """None where one of the two was not seen. `similarities`: of spaces for which the ledger holds no pair.

    `compare` is asked where the ledger holds no comparison.
    """
    a, b = _image(ledger, one), _image(ledger, other)
    if a is None or b is None or one.file_id == other.file_id:
        return None
    row = ledger.pair(a.image_id, b.image_id) if a.image_id != b.image_id else None
    left, right = Picture.of(a, one.key.path), Picture.of(b, other.key.path)
    comparison = _comparison(row, a.image_id)
    if comparison is None and compare is not None and a.image_id != b.image_id:
        comparison = compare(left, right)
    evidence = PairEvidence(
        same_bytes=a.image_id == b.image_id,
        same_pixels=row.same_pixels if row is not None else None,
        similarities={**similarities, **(row.similarities if row is not None else {})},
        normalised=row.normalised if row is not None else {},
        thresholds=configured_thresholds(config),
        pdq_distance=left.pdq_distance(right),
        qualities=(a.pdq.quality, b.pdq.quality),
        facts_a=a.facts,
        facts_b=b.facts,
        comparison=comparison,
        marked_not_duplicate=ledger.is_not_duplicate(a.digest, b.digest),
        same_bundle=same_bundle(BundleFile(one.key.path, a.facts.exif), BundleFile(other.key.path, b.facts.exif)),
        joined=row is not None and not row.proposed,
    )
    member = Membership(config)
    keeper, _, rule = choose_keeper(member(one, a.facts), member(other, b.facts), member.rules)
    met = row is not None or a.image_id == b.image_id
    policy = policy_of(config)
    compared = needs(evidence, policy) is None
    return Explanation(met, compared, evidence.thresholds, evidence, decide(evidence, policy), keeper.path, rule)


def met_images(ledger: Ledger, row: FileRow) -> list[FileRow]:
    """The first file of each other image that was held against this one's."""
    if row.image_id is None:
        return []
    others = (ledger.living_files(pair.other(row.image_id)) for pair in ledger.pairs_of(row.image_id))
    return [files[0] for files in others if files]


def _image(ledger: Ledger, row: FileRow) -> ImageRow | None:
    return ledger.image(row.image_id) if row.image_id is not None else None


def _comparison(row: PairRow | None, first_image_id: int) -> Comparison | None:
    if row is None or row.comparison is None or row.verifier != VERIFIER:
        return None
    return row.comparison if row.low_image_id == first_image_id else row.comparison.turned_round()
