"""Score normalisation: how much more alike a pair is than the query is to anything.

Pizzi et al., "A Self-Supervised Descriptor for Image Copy Detection" (CVPR 2022), section 4.3: similarity minus the
mean similarity to the query's nearest neighbours in a background set. Recall at 90 % precision on DISC rises from
37.7 % to 62.5 % with the same vectors.
"""

from __future__ import annotations

import numpy as np

from deepdupe_daemon.model import F32Array

__all__ = ["normalised"]


def normalised(similarities: F32Array, background: F32Array, *, neighbours: int = 10, weight: float = 1.0) -> F32Array:
    """`similarities` (n,) less `weight` times the mean of the largest `neighbours` of `background` (m,), all cosines.

    The order of the candidates of one query does not change; queries become comparable with each other. A query without
    a background keeps its similarities.
    """
    if neighbours < 1:
        raise ValueError(f"neighbours must be at least 1, not {neighbours}")
    given = np.asarray(similarities, np.float32)
    count = min(neighbours, len(background))
    if count == 0:
        return given.copy()
    nearest = np.partition(np.asarray(background, np.float32), len(background) - count)[-count:]
    return np.asarray(given - np.float32(weight) * nearest.mean(dtype=np.float64), np.float32)
