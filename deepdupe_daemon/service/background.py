"""How like anything a picture is: what a space with normalised scores takes off."""

from __future__ import annotations

import numpy as np

from deepdupe_daemon.judge import normalised
from deepdupe_daemon.model import F32Array

__all__ = ["Background"]


class Background:
    """Rows of pictures that have nothing to do with each other, (n, dim) float32. Stateless, so any thread may use it.

    The score of a pair is its cosine less the mean of both pictures' mean cosine to their nearest background rows: the
    same from either side, so that it does not depend on which of the two came last.
    """

    def __init__(self, rows: F32Array) -> None:
        self._rows = rows

    def score(self, similarity: float, one: F32Array, other: F32Array) -> float:
        """`one` and `other`: the rows (dim,) of the two pictures."""
        raw = np.array([similarity], np.float32)
        from_either = [float(normalised(raw, self._rows @ row)[0]) for row in (one, other)]
        return sum(from_either) / 2
