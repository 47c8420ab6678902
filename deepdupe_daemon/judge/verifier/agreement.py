"""Do two pictures, once aligned, show the same exposure? The most different tile decides."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from deepdupe_daemon.judge.verifier.affine import Affine
from deepdupe_daemon.judge.verifier.align import warped
from deepdupe_daemon.judge.verifier.hiding import hidden, joined
from deepdupe_daemon.judge.verifier.tiles import TileMap, tile_map
from deepdupe_daemon.judge.verifier.tone import predicted
from deepdupe_daemon.model import F32Array, U8Array

__all__ = ["Agreement", "agreement", "relit"]

#: residual per level of edge: compression stays below 0.3, a second exposure of a hand-held burst starts at 0.43
EDGE_NOISE = 0.36
#: levels: a second decoder's residual is below 1, JPEG at quality 20 leaves 3
NOISE = 5.0
#: the strongest compression of the ladder keeps 0.82, one labelled copy 0.58; another shot rarely has more than 0.8
EXPLAINED = 0.75
#: Compression can take most of a grainy picture's variance and leave a copy: then all that is left was foreseen, every
#: tile agrees, and the edges lie as compression leaves them (copies reach 0.25, other shots start at 0.26).
EXPLAINED_OF_GRAIN = 0.3
EDGE_NOISE_OF_GRAIN = 0.26
#: levels: grain that was lost leaves 0.7, a picture dithered to black and white much more
NOISE_OF_GRAIN = 2.0
CONTAINED = 0.97
#: for an edit, which is never acted upon unasked, a little more: turning and scaling resample; other shots start at
#: 0.53
EDGE_NOISE_EDITED = 0.48
NOISE_EDITED = 6.0
EXPLAINED_EDITED = 0.7
#: crops, turns and screenshots of the ladder stay below 0.2, a tripod's optical zoom starts at 0.33
EDGE_NOISE_PARTS = 0.3
#: An overlay may cover this share of the picture; of the tiles with edges this much must agree: less where the rest
#: is a copy beyond doubt. Products of one series, photographed alike (0.4 to 0.91 confirmed, at most 0.87 explained),
#: are no copies.
MOST_CHANGED = 0.35
LEAST_CONFIRMED = 0.93
LEAST_CONFIRMED_RESAMPLED = 0.99
LEAST_CONFIRMED_CLOSELY = 0.6
EXPLAINED_CLOSELY = 0.93
MIN_TILES_AROUND_OVERLAY = 24
#: edges weaker than this many levels a pixel are noise or a smooth sky, and prove nothing
_STRUCTURE = 2.0


@dataclass(frozen=True, slots=True)
class Agreement:
    """How an aligned pair agrees. Shares are of the area that both pictures show."""

    worst: float  # the most different tile over its limit: below 1 every tile agrees
    tile: tuple[float, float, float, float]  # that tile, in shares of the target: left, top, width, height
    changed: float  # share of tiles over the limit
    structure: float  # share of tiles with edges in either picture
    confirmed: float  # share of those that agree
    confirmed_tiles: int  # how many that are
    explained: float  # share of the variance at edges that one picture accounts for in the other
    contained: float  # the target's detail per unit of the prediction's
    noise: float
    edge_noise: float
    tone: float  # mean change of luma by the tone, in levels
    colour: float  # mean change of chroma by the tone, in levels
    unlike: F32Array  # the map behind it, over its limit
    hidden: float = 0.0  # where every tile agrees: above 1, other print would agree as well

    @property
    def one_exposure(self) -> bool:
        """Whether what agrees, agrees as copies do: by compression's noise and no more."""
        within = self.edge_noise <= EDGE_NOISE and self.noise <= NOISE
        return within and (self.explained >= EXPLAINED or self.lost_grain)

    @property
    def lost_grain(self) -> bool:
        """Whether all that one picture lacks of the other is grain, which says nothing against a copy."""
        return self.edge_noise <= EDGE_NOISE_OF_GRAIN and self._all_foreseen

    @property
    def _all_foreseen(self) -> bool:
        within = self.worst < 1 and self.noise <= NOISE_OF_GRAIN
        return within and self.explained >= EXPLAINED_OF_GRAIN and self.contained >= CONTAINED

    @property
    def edited_exposure(self) -> bool:
        """Whether what agrees may be one exposure that was resampled, sharpened or blurred."""
        within = self.edge_noise <= EDGE_NOISE_EDITED and self.noise <= NOISE_EDITED
        return within and (self.explained >= EXPLAINED_EDITED or self._all_foreseen)

    @property
    def one_shot(self) -> bool:
        """Whether what agrees was cut from one exposure: parts found by features have no framing that vouches for
        them."""
        return self.one_exposure and self.edge_noise <= EDGE_NOISE_PARTS

    @property
    def but_for_a_part(self) -> bool:
        """Whether most agrees, closely, and the rest may be an overlay."""
        if not self.edited_exposure or self.changed > MOST_CHANGED or self.confirmed_tiles < MIN_TILES_AROUND_OVERLAY:
            return False
        if not self.one_exposure:  # pressed hard and changed at one place: more would be products of one series
            return self.confirmed >= LEAST_CONFIRMED_RESAMPLED
        closely = self.explained >= EXPLAINED_CLOSELY and self.edge_noise <= EDGE_NOISE_PARTS
        return self.confirmed >= (LEAST_CONFIRMED_CLOSELY if closely else LEAST_CONFIRMED)

    @property
    def nearly_everywhere(self) -> bool:
        return self.edited_exposure and self.worst < 1

    @property
    def hides_print(self) -> bool:
        """Whether compression took so much of what a person can read that another digit would not have shown."""
        return self.hidden >= 1

    @property
    def everywhere(self) -> bool:
        return self.one_exposure and self.worst < 1 and not self.hides_print

    @property
    def measure(self) -> float:
        """Below 1 if and only if `everywhere`."""
        return max(self.misfit, self.hidden)

    @property
    def misfit(self) -> float:
        """How far the two are from a copy that leaves nothing hidden; comparable between directions."""
        unexplained = 0.0 if self.lost_grain else (1 - self.explained) / (1 - EXPLAINED)
        return max(self.worst, self.edge_noise / EDGE_NOISE, self.noise / NOISE, unexplained)


def agreement(source: U8Array, target: U8Array, affine: Affine) -> Agreement:
    """Compare `source`, seen through `affine`, with `target`, both ways, and give the better one.

    Both ways, because what is lost (sharpness, colour, clipped lights) can be predicted from what has it and not the
    other way round, while a change at one place shows in both.
    """
    size = (target.shape[0], target.shape[1])
    exact = source.shape == target.shape and affine.offset_px(max(size)) < 0.02
    view = source if exact else warped(source, affine, size)
    mask = None if exact else affine.inside(source.shape, size)
    rim = 2 + (0 if exact else 1)
    first, second = (view, target) if _sharpness(view) >= _sharpness(target) else (target, view)
    best = _one_way(first, second, mask, rim)
    if not best.everywhere:
        other = _one_way(second, first, mask, rim)
        best = min(best, other, key=lambda found: (not found.one_exposure, not found.everywhere, found.misfit))
    return best


def relit(source: U8Array, target: U8Array) -> U8Array:
    """`source` with a light over it (a vignette, a gradient) that brings it closest to `target`; both of one size.

    The light is a quadratic in x and y, six numbers and an offset: it bends to a vignette, and to no object.
    """
    side = 24
    cells = []
    for picture in (source, target):
        small = cv2.resize(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), (side, side), interpolation=cv2.INTER_AREA)
        cells.append(small.astype(np.float64).ravel())
    y, x = (axis.ravel() for axis in np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j])
    powers = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=1)
    given = np.concatenate([powers * cells[0][:, None], np.full((len(x), 1), 255.0)], axis=1)
    weights = np.ones(len(x))
    for _ in range(5):
        root = np.sqrt(weights)[:, None]
        solved = np.linalg.lstsq(given * root, cells[1] * root[:, 0], rcond=None)[0]
        residual = np.abs(cells[1] - given @ solved)
        weights = 1 / (1 + (residual / (2.5 * (1.4826 * float(np.median(residual)) + 1))) ** 2)
    gain = (powers @ solved[:6]).reshape(side, side).astype(np.float32)
    full = cv2.resize(np.clip(gain, 0.1, 8.0), (source.shape[1], source.shape[0]), interpolation=cv2.INTER_CUBIC)
    lit: U8Array = np.clip(source * full[..., None] + 255 * solved[6], 0, 255).astype(np.uint8)
    return lit


def _sharpness(picture: U8Array) -> float:
    y = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    (_, fine), (_, all_of_it) = (cv2.meanStdDev(plane) for plane in (y - cv2.blur(y, (5, 5)), y))
    return float(fine[0, 0] / (all_of_it[0, 0] + 1))


def _one_way(source: U8Array, target: U8Array, mask: U8Array | None, rim_px: int) -> Agreement:
    prediction = predicted(source, target, mask)
    tiles = tile_map(prediction, target, mask, rim_px)
    found = _summary(tiles, joined(tiles.unlike, tiles.unlike_colour), prediction.change, prediction.shift)
    if not found.everywhere:
        return found
    return replace(found, hidden=hidden(source, target, prediction, tiles))


def _summary(tiles: TileMap, unlike: F32Array, tone: float, colour: float) -> Agreement:
    height, width = unlike.shape
    row, column = np.unravel_index(int(np.argmax(unlike)), unlike.shape)
    count = int(tiles.valid.sum())
    changed = unlike >= 1
    structured = tiles.structure >= _STRUCTURE
    agreeing = int((structured & ~changed).sum())
    structured_count = int(structured.sum())
    side_x, side_y = min(1.0, 8 / width), min(1.0, 8 / height)
    return Agreement(
        worst=float(unlike[row, column]),
        tile=(
            min(max(0.0, column / width - side_x / 2), 1 - side_x),
            min(max(0.0, row / height - side_y / 2), 1 - side_y),
            side_x,
            side_y,
        ),
        changed=float(changed.sum()) / max(1, count),
        structure=structured_count / max(1, count),
        confirmed=agreeing / max(1, structured_count),
        confirmed_tiles=agreeing // 16,  # the grid holds 4 x 4 points a tile of 8 x 8 pixels
        explained=tiles.explained,
        contained=tiles.contained,
        noise=tiles.noise,
        edge_noise=tiles.edge_noise,
        tone=tone,
        colour=colour,
        unlike=unlike,
    )
