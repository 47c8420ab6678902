"""The pictures of a page, made in the decoding workers: these functions are named to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deepdupe_daemon.judge import draw_comparison
from deepdupe_daemon.model import Comparison, U8Array

__all__ = ["HEAT_SIDE_PX", "LARGE_SIDE_PX", "THUMB_SIDE_PX", "as_it_is", "heat_map"]

#: of a thumbnail's longer side: 160 CSS pixels on a screen of two pixels each
THUMB_SIDE_PX = 320
#: of a picture that is looked at by itself
LARGE_SIDE_PX = 1600
#: what the drawing is made from; its own panels are 512 px
HEAT_SIDE_PX = 1024


def as_it_is(picture: U8Array) -> U8Array:
    """The picture, as it was decoded."""
    return picture


def heat_map(duplicate: U8Array, keeper: U8Array, *, comparison: Mapping[str, Any]) -> U8Array:
    """`judge.draw_comparison` of the two: the copy, the keeper laid over it, and where they differ."""
    return draw_comparison(duplicate, keeper, Comparison.from_dict(comparison))
