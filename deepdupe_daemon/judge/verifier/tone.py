"""The tone that takes one picture to the other: a colour matrix, a rising curve per channel, and a little blur or
sharpening.

Everything here is global and smooth in colour, so that it can explain a recompression, a profile, a gamma, a
conversion to
grey, but no change at one place.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from deepdupe_daemon.judge.verifier.align import gradients, luma
from deepdupe_daemon.model import F32Array, U8Array

__all__ = ["Prediction", "predicted"]

_GRID_SAMPLES = 20_000
_SAMPLES = 2_500  # of each of: everywhere, on edges, equally from every brightness
_BINS = 64
_CELLS = 8
_LEAST_CELLS = 3
_NO_COLOUR = 0.0002
_COLOURED = 0.02
_GREY = 12.0  # |R - Y| + |B - Y| of a grey picture's most colourful places: JPEG's chroma rounding alone leaves 2 to 6


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the target should look like, were it a copy of the source, and how far from the source that is."""

    luma: F32Array  # (height, width)
    bled: F32Array  # the same where colour was kept at half the resolution: hard edges of pure colours clip in it
    colour: U8Array | None  # (height, width, 3); None where either picture is grey
    bled_colour: U8Array | None
    change: float  # mean absolute change of luma by the tone, in levels
    shift: float  # mean absolute change of chroma by the tone, in levels


def _colour(picture: U8Array) -> tuple[bool, bool]:
    """(whether there is colour anywhere, whether it is spread so that it speaks of the picture as a whole)."""
    some = cv2.blur(picture, (4, 4))[::4, ::4].astype(np.float32)
    y = some @ np.array([0.299, 0.587, 0.114], np.float32)
    colour = np.abs(some[..., 0] - y) + np.abs(some[..., 2] - y)
    coloured = colour > _GREY
    share = float(coloured.mean())
    rows, columns = (
        int((np.add.reduceat(coloured.sum(axis=1 - axis), _starts(coloured.shape[axis])) > 0).sum()) for axis in (0, 1)
    )
    return share > _NO_COLOUR, share >= _COLOURED and min(rows, columns) >= _LEAST_CELLS


def _starts(length: int) -> np.ndarray:
    """Where each of 8 equal parts begins; fewer where there are fewer."""
    count = min(_CELLS, length)
    return np.arange(count) * length // count


def predicted(source: U8Array, target: U8Array, inside: U8Array | None = None) -> Prediction:
    """`source` in the tone of `target`: two aligned RGB pictures of one size; `inside` (0 or 255) says where both
    count."""
    source_y, target_y = luma(source), luma(target)
    (source_has, source_full), (target_has, target_full) = _colour(source), _colour(target)
    # Where a page lacks the one small thing that has colour in the other, that is no conversion to grey.
    grey = not (source_has or target_has) or (source_has != target_has and (source_full or target_full))
    strength = _strength(source_y)
    at = _samples(strength, source_y, inside)
    cells = _cells(at, source_y.shape)
    # Weights that are small beside edges, where blur and misplacement would pass for tone.
    around = cv2.dilate(np.maximum(strength, _strength(target_y)), np.ones((3, 3), np.uint8))
    flat = 1 / (1 + around.ravel()[at].astype(np.float64) / 30)
    shade = source if source_has else _grey_of(source_y)
    wanted = _grey_of(target_y) if grey else target
    toned = _toned(shade, wanted, at, flat, cells, colours_speak=source_full)
    toned_y = luma(toned)
    if _distance(toned, wanted, at, flat) > 0.9 * _distance(shade, wanted, at, flat):
        toned, toned_y = shade, luma(shade)  # the fit explains nothing: its own error would only add to the noise
    shift = 0.0
    luma_there = _sharpness_matched(toned_y, target_y, at)
    halved = None if grey else _half_colour(toned)
    if not grey:
        chroma = [cv2.cvtColor(p[::4, ::4], cv2.COLOR_RGB2YCrCb)[..., 1:].astype(np.float32) for p in (source, toned)]
        shift = float(np.mean(np.abs(chroma[0] - chroma[1])))
    return Prediction(
        luma=luma_there,
        bled=luma_there if halved is None else luma_there + luma(halved) - toned_y,
        colour=None if grey else toned,
        bled_colour=halved,
        change=float(np.mean(np.abs(toned_y[::4, ::4] - source_y[::4, ::4]))),
        shift=shift,
    )


def _half_colour(picture: U8Array) -> U8Array:
    """`picture` as 4:2:0 keeps it: JPEG by default, WebP, AVIF and HEIC store one colour for 2 x 2 pixels."""
    height, width = picture.shape[:2]
    ycc = cv2.cvtColor(picture, cv2.COLOR_RGB2YCrCb)
    even = cv2.copyMakeBorder(ycc[..., 1:], 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
    half = cv2.resize(even, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    full = cv2.resize(half, (even.shape[1], even.shape[0]), interpolation=cv2.INTER_LINEAR)
    ycc[..., 1:] = cv2.blur(full, (3, 3))[:height, :width]  # read at another size, the blocks lie anywhere
    return np.asarray(cv2.cvtColor(ycc, cv2.COLOR_YCrCb2RGB))


def _distance(a: U8Array, b: U8Array, at: np.ndarray, weights: np.ndarray) -> float:
    difference = np.abs(a.reshape(-1, 3)[at].astype(np.float32) - b.reshape(-1, 3)[at]).mean(axis=1)
    return float(np.mean(difference * weights))


def _grey_of(y: F32Array) -> U8Array:
    return np.repeat(np.rint(y).astype(np.uint8)[..., None], 3, axis=2)


def _samples(strength: F32Array, y: F32Array, inside: U8Array | None) -> np.ndarray:
    """Flat indices: a third spread over the picture, a third on edges, a third equally from every brightness."""
    height, width = y.shape
    step = max(1, round(float(np.sqrt(height * width / _GRID_SAMPLES))))
    rows, columns = np.mgrid[2 : height - 2 : step, 2 : width - 2 : step]
    some = (rows * width + columns).ravel()
    if inside is not None:
        some = some[inside.ravel()[some] > 0]
    if len(some) == 0:
        return np.asarray(some)
    edge = strength.ravel()[some]
    weak, strong = np.quantile(edge, (0.75, 0.97))
    edges = some[(edge >= weak) & (edge <= strong)]  # the strongest are often a caption's
    level = np.clip(y.ravel()[some], 0, 255).astype(np.uint8) >> 3
    order = np.argsort(level, kind="stable")
    borders = np.searchsorted(level[order], np.arange(33))
    parts = [_thinned(some, _SAMPLES), _thinned(edges, _SAMPLES)]
    parts += [_thinned(some[order[borders[i] : borders[i + 1]]], _SAMPLES // 32) for i in range(32)]
    return np.asarray(np.concatenate(parts))


def _thinned(indices: np.ndarray, count: int) -> np.ndarray:
    thinned: np.ndarray = indices[:: max(1, len(indices) // count)]
    return thinned


def _strength(y: F32Array) -> F32Array:
    dx, dy = gradients(y)
    return np.asarray(dx * dx + dy * dy, np.float32)


def _robust(residual: np.ndarray, floor: float) -> np.ndarray:
    scale = 1.4826 * float(np.median(residual[::3])) + floor
    return np.asarray(1 / (1 + (residual / (2.5 * scale)) ** 2))


def _cells(at: np.ndarray, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """In which of 8 rows and of 8 columns of the picture each sample lies."""
    return at // shape[1] * _CELLS // shape[0], at % shape[1] * _CELLS // shape[1]


def _widespread(where: np.ndarray, cells: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """(bins,) bool: whether the samples of a brightness lie in several rows and columns of the picture.

    A brightness that is at one place alone, as a marked row or a switch in a window, says nothing of the tone.
    """
    counts = []
    for cell in cells:
        seen = np.zeros((_BINS, _CELLS), bool)
        seen[where, cell] = True
        counts.append(seen.sum(axis=1))
    spread: np.ndarray = np.minimum(*counts) >= _LEAST_CELLS
    return spread


def _toned(
    source: U8Array,
    target: U8Array,
    at: np.ndarray,
    flat: np.ndarray,
    cells: tuple[np.ndarray, np.ndarray],
    *,
    colours_speak: bool,
) -> U8Array:
    given = source.reshape(-1, 3)[at].astype(np.float64)
    wanted = target.reshape(-1, 3)[at].astype(np.float64)
    matrix = _colour_matrix(given, wanted, flat, colours_speak=colours_speak)
    mixed = np.clip(np.concatenate([given, np.full((len(at), 1), 255.0)], axis=1) @ matrix, 0, 255)
    curves = np.stack([_curve(mixed[:, c], wanted[:, c], flat, cells) for c in range(3)], axis=1)
    affine = np.concatenate([matrix[:3].T, matrix[3:].T * 255], axis=1).astype(np.float32)
    return np.asarray(cv2.LUT(cv2.transform(source, affine), curves[None]))


def _colour_matrix(given: np.ndarray, wanted: np.ndarray, flat: np.ndarray, *, colours_speak: bool) -> np.ndarray:
    """(4, 3): three channels and an offset, by robust least squares; clipped pixels say nothing of a gain."""
    count = len(given)
    unclipped = ((wanted > 4) & (wanted < 251) & (given > 4) & (given < 251)).all(axis=1)
    base = np.where(unclipped, 1.0, 0.02) * flat
    base = base / max(float(base.mean()), 1e-9)
    weights = np.array([0.299, 0.587, 0.114])
    grey = np.stack([given @ weights, np.full(count, 255.0)], axis=1)
    # First one gain for all channels; the ridge then holds the matrix there unless colours in the picture speak.
    gain = _ridge(grey, (wanted @ weights)[:, None], base, np.array([[1.0], [0.0]]), 10.0)[:, 0]
    prior = np.concatenate([np.eye(3) * gain[0], np.full((1, 3), gain[1])])
    if not colours_speak:  # a matrix would turn the one coloured thing of a page into any other colour
        return prior
    return _ridge(np.concatenate([given, grey[:, 1:]], axis=1), wanted, base, prior, 20.0)


def _ridge(given: np.ndarray, wanted: np.ndarray, base: np.ndarray, prior: np.ndarray, strength: float) -> np.ndarray:
    pull = np.eye(given.shape[1]) * strength * len(given)
    weights = base
    for _ in range(4):
        weighted = given * weights[:, None]
        solved = np.linalg.solve(weighted.T @ given + pull, weighted.T @ wanted + pull @ prior)
        weights = base * _robust(np.sqrt(((wanted - given @ solved) ** 2).mean(axis=1)), 1.0)
    return solved


_CENTRES = (np.arange(_BINS) + 0.5) * 256 / _BINS - 0.5
_NEIGHBOURS = np.exp(-0.5 * (np.arange(-8, 9) / 3.0) ** 2)


def _curve(given: np.ndarray, wanted: np.ndarray, flat: np.ndarray, cells: tuple[np.ndarray, np.ndarray]) -> U8Array:
    """A rising curve, 256 uint8 levels: the robust mean per brightness, drawn to its neighbours where few pixels
    speak."""
    where = np.clip((given + 0.5) * _BINS / 256, 0, _BINS - 1).astype(np.intp)
    deviation = wanted - given
    flat = flat * _widespread(where, cells)[where]
    weights = flat
    for _ in range(4):
        total = np.bincount(where, weights, _BINS)
        moment = np.bincount(where, weights * deviation, _BINS)
        wide_total = np.convolve(total, _NEIGHBOURS, "same")
        wide = np.convolve(moment, _NEIGHBOURS, "same") / (wide_total + 0.5)
        mean = (moment + 4 * wide) / (total + 4)
        weights = flat * _robust(np.abs(deviation - mean[where]), 1.0)
    rising = _isotonic(_CENTRES + mean, total + 1)
    levels = np.arange(256.0)
    return np.asarray(np.clip(np.rint(levels + np.interp(levels, _CENTRES, rising - _CENTRES)), 0, 255), np.uint8)


def _isotonic(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The closest non-decreasing sequence, by pooling adjacent violators."""
    level: list[float] = []
    mass: list[float] = []
    length: list[int] = []
    for value, weight in zip(values.tolist(), weights.tolist(), strict=True):
        level.append(value)
        mass.append(weight)
        length.append(1)
        while len(level) > 1 and level[-2] > level[-1]:
            joint = mass[-2] + mass[-1]
            level[-2:] = [(level[-2] * mass[-2] + level[-1] * mass[-1]) / joint]
            mass[-2:] = [joint]
            length[-2:] = [length[-2] + length[-1]]
    return np.repeat(level, length)


def _sharpness_matched(source: F32Array, target: F32Array, at: np.ndarray) -> F32Array:
    """`source` with as much of three blurs, or of their opposites, as brings it closest to `target`."""
    planes = [source, *(blurred - source for blurred in _blurs(source))]
    ones = np.ones(len(at))
    given = np.stack([*(plane.ravel()[at] for plane in planes), ones], axis=1).astype(np.float64)
    wanted = target.ravel()[at].astype(np.float64)[:, None]
    prior = np.zeros((len(planes) + 1, 1))
    prior[0] = 1.0
    solved = _ridge(given, wanted, ones, prior, 1e-3)[:, 0].astype(np.float32)
    mixed = sum((weight * plane for weight, plane in zip(solved, planes, strict=False)), start=solved[-1])
    return np.asarray(mixed, np.float32)


def _blurs(plane: F32Array) -> tuple[F32Array, ...]:
    """Blurs of 0.8, 2 and about 4 pixels; the last as two boxes, which cost a third of a Gaussian."""
    boxes = cv2.blur(cv2.blur(plane, (9, 9)), (9, 9))
    blurs = (cv2.GaussianBlur(plane, (0, 0), 0.8), cv2.GaussianBlur(plane, (0, 0), 2.0), boxes)
    return tuple(np.asarray(blurred, np.float32) for blurred in blurs)
