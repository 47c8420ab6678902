"""From the rows of a space to scores, and from scores to rates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from deepdupe_daemon.calibration.curve import Curve
from deepdupe_daemon.calibration.interval import Interval
from deepdupe_daemon.calibration.result import Measured, Rates
from deepdupe_daemon.calibration.rows import SpaceRows
from deepdupe_daemon.calibration.scores import F64Array, Scores
from deepdupe_daemon.judge import normalised
from deepdupe_daemon.model import F32Array
from deepdupe_daemon.vision.copies import EDITED, RE_ENCODED

__all__ = ["Pair", "measured", "nearest_pairs", "scores_of"]

#: two photos of the sample by number, the lower one first
Pair = tuple[int, int]

#: neighbours kept of each photo; the daemon itself compares at most `judge.max_candidates`, by default 16
NEIGHBOURS = 32
#: the neighbours of a query that its scores are normalised by, as in `judge.scores`
_BACKGROUND = 10
_BLOCK = 256


def nearest_pairs(rows: SpaceRows, limit: int) -> list[Pair]:
    """The `limit` pairs of different photos that are most alike in this space, the most alike first."""
    found: dict[Pair, float] = {}
    for first, block in _blocks(rows, rows.originals):
        for offset, similarities in enumerate(block):
            one = first + offset
            similarities[one] = -np.inf
            for other in _best(similarities, min(_BACKGROUND, rows.photos)):
                pair = (min(one, int(other)), max(one, int(other)))
                if pair[0] != pair[1]:
                    found[pair] = max(found.get(pair, -2.0), float(similarities[other]))
    return sorted(found, key=lambda pair: (-found[pair], pair))[:limit]


def scores_of(rows: SpaceRows, *, copies: Iterable[Pair], bursts: Sequence[Pair]) -> tuple[Scores, Scores]:
    """(as they are, normalised). Photos that are `copies` of each other are no negatives, and no background either."""
    left_out: dict[int, set[int]] = {}
    for one, other in copies:
        left_out.setdefault(one, set()).add(other)
        left_out.setdefault(other, set()).add(one)
    burst_partners: dict[int, list[int]] = {}
    for one, other in bursts:
        if other not in left_out.get(one, ()):
            burst_partners.setdefault(one, []).append(other)
    plain_side, normal_side = _of_photos(rows, left_out, burst_partners)
    plain_copies: dict[str, F64Array] = {}
    normal_copies: dict[str, F64Array] = {}
    for name, queries in rows.copies.items():
        plain_copies[name], normal_copies[name] = _of_copies(rows, queries, left_out)
    return Scores(plain_copies, *plain_side), Scores(normal_copies, *normal_side)


def measured(scores: Scores, *, wanted: float, library: int) -> tuple[Measured, Curve]:
    """The threshold for the precision `wanted`, and what happens at it."""
    curve = Curve(scores, RE_ENCODED)
    found = curve.threshold_for(wanted)
    chosen = found.high if found.high is not None else curve.safest(wanted)
    rates = None if chosen is None else _rates(scores, curve, chosen, library)
    return Measured(found.estimate, found.low, found.high, rates), curve


def _rates(scores: Scores, curve: Curve, threshold: float, library: int) -> Rates:
    by_copy = {}
    for name, values in scores.copies.items():
        made = values[np.isfinite(values)]
        by_copy[name] = float((made >= threshold).mean()) if len(made) else 0.0
    per_10k = 10_000 * float((scores.neighbours >= threshold).sum(axis=1).mean())
    any_false = curve.false_interval(threshold)
    return Rates(
        threshold=threshold,
        precision=float(curve.precision(threshold)),
        precision_interval=curve.precision_interval(threshold),
        recall=float(curve.recall(threshold)),
        recall_interval=curve.recall_interval(threshold),
        recall_edited=float(Curve(scores, EDITED).recall(threshold)),
        by_copy=by_copy,
        false_per_10k=per_10k,
        false_interval=Interval(10_000 * any_false.low, 10_000 * any_false.high),
        false_per_10k_library=per_10k * max(1.0, (library - 1) / max(1, scores.photos - 1)),
        bursts=len(scores.bursts),
        bursts_proposed=float((scores.bursts >= threshold).mean()) if len(scores.bursts) else 0.0,
    )


def _of_photos(
    rows: SpaceRows, left_out: Mapping[int, set[int]], bursts: Mapping[int, list[int]]
) -> tuple[tuple[F64Array, F64Array], tuple[F64Array, F64Array]]:
    """(neighbours, bursts), as they are and normalised."""
    count = min(NEIGHBOURS, max(1, rows.photos - 1))
    plain = np.full((rows.photos, count), -np.inf)
    normal = np.full((rows.photos, count), -np.inf)
    plain_bursts: list[float] = []
    normal_bursts: list[float] = []
    for first, block in _blocks(rows, rows.originals):
        for offset, similarities in enumerate(block):
            one = first + offset
            similarities[[one, *left_out.get(one, ())]] = -np.inf
            others = [int(other) for other in _best(similarities, count) if np.isfinite(similarities[other])]
            plain[one, : len(others)] = similarities[others]
            against = [_normalised(similarities, other) for other in others]
            normal[one, : len(others)] = sorted(against, reverse=True)
            for other in bursts.get(one, ()):
                plain_bursts.append(float(similarities[other]))
                normal_bursts.append(_normalised(similarities, other))
    return (plain, np.array(plain_bursts)), (normal, np.array(normal_bursts))


def _of_copies(
    rows: SpaceRows, queries: npt.NDArray[Any], left_out: Mapping[int, set[int]]
) -> tuple[F64Array, F64Array]:
    plain, normal = np.full(rows.photos, np.nan), np.full(rows.photos, np.nan)
    for first, block in _blocks(rows, queries):
        for offset, similarities in enumerate(block):
            one = first + offset
            if not np.isfinite(similarities[one]):
                continue
            plain[one] = similarities[one]
            similarities[list(left_out.get(one, ()))] = -np.inf
            normal[one] = _normalised(similarities, one)
    return plain, normal


def _normalised(similarities: F32Array, candidate: int) -> float:
    """The candidate's score, normalised by what else the query is like."""
    background = np.delete(similarities, candidate)
    return float(normalised(similarities[[candidate]], background[np.isfinite(background)], neighbours=_BACKGROUND)[0])


def _blocks(rows: SpaceRows, queries: npt.NDArray[Any]) -> Iterable[tuple[int, F32Array]]:
    """(first photo, (m, photos) similarities of queries (photos, variants, dim) with every original), best variant."""
    gallery = rows.unit(rows.originals)[:, 0]
    for first in range(0, rows.photos, _BLOCK):
        block = rows.unit(queries[first : first + _BLOCK])
        count, variants, dim = block.shape
        similarities = block.reshape(count * variants, dim) @ gallery.T
        yield first, similarities.reshape(count, variants, -1).max(axis=1)


def _best(similarities: F32Array, count: int) -> npt.NDArray[np.int64]:
    """The places of the `count` largest, largest first."""
    count = min(count, len(similarities))
    places = np.argpartition(-similarities, count - 1)[:count]
    return np.asarray(places[np.lexsort((places, -similarities[places]))], np.int64)
