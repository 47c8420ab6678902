"""Could small print have changed where every tile agrees? Where compression took so much that it could, nothing is
proven.

The limit of a tile rises with what compression left of the pair. In blue on black or yellow on white luma hardly
differs, and chroma is kept at half the resolution and quantised hardest: there the limit comes to lie above all that a
digit consists of, and another digit agrees like the right one. So it is asked of what a person can read: were nothing
there instead, would it be over the limit?
"""

from __future__ import annotations

import cv2
import numpy as np

from deepdupe_daemon.judge.verifier.align import luma
from deepdupe_daemon.judge.verifier.tiles import TileMap, beyond, half_chroma, tile_energy
from deepdupe_daemon.judge.verifier.tone import Prediction
from deepdupe_daemon.model import F32Array, U8Array

__all__ = ["hidden", "joined"]

#: Limits in units of the expected residual, set on the half of the sources that is not held out; see tests/evaluation.
WORST_TILE = 6.5
WORST_TILE_COLOUR = 4.0
#: of a letter in another colour than its ground, half of the difference is in either: this power joins them
_JOINED = 1.5
#: RMS levels in the strongest of red, green and blue: print in pure colours has 40 to 95 whatever its luma, in mid-grey
#: on white 30 to 47
_STRONG_LEVELS = 40.0
#: luma of that contrast, at most: blue on black 0.11, cyan on white 0.3, but black on white 1
_FAINT_LUMA = 0.5
_LEGIBLE_LEVELS = 25.0
#: Print is strokes that end within so many points of the grid of half the resolution (an opening or a closing removes
#: them); what a larger shape has is an edge, and an edge that moved is seen along all of its length.
_STROKE_POINTS = 9
#: A page has ground without any texture: this share of it at least, below this contrast. Measured: 0.37 to 0.40 of
#: pages, 0.01 to 0.08 of drawn scenes, in which texture may go without a change in anything that a person reads.
_GROUND = 0.2
_GROUND_LEVELS = 1.0
#: points of the grid, across and down: a word or two
_WINDOW = (32, 16)
_MIN_POINTS = 100
#: Of the points in any window that are strong by colour alone so many may hide something, and of all legible ones.
#: Measured: pages in colours that hide a digit 0.5 to 1.0 of the one, in grey at JPEG 30 0.99 of the other; photos at
#: JPEG 30, WebP 40 or HEIC 35 at most 0.27 and 0.41.
_MOST_IN_A_WINDOW = 0.4
_MOST_OF_ALL = 0.75
#: One digit for another leaves 0.58 to 2.7 of the energy of what stands there (13 to 24 px): the square root of the
#: least is 0.76, so that what has less than this over the limit may hide.
_SAFELY_SEEN = 1.5


def joined(unlike: F32Array, unlike_colour: F32Array) -> F32Array:
    """Luma and chroma, each in units of the expected residual, as one number that is 1 at the limit."""
    parts = (unlike / WORST_TILE) ** _JOINED + (unlike_colour / WORST_TILE_COLOUR) ** _JOINED
    return np.asarray(parts ** (1 / _JOINED), np.float32)


def hidden(source: U8Array, target: U8Array, prediction: Prediction, tiles: TileMap) -> float:
    """How much of what a person can read could be something else unseen, over what may be: from 1 nothing is proven.

    0 where neither picture has the ground of a page. Fainter print, and print on a photo, is not asked for.
    `prediction` and `tiles` are what was made of `source` and `target`, two aligned RGB pictures of one size.
    """
    (first, first_luma), (second, second_luma) = _contrasts(source), _contrasts(target)
    ground = tiles.valid & (np.minimum(first, second) < _GROUND_LEVELS)
    if int(ground.sum()) < _GROUND * int(tiles.valid.sum()):
        return 0.0
    print_there = tiles.valid & (_strokes(source) | _strokes(target))
    legible = print_there & (np.maximum(first, second) >= _LEGIBLE_LEVELS)
    by_colour = [
        each >= np.maximum(_STRONG_LEVELS, y / _FAINT_LUMA) for each, y in ((first, first_luma), (second, second_luma))
    ]
    strong = print_there & np.logical_or(*by_colour)
    gone = np.asarray(cv2.blur(prediction.luma, (15, 15)), np.float32)
    own = tile_energy(beyond(gone, prediction.luma, prediction.bled))
    own_colour = np.zeros_like(own)
    if prediction.colour is not None and prediction.bled_colour is not None:
        own_colour = _colour_gone(half_chroma(prediction.colour), half_chroma(prediction.bled_colour))
    seen = joined(np.sqrt(own / tiles.expected), np.sqrt(own_colour / tiles.expected_colour))
    unseen = seen < _SAFELY_SEEN
    count, unseen_count = (
        cv2.boxFilter(some.astype(np.float32), -1, _WINDOW, normalize=False) for some in (strong, strong & unseen)
    )
    nearby = float(np.where(count >= _MIN_POINTS, unseen_count / np.maximum(count, 1), 0).max())
    everywhere = int((legible & unseen).sum()) / max(_MIN_POINTS, int(legible.sum()))
    return max(nearby / _MOST_IN_A_WINDOW, everywhere / _MOST_OF_ALL)


def _contrasts(picture: U8Array) -> tuple[F32Array, F32Array]:
    """RMS levels of the strongest channel, and of luma, on the grid of half the resolution."""
    even = picture[: picture.shape[0] // 2 * 2, : picture.shape[1] // 2 * 2]
    small = cv2.resize(even, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    planes = np.dstack([small.astype(np.float32), luma(small)])
    rms = np.sqrt(_around(planes))
    return np.asarray(rms[..., :3].max(axis=2), np.float32), np.asarray(rms[..., 3], np.float32)


def _strokes(picture: U8Array) -> np.ndarray:
    """bool, on the grid of half the resolution: in and around thin strokes, lighter or darker than what they lie on."""
    even = picture[: picture.shape[0] // 2 * 2, : picture.shape[1] // 2 * 2]
    small = cv2.resize(even, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    kernel = np.ones((_STROKE_POINTS, _STROKE_POINTS), np.uint8)
    thin = np.maximum(*(cv2.morphologyEx(small, way, kernel) for way in (cv2.MORPH_TOPHAT, cv2.MORPH_BLACKHAT)))
    strongest = cv2.dilate(thin.max(axis=2), np.ones((5, 5), np.uint8))
    return np.asarray(strongest >= _LEGIBLE_LEVELS)


def _colour_gone(expected: F32Array, bled: F32Array) -> F32Array:
    residual = cv2.GaussianBlur(beyond(np.asarray(cv2.blur(expected, (7, 7))), expected, bled), (0, 0), 0.6)
    return np.asarray(cv2.GaussianBlur(residual * residual, (0, 0), 1.0).sum(axis=2), np.float32)


def _around(planes: np.ndarray) -> F32Array:
    """(rows, columns, planes): mean square of what is finer than a letter, over the size of a tile."""
    fine = planes - cv2.blur(planes, (7, 7)).reshape(planes.shape)
    return np.asarray(cv2.GaussianBlur(fine * fine, (0, 0), 1.0).reshape(planes.shape), np.float32)
