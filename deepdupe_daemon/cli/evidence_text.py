"""Similarities and the finding of the pixels, in words and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deepdupe_daemon.model import Comparison

__all__ = ["comparison_json", "comparison_lines", "similarity_lines"]

#: what the verifier measures, stage by stage; a stage that was not reached has measured nothing
_STAGES = (
    ("at a glance", ("glance",)),
    ("local features", ("inliers", "scene_inliers")),
    ("placement", ("kept", "filled")),
    ("tiles", ("worst", "changed", "confirmed", "confirmed_tiles", "structure", "explained", "noise", "edge_noise")),
    ("tone", ("tone", "colour")),
)


def similarity_lines(
    similarities: Mapping[str, float], normalised: Mapping[str, float], thresholds: Mapping[str, float]
) -> Iterator[str]:
    """`pdq.hash: similarity 0.9844, threshold 0.7578`"""
    for space, similarity in sorted(similarities.items()):
        score = f", normalised {normalised[space]:.4f}" if space in normalised else ""
        limit = f", threshold {thresholds[space]:.4f}" if space in thresholds else ""
        yield f"{space}: similarity {similarity:.4f}{score}{limit}"


def comparison_lines(comparison: Comparison) -> Iterator[str]:
    """The finding, where the pictures differ most, and the measures of each stage."""
    transform = f", {comparison.transform}" if comparison.transform else ""
    yield f"pixels: {comparison.relation}{transform}, score {comparison.score:.4f}, {comparison.reason}"
    if comparison.worst_tile is not None:
        x, y, width, height = (100 * share for share in comparison.worst_tile)
        yield (
            f"most different tile: {x:.1f} % from the left, {y:.1f} % from the top, {width:.1f} % by {height:.1f} %"
            " of the picture"
        )
    named = {name for _, names in _STAGES for name in names}
    rest = sorted(comparison.measures.keys() - named)
    for stage, names in (*_STAGES, ("measured", tuple(rest))):
        found = ", ".join(f"{name} {comparison.measures[name]:.4g}" for name in names if name in comparison.measures)
        if found:
            yield f"{stage}: {found}"


def comparison_json(comparison: Comparison | None) -> dict[str, Any] | None:
    return comparison.to_dict() if comparison is not None else None
