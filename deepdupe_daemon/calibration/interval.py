"""How far a share that was counted on a sample may be from the true one."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["Z_95", "Interval", "wilson"]

#: of the standard normal distribution: 95 % lie within so many standard deviations
Z_95 = 1.959963984540054


@dataclass(frozen=True, slots=True)
class Interval:
    """Both ends belong to it."""

    low: float
    high: float


def wilson(share: float, units: float, z: float = Z_95) -> Interval:
    """The score interval of a binomial proportion (Wilson 1927, doi:10.1080/01621459.1927.10502953), 0 to 1.

    `share` of `units` independent trials. Unlike the textbook interval it holds for shares near 0 and 1, which is where
    precision is wanted (Brown, Cai and DasGupta 2001, doi:10.1214/ss/1009213286). Raises ValueError for no trials.
    """
    if units <= 0 or not 0 <= share <= 1:
        raise ValueError(f"a share of 0 to 1 of at least one trial, not {share} of {units}")
    square = z * z
    centre = (share + square / (2 * units)) / (1 + square / units)
    half = z / (1 + square / units) * math.sqrt(share * (1 - share) / units + square / (4 * units * units))
    return Interval(max(0.0, centre - half), min(1.0, centre + half))
