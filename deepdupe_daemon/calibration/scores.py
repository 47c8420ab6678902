"""What was measured of one space, before any threshold: similarities of copies and of different photos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["F64Array", "Scores"]

F64Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Scores:
    """Similarities, raw or normalised. NaN: that copy could not be made.

    `copies`: name of the copy -> (photos,), each with its own original. `neighbours`: (photos, k), each photo with the
    nearest different ones of the sample, nearest first, -inf where there are fewer. `bursts`: (pairs,), shots taken
    within seconds of each other.
    """

    copies: Mapping[str, F64Array]
    neighbours: F64Array
    bursts: F64Array

    @property
    def photos(self) -> int:
        return len(self.neighbours)

    @property
    def nearest(self) -> F64Array:
        """(photos,): the hardest negative of each."""
        return self.neighbours[:, 0]

    def arrivals(self, names: Sequence[str]) -> tuple[npt.NDArray[np.bool_], F64Array, F64Array]:
        """(is it a copy, score, weight) of the arrivals that precision speaks of.

        Each photo arrives twice: once as a new photo, whose best score is a false proposal wherever it is at or above
        the threshold, and once as a copy, shared in equal parts by the copies in `names` that could be made.
        """
        table = np.stack([np.asarray(self.copies[name], np.float64) for name in names], axis=1)
        made = np.isfinite(table)
        shares = made / np.maximum(1, made.sum(axis=1, keepdims=True))
        labels = np.concatenate([np.ones(int(made.sum()), bool), np.zeros(self.photos, bool)])
        return labels, np.concatenate([table[made], self.nearest]), np.concatenate([shares[made], np.ones(self.photos)])
