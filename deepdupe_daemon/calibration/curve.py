"""Recall against precision over every threshold, and the threshold for a wanted precision.

An arrival counts as found where its score is at or above the threshold. With R the share of copies that are found with
their own original, and F the share of new photos for which some other photo is proposed, the precision of proposals is
R / (R + F): of the arrivals that something is proposed for, the share that are copies, where every second arrival is
one. It is `precision_recall_curve` of scikit-learn over `Scores.arrivals`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deepdupe_daemon.calibration.interval import Z_95, Interval, wilson
from deepdupe_daemon.calibration.scores import F64Array, Scores

__all__ = ["Curve", "Threshold"]

#: thresholds are given to so many decimals: a float16 row moves a cosine by about 0.0005
_DECIMALS = 4


@dataclass(frozen=True, slots=True)
class Threshold:
    """The threshold for a wanted precision.

    `estimate`: the lowest one at which the sample reaches it; None where none does. `low` and `high`: the lowest ones
    at which the upper and the lower end of the precision's interval reach it; `high` is None where the sample is too
    small to say so much.
    """

    estimate: float | None
    low: float | None
    high: float | None

    @property
    def proven(self) -> bool:
        return self.high is not None


class Curve:
    """R, F and precision over thresholds. Photos are the unit of every interval: copies of one photo are no independent
    trials, so that an interval is rather too wide than too narrow."""

    def __init__(self, scores: Scores, names: Sequence[str]) -> None:
        """`names`: the copies that count."""
        labels, values, weights = scores.arrivals(names)
        self.photos = scores.photos
        self._found = _Steps(values[labels], weights[labels])
        self._wrong = _Steps(values[~labels], weights[~labels])
        finite = values[np.isfinite(values)]
        self.thresholds: F64Array = np.unique(np.ceil(np.round(finite * 10**_DECIMALS, 6)) / 10**_DECIMALS)

    def recall(self, threshold: float | F64Array) -> F64Array:
        """R at each threshold."""
        return self._found.share(threshold)

    def false_share(self, threshold: float | F64Array) -> F64Array:
        """F at each threshold."""
        return self._wrong.share(threshold)

    def precision(self, threshold: float | F64Array) -> F64Array:
        """R / (R + F); 1 where nothing is proposed at all, as scikit-learn has it at the end of its curve."""
        return _precision(self.recall(threshold), self.false_share(threshold))

    def recall_interval(self, threshold: float) -> Interval:
        return wilson(float(self.recall(threshold)), self.photos)

    def false_interval(self, threshold: float) -> Interval:
        return wilson(float(self.false_share(threshold)), self.photos)

    def precision_interval(self, threshold: float) -> Interval:
        """From the worst ends of the intervals of R and F to their best ones."""
        recall, false = self.recall_interval(threshold), self.false_interval(threshold)
        worst = _precision(np.float64(recall.low), np.float64(false.high))
        return Interval(float(worst), float(_precision(np.float64(recall.high), np.float64(false.low))))

    def threshold_for(self, precision: float) -> Threshold:
        """See `Threshold`. Thresholds at which nothing would be found do not count."""
        useful = self.thresholds[np.asarray(self.recall(self.thresholds)) > 0]
        if not len(useful):
            return Threshold(None, None, None)
        bounds = [self.precision_interval(float(each)) for each in useful]
        return Threshold(
            estimate=_lowest(useful, np.asarray(self.precision(useful)) >= precision),
            low=_lowest(useful, np.array([bound.high for bound in bounds]) >= precision),
            high=_lowest(useful, np.array([bound.low for bound in bounds]) >= precision),
        )

    def safest(self, precision: float = 0.0) -> float | None:
        """The threshold at which the lower end of the precision's interval is highest; of several the highest one.

        Of those at which the sample itself reaches `precision`, where there are any: where nearly everything is
        proposed an interval is narrow, and its lower end high, without being worth anything.
        """
        useful = self.thresholds[np.asarray(self.recall(self.thresholds)) > 0]
        reached = useful[np.asarray(self.precision(useful)) >= precision]
        useful = reached if len(reached) else useful
        lows = [self.precision_interval(float(each)).low for each in useful]
        return float(useful[len(lows) - 1 - int(np.argmax(lows[::-1]))]) if lows else None

    @staticmethod
    def photos_needed(precision: float, z: float = Z_95) -> int:
        """How many photos prove `precision` (below 1) where every copy is found and no photo is proposed wrongly."""
        return int(np.ceil(z * z * precision / (1 - precision)))


class _Steps:
    """The weighted share of values at or above a threshold."""

    def __init__(self, values: F64Array, weights: F64Array) -> None:
        order = np.argsort(values, kind="stable")
        self._values = values[order]
        self._above = np.concatenate([np.cumsum(weights[order][::-1])[::-1], [0.0]])

    def share(self, threshold: float | F64Array) -> F64Array:
        total = self._above[0]
        at = np.searchsorted(self._values, threshold, side="left")
        return np.asarray(self._above[at] / total if total else np.zeros(np.shape(threshold)), np.float64)


def _precision(recall: F64Array | np.float64, false: F64Array | np.float64) -> F64Array:
    proposed = np.asarray(recall + false, np.float64)
    return np.divide(recall, proposed, out=np.ones_like(proposed), where=proposed > 0)


def _lowest(thresholds: F64Array, reached: npt.NDArray[np.bool_]) -> float | None:
    """The lowest threshold that reaches it."""
    hits = np.flatnonzero(reached)
    return float(thresholds[hits[0]]) if len(hits) else None
