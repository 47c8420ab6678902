"""Both pictures side by side, aligned, and where they differ, for `why --picture`."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from deepdupe_daemon.judge.verifier.affine import Affine
from deepdupe_daemon.judge.verifier.agreement import agreement
from deepdupe_daemon.judge.verifier.align import warped
from deepdupe_daemon.judge.verifier.compare import examined, in_order
from deepdupe_daemon.model import Comparison, U8Array

__all__ = ["drawn"]

_PANEL_PX = 512
_GAP_PX = 8
_PAPER = 32
_BOX = (255, 64, 64)
#: CIE 1976 colour difference that everybody calls another colour
_ANOTHER_COLOUR = 40.0


def drawn(a: U8Array, b: U8Array, comparison: Comparison) -> U8Array:
    """(height, width, 3): a, b laid over a's frame, and a dimmed under the differences, blue to red."""
    panel = _fitted(a, _PANEL_PX)
    size = (panel.shape[0], panel.shape[1])
    first, second, swapped = in_order(a, b)
    found = examined(first, second)
    place = Affine() if found.b_in_a is None else found.b_in_a if swapped else found.b_in_a.inverse()
    laid = np.ascontiguousarray(warped(b, place, size))
    laid[place.inside(b.shape, size) == 0] = _PAPER
    heat = _heat(panel, b, laid, place)
    panels = [panel.copy(), laid, heat]
    if comparison.worst_tile is not None:
        for picture in panels:
            _box(picture, comparison.worst_tile)
    gap = np.full((size[0], _GAP_PX, 3), _PAPER, np.uint8)
    return np.concatenate([panels[0], gap, panels[1], gap, panels[2]], axis=1)


def _fitted(picture: U8Array, side_px: int) -> U8Array:
    scale = side_px / max(picture.shape[:2])
    size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(np.ascontiguousarray(picture), size, interpolation=how))


def _heat(panel: U8Array, b: U8Array, laid: U8Array, place: Affine) -> U8Array:
    unlike = agreement(b, panel, place).unlike
    # 0 is as expected, 1 the limit, 3 and more another picture.
    share = np.clip(cv2.resize(unlike, (panel.shape[1], panel.shape[0])) / 3, 0, 1)
    share = np.maximum(share, _other_colours(panel, laid, place.inside(b.shape, (panel.shape[0], panel.shape[1])) > 0))
    colours = cv2.cvtColor(cv2.applyColorMap((share * 255).astype(np.uint8), cv2.COLORMAP_JET), cv2.COLOR_BGR2RGB)
    grey = cv2.cvtColor(cv2.cvtColor(panel, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB) // 2
    weight = np.clip(share * 2, 0.15, 0.85)[..., None]
    heat: U8Array = (grey * (1 - weight) + colours * weight).astype(np.uint8)
    heat[place.inside(b.shape, (panel.shape[0], panel.shape[1])) == 0] = _PAPER
    return heat


def _other_colours(panel: U8Array, laid: U8Array, inside: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    """0 to 1: flat places in another colour, which edges tell nothing of; what all of the picture has changed by is
    left out."""
    if not inside.any():
        return np.zeros(panel.shape[:2], np.float32)
    apart = cv2.blur(_lab(laid) - _lab(panel), (9, 9))
    apart -= np.median(apart[inside], axis=0)
    found = np.clip(np.linalg.norm(apart, axis=2) / _ANOTHER_COLOUR - 0.3, 0, 1)
    within = cv2.erode(inside.astype(np.uint8), np.ones((11, 11), np.uint8))  # the rim is blurred with the paper
    return np.asarray(found * within, np.float32)


def _lab(picture: U8Array) -> npt.NDArray[np.float32]:
    return np.asarray(cv2.cvtColor(picture.astype(np.float32) / 255, cv2.COLOR_RGB2LAB))


def _box(picture: U8Array, tile: tuple[float, float, float, float]) -> None:
    height, width = picture.shape[:2]
    left, top = round(tile[0] * width) - 3, round(tile[1] * height) - 3
    right, bottom = round((tile[0] + tile[2]) * width) + 3, round((tile[1] + tile[3]) * height) + 3
    cv2.rectangle(picture, (left, top), (right, bottom), _BOX, 2)
