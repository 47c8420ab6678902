"""EXIF orientation, on arrays and on sizes (EXIF 2.32, tag 0x0112)."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt

__all__ = ["swaps_sides", "turn_upright", "upright_flips"]

_Value = TypeVar("_Value", bound=np.generic)

#: orientation: (transpose first, then flip rows, flip columns) brings the stored picture upright
_STEPS = {
    1: (False, False, False),
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}


def swaps_sides(orientation: int) -> bool:
    """Whether the upright picture is as wide as the stored one is high."""
    return _STEPS[orientation][0]


def upright_flips(orientation: int) -> tuple[bool, bool]:
    """Whether rows and columns of the upright picture run backwards through the stored one, after the transposition."""
    return _STEPS[orientation][1:]


def turn_upright(pixels: npt.NDArray[_Value], orientation: int) -> npt.NDArray[_Value]:
    """A view of `pixels` (h, w) or (h, w, c) as it is to be seen."""
    transpose, rows, columns = _STEPS[orientation]
    if transpose:
        pixels = pixels.swapaxes(0, 1)
    return pixels[:: -1 if rows else 1, :: -1 if columns else 1]
