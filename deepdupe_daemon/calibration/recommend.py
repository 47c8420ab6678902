"""Which of the calibrated spaces to use."""

from __future__ import annotations

from collections.abc import Sequence

from deepdupe_daemon.calibration.result import Calibration, Rates

__all__ = ["recommended"]

#: recalls that differ by less are alike: the sample does not tell them apart, and speed decides
_ALIKE = 0.01


def recommended(calibrations: Sequence[Calibration]) -> Calibration | None:
    """The space that finds most copies at its own threshold, re-encoded and edited ones alike; of those within a
    hundredth of it the fastest. A space whose precision is proven comes before one whose is not."""
    usable = [each for each in calibrations if each.raw.rates is not None]
    proven = [each for each in usable if each.raw.proven] or usable
    if not proven:
        return None
    most = max(_recall(each) for each in proven)
    return max((each for each in proven if _recall(each) >= most - _ALIKE), key=lambda each: each.images_per_s)


def _recall(calibration: Calibration) -> float:
    rates: Rates | None = calibration.raw.rates
    return (rates.recall + rates.recall_edited) / 2 if rates is not None else 0.0
