"""What was found of a pair, and how it is told."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from deepdupe_daemon.judge.verifier.affine import IDENTITY, Affine
from deepdupe_daemon.judge.verifier.agreement import Agreement
from deepdupe_daemon.judge.verifier.align import gradients, luma
from deepdupe_daemon.judge.verifier.naming import Geometry, geometry
from deepdupe_daemon.model import Comparison, Relation, U8Array

__all__ = ["Finding", "plain_tone", "told"]

#: a tone further off is no re-encode: 1/3 EV is 15 levels in the mean, 2/3 EV 25
_TONE_LEVELS = 22.0
_COLOUR_LEVELS = 7.0
#: where the tone moved by 40 levels, clipping and what the curve leaves reach 1.2 of the limit without any overlay
_OVERLAY_RECOLOURED = 1.25


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found of a pair (a, b): the relation, and where b lies in a."""

    relation: Relation
    reason: str
    b_in_a: Affine | None = None
    agreement: Agreement | None = None
    target_in_a: Affine = IDENTITY  # where the points of the agreement's target lie in a
    inliers: int = 0
    scene_inliers: int = 0
    glance: float = 0.0
    relit: bool = False


def plain_tone(agreed: Agreement) -> bool:
    """Whether the tone changed no more than a re-encode, a profile or a slight correction would change it."""
    return agreed.tone <= _TONE_LEVELS and agreed.colour <= _COLOUR_LEVELS


def _flat_outside(picture: U8Array, other: U8Array, place: Affine) -> bool:
    """Whether what `picture` shows beyond `other` is mostly empty, like a border or an app around it."""
    outside = place.inside(other.shape, picture.shape) == 0
    if outside.sum() < 64:
        return True
    dx, dy = gradients(luma(picture))
    return float((np.hypot(dx, dy)[outside] < 2.0).mean()) >= 0.75


def told(found: Finding, a: U8Array, b: U8Array, *, swapped: bool) -> Comparison:
    """The finding on (a, b) for the one who gave them in this order, or, `swapped`, in the other."""
    measures: dict[str, float] = {"glance": found.glance}
    score, tile, transform = 0.0, None, ""
    agreed = found.agreement
    if found.b_in_a is not None and agreed is not None:
        b_in_a = found.b_in_a
        shape = geometry(b_in_a.inverse(), b.shape, a.shape) if swapped else geometry(b_in_a, a.shape, b.shape)
        score = 1 / (1 + agreed.measure**2)
        into_first = b_in_a.inverse().after(found.target_in_a) if swapped else found.target_in_a
        tile = _moved(agreed.tile, into_first)
        if found.relation in (Relation.SAME, Relation.EDITED):
            words = _shape_words(shape, found, a, b, swapped=swapped)
            transform = ", ".join(words + _changes(agreed, found))
            transform = transform or _unnamed(found.relation, agreed)
        measures |= {
            "worst": agreed.worst,
            "changed": agreed.changed,
            "confirmed": agreed.confirmed,
            "structure": agreed.structure,
            "confirmed_tiles": float(agreed.confirmed_tiles),
            "explained": agreed.explained,
            "contained": agreed.contained,
            "noise": agreed.noise,
            "edge_noise": agreed.edge_noise,
            "hidden": agreed.hidden,
            "tone": agreed.tone,
            "colour": agreed.colour,
            "kept": shape.kept,
            "filled": shape.filled,
        }
    if found.scene_inliers:
        measures |= {"inliers": float(found.inliers), "scene_inliers": float(found.scene_inliers)}
    return Comparison(found.relation, score, transform, tile, found.reason, measures)


def _unnamed(relation: Relation, agreed: Agreement) -> str:
    if relation is not Relation.EDITED:
        return ""
    return "strongly compressed" if agreed.hides_print else "retouched"


def _shape_words(shape: Geometry, found: Finding, a: U8Array, b: U8Array, *, swapped: bool) -> list[str]:
    if found.b_in_a is None or not (shape.cropped or shape.framed):
        return shape.words(lost_is_flat=False, gained_is_flat=False)
    only_a = _flat_outside(a, b, found.b_in_a.inverse())
    only_b = _flat_outside(b, a, found.b_in_a)
    lost, gained = (only_b, only_a) if swapped else (only_a, only_b)
    return shape.words(lost_is_flat=lost, gained_is_flat=gained)


def _moved(tile: tuple[float, float, float, float], move: Affine) -> tuple[float, float, float, float]:
    """The upright box around a tile seen in another picture, in shares of that picture."""
    left, top, width, height = tile
    corners = np.array([[2 * x - 1, 2 * y - 1, 1] for x in (left, left + width) for y in (top, top + height)])
    there = np.clip((corners @ move.matrix()[:2].T + 1) / 2, 0, 1)
    low, high = there.min(axis=0), there.max(axis=0)
    return float(low[0]), float(low[1]), float(high[0] - low[0]), float(high[1] - low[1])


def _changes(agreed: Agreement, found: Finding) -> list[str]:
    words = []
    if agreed.worst >= (1 if plain_tone(agreed) else _OVERLAY_RECOLOURED):
        words.append(f"overlay {max(1, round(100 * agreed.changed))} %")
    if found.relit or not plain_tone(agreed):
        words.append("recoloured")
    return words
