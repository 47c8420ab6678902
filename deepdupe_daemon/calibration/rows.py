"""The rows of one space for every photo of a sample and for its copies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from deepdupe_daemon.model import F32Array
from deepdupe_daemon.vision import PDQ_SPACE, PdqEmbedder

__all__ = ["SpaceRows"]


@dataclass(frozen=True, slots=True)
class SpaceRows:
    """`originals` and each of `copies` (name -> rows): (photos, variants, dim).

    float16 as the ledger holds them; NaN rows are copies that could not be made. PDQ has 8 variants, the upright one
    first, as (photos, 8, 32) uint8 hash bytes, all zero where there is none; a network has one.
    """

    originals: npt.NDArray[Any]
    copies: Mapping[str, npt.NDArray[Any]]

    @property
    def photos(self) -> int:
        return len(self.originals)

    def unit(self, rows: npt.NDArray[Any]) -> F32Array:
        """`rows` as float32 of norm 1, or NaN."""
        if rows.dtype != np.uint8:
            return rows.astype(np.float32)
        count, variants, _ = rows.shape
        found = PdqEmbedder().embed(rows.reshape(count * variants, -1))[PDQ_SPACE.name]
        found = found.reshape(count, variants, -1)
        found[~rows.any(axis=(1, 2))] = np.nan
        return found
