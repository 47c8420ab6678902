"""The pixel-level verifier: pure functions of two decoded pictures, run in a decoding worker.

Promises: symmetric (the relation is equal, the transform inverted), deterministic, single-threaded, no files, no state.
cv2 is imported when the first pair is compared, not before.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from deepdupe_daemon.model import Comparison, U8Array

__all__ = ["PICTURE_SIDE_PX", "compare_pictures", "draw_comparison", "draw_pair"]

#: the longer side that both pictures should be decoded to, at most
PICTURE_SIDE_PX: Final = 1024


def compare_pictures(
    a: U8Array,
    b: U8Array,
    *,
    a_facts: Mapping[str, Any] | None = None,  # noqa: ARG001 -- the room's contract; see below
    b_facts: Mapping[str, Any] | None = None,  # noqa: ARG001
) -> Comparison:
    """What the pixels of two upright RGB pictures, (height, width, 3) uint8, say of each other.

    The facts (JSON of `ImageFacts`) are accepted for the record; the finding rests on the pixels alone.
    Raises ValueError for arrays of another shape or type.
    """
    from deepdupe_daemon.judge.verifier.compare import compare

    return compare(a, b)


def draw_comparison(a: U8Array, b: U8Array, comparison: Comparison) -> U8Array:
    """RGB, three panels of 512 px: a, b laid over it, and where they differ as a heat map, the worst tile boxed.

    Takes what `compare_pictures` took and gave.
    """
    from deepdupe_daemon.judge.verifier.draw import drawn

    return drawn(a, b, comparison)


def draw_pair(a: U8Array, b: U8Array) -> U8Array:
    """`draw_comparison` of two pictures that have not been compared yet."""
    return draw_comparison(a, b, compare_pictures(a, b))
