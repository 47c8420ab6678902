"""What an affine map does to a picture, in words: `mirrored, rotated 90, cropped to 53 %`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from deepdupe_daemon.judge.verifier.affine import Affine

__all__ = ["Geometry", "geometry"]

#: less than this is resampling: a thumbnail's rounded side, a row that a lossless turn cut off
_WHOLE = 0.98
_TURN_DEGREES = 0.5
_STRETCH = 0.02


@dataclass(frozen=True, slots=True)
class Geometry:
    """How b is made of a, but for its size: mirrored left to right, then turned clockwise, stretched, cropped,
    framed."""

    mirrored: bool
    degrees: float  # clockwise, 0 to 360
    stretch: float  # width by height, 1 = none
    kept: float  # share of a that b shows
    filled: float  # share of b that a covers
    slack: float = 0.0  # shares and stretch that one pixel makes in the smaller picture

    @property
    def turned(self) -> bool:
        return min(self.degrees, 360 - self.degrees) > _TURN_DEGREES

    @property
    def stretched(self) -> bool:
        return abs(float(np.log(self.stretch))) > _STRETCH + self.slack

    @property
    def cropped(self) -> bool:
        return self.kept < _WHOLE - self.slack

    @property
    def framed(self) -> bool:
        return self.filled < _WHOLE - self.slack

    @property
    def resized(self) -> bool:
        """Whether b is all of a and nothing else, at another size; width and height may have been scaled unequally."""
        return not (self.mirrored or self.turned or self.cropped or self.framed) and 0.5 < self.stretch < 2

    def words(self, *, lost_is_flat: bool, gained_is_flat: bool) -> list[str]:
        """The transform, from a to b. Flat: what only a shows, or only b, is empty like a border or an app's frame."""
        found = []
        if self.mirrored:
            found.append("mirrored")
        if self.turned:
            found.append(f"rotated {_degrees(self.degrees)}")
        if self.stretched:
            found.append(f"stretched {self.stretch:.2f}")
        if self.cropped:
            found.append("border removed" if lost_is_flat else f"cropped to {round(100 * self.kept)} %")
        if self.framed:
            found.append("bordered" if gained_is_flat else f"uncropped from {round(100 * self.filled)} %")
        return found


def _degrees(angle: float) -> str:
    quarter = round(angle / 90) * 90
    if abs(angle - quarter) <= _TURN_DEGREES:
        return str(quarter % 360)
    return f"{angle:.0f}" if abs(angle - round(angle)) < 0.25 else f"{angle:.1f}"


def geometry(b_in_a: Affine, a_size: tuple[int, ...], b_size: tuple[int, ...]) -> Geometry:
    """The geometry of b against a, from where b's points lie in a; sizes as (height, width)."""
    linear = np.linalg.inv(b_in_a.pixels(a_size, b_size)[:, :2].astype(np.float64))
    mirrored = float(np.linalg.det(linear)) < 0
    if mirrored:
        linear = linear @ np.diag([-1.0, 1.0])
    angle = float(np.arctan2(linear[1, 0] - linear[0, 1], linear[0, 0] + linear[1, 1]))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    scaled = turn.T @ linear
    filled, kept = b_in_a.shares()
    return Geometry(
        mirrored=mirrored,
        degrees=float(np.degrees(angle)) % 360,
        stretch=float(abs(scaled[0, 0] / scaled[1, 1])) if scaled[1, 1] else 1.0,
        kept=kept,
        filled=filled,
        slack=1.0 / max(1, min(*a_size[:2], *b_size[:2])),
    )
