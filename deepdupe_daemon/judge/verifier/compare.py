"""The flow: the whole picture first, in its likeliest orientation; then by local features; then what remains."""

from __future__ import annotations

import zlib
from dataclasses import replace
from typing import Any

import cv2
import numpy as np

from deepdupe_daemon.judge.verifier.affine import IDENTITY, Affine
from deepdupe_daemon.judge.verifier.agreement import Agreement, agreement, relit
from deepdupe_daemon.judge.verifier.align import detail_likeness, luma, register, warped
from deepdupe_daemon.judge.verifier.features import Keypoints, keypoints, mirrored, placement
from deepdupe_daemon.judge.verifier.finding import Finding, plain_tone, told
from deepdupe_daemon.judge.verifier.naming import geometry
from deepdupe_daemon.judge.verifier.orientation import ORIENTATIONS, likeness, orientation_affine, oriented, small
from deepdupe_daemon.model import Comparison, Relation, U8Array

__all__ = ["compare", "examined", "in_order"]

#: a picture whose brightness varies less than this at 32 x 32 is blank
_FLAT_LEVELS = 3.0
#: so many tiles of 8 x 8 pixels with edges that agree are a picture, fewer are a blank page with a speck
_MIN_TILES = 8
_GLANCE = 0.6
_GLANCE_TURNED = 0.8
#: correlation of details once aligned: 0.92 and more in re-encoded copies, 0.8 in blurred and cropped ones
_LEAST_DETAIL = 0.5
#: matching the light absorbs a little of any difference: products of one series in other colours reach 0.89
_EXPLAINED_RELIT = 0.93
_MIN_INLIERS = 12
_MIN_COVER = 0.8


def compare(a: U8Array, b: U8Array) -> Comparison:
    """The relation of two upright RGB pictures. Symmetric: their order only turns the transform around."""
    first, second, swapped = in_order(a, b)
    found = examined(first, second)
    there, back = (told(found, first, second, swapped=turned) for turned in (swapped, not swapped))
    return replace(there, transform_back=back.transform, worst_tile_of_b=back.worst_tile)


def in_order(a: U8Array, b: U8Array) -> tuple[U8Array, U8Array, bool]:
    """The two with the larger one first, by their pixels alone, and whether they changed places."""
    for picture in (a, b):
        if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8 or 0 in picture.shape:
            raise ValueError(f"not an RGB uint8 picture: {picture.shape} {picture.dtype}")
    a, b = np.ascontiguousarray(a), np.ascontiguousarray(b)
    keys = [(picture.shape[0] * picture.shape[1], picture.shape[0], zlib.crc32(picture.data)) for picture in (a, b)]
    return (b, a, True) if keys[0] < keys[1] else (a, b, False)


def examined(a: U8Array, b: U8Array) -> Finding:
    """What the pixels say; `a` has at least as many as `b`."""
    small_a, small_b = small(a), small(b)
    if min(_variation(small_a), _variation(small_b)) < _FLAT_LEVELS or min(*a.shape[:2], *b.shape[:2]) < 16:
        return Finding(Relation.UNDECIDED, "too little in the pictures")
    glances = likeness(small_a, small_b)
    best: Finding | None = None
    for index in _worth_trying(glances):
        found = _whole(a, b, ORIENTATIONS[index], glances[index])
        if found.relation in (Relation.SAME, Relation.UNDECIDED):
            return found
        if found.relation is Relation.EDITED and (best is None or best.relation is not Relation.EDITED):
            best = found
        best = best or found
    if best is not None and best.relation is Relation.EDITED:
        return best
    parts = _parts(a, b)
    if parts.relation is Relation.DIFFERENT and best is not None and best.relation is Relation.SERIES:
        return best
    return parts


def _variation(picture: U8Array) -> float:
    return float(picture.astype(np.float32).std(axis=(0, 1)).max())


def _worth_trying(glances: list[float]) -> list[int]:
    order = sorted(range(len(glances)), key=lambda index: (-glances[index], index))
    found = [i for i in order if glances[i] >= (_GLANCE if i == 0 else _GLANCE_TURNED)][:2]
    if 0 in found:  # a copy is likelier than its mirror image
        found.remove(0)
        found.insert(0, 0)
    return found


def _whole(a: U8Array, b: U8Array, orientation: tuple[bool, int], glance: float) -> Finding:
    """a and b as the same view, up to a quarter turn, a mirror, a stretch and a rim of a few percent."""
    turned = oriented(a, orientation)
    luma_a, luma_b = luma(turned), luma(b)
    within = register(luma_a, luma_b)
    if detail_likeness(luma_a, luma_b, within) < _LEAST_DETAIL:
        return Finding(Relation.DIFFERENT, "another picture", glance=glance)
    agreed = agreement(turned, b, within)
    b_in_a = orientation_affine(orientation).after(within)
    shape = geometry(b_in_a, a.shape, b.shape)
    common: dict[str, Any] = {"b_in_a": b_in_a, "target_in_a": b_in_a, "agreement": agreed, "glance": glance}
    if agreed.worst < 1 and agreed.confirmed_tiles < _MIN_TILES:
        return Finding(Relation.UNDECIDED, "alike, but there is too little to see", **common)
    if agreed.nearly_everywhere:
        if agreed.everywhere and shape.resized and plain_tone(agreed):
            return Finding(Relation.SAME, "every tile agrees", **common)
        if agreed.hides_print:
            return Finding(Relation.EDITED, "every tile agrees, but compression could hide another digit", **common)
        return Finding(Relation.EDITED, "every tile agrees after alignment", **common)
    if agreed.but_for_a_part:
        return Finding(Relation.EDITED, "the same picture but for one part", **common)
    filtered = _filtered(turned, b, within)
    if filtered is not None:
        common["agreement"] = filtered
        return Finding(Relation.EDITED, "the same picture in another light", **common, relit=True)
    alike = orientation == (False, 0) and glance >= 0.8
    return Finding(Relation.SERIES if alike else Relation.DIFFERENT, _why_not(agreed), **common)


def _filtered(a: U8Array, b: U8Array, within: Affine) -> Agreement | None:
    """The agreement once the large-scale light is matched, where that is enough."""
    view = warped(a, within, (b.shape[0], b.shape[1]))
    agreed = agreement(relit(view, b), b, Affine())
    fits = agreed.one_shot and agreed.explained >= _EXPLAINED_RELIT and (agreed.worst < 1 or agreed.but_for_a_part)
    return agreed if fits and agreed.confirmed_tiles >= 2 * _MIN_TILES else None


def _why_not(agreed: Agreement) -> str:
    if not agreed.edited_exposure:
        return "differs everywhere, as another shot does"
    return "a tile differs"


def _parts(a: U8Array, b: U8Array) -> Finding:
    """a and b by their local features: any crop, turn, frame."""
    points_a, points_b = keypoints(a), keypoints(b)
    plain = _placed(a, b, points_a, points_b, Affine())
    if plain.relation is Relation.EDITED or plain.scene_inliers >= 2 * _MIN_INLIERS:
        return plain
    flipped = np.ascontiguousarray(a[:, ::-1])
    mirror = _placed(flipped, b, mirrored(points_a), points_b, Affine(a=-1.0))
    return mirror if mirror.relation is Relation.EDITED else plain


def _placed(a: U8Array, b: U8Array, points_a: Keypoints, points_b: Keypoints, a_in_original: Affine) -> Finding:
    found = placement(points_a, points_b)
    if found is None or max(found.inliers, found.scene_inliers) < _MIN_INLIERS:
        return Finding(Relation.DIFFERENT, "no common structure")
    seen: dict[str, Any] = {"inliers": found.inliers, "scene_inliers": found.scene_inliers}
    series = Finding(Relation.SERIES, "common structure, seen otherwise", **seen)
    if found.inliers < _MIN_INLIERS or found.inliers < 0.5 * found.scene_inliers:
        return series
    b_in_a = found.affine
    if max(b_in_a.shares()) < 0.05 or abs(np.linalg.det(b_in_a.matrix())) < 1e-4:
        return Finding(Relation.DIFFERENT, "no common structure")
    finer_a = b_in_a.shrink(a.shape, b.shape) >= 1
    source, target, start = (a, b, b_in_a) if finer_a else (b, a, b_in_a.inverse())
    placed, agreed, window = _fitted(source, target, start)
    part_in_a = placed.after(window) if finer_a else window
    placed = placed if finer_a else placed.inverse()
    common: dict[str, Any] = {
        "b_in_a": a_in_original.after(placed),
        "target_in_a": a_in_original.after(part_in_a),
        "agreement": agreed,
        **seen,
    }
    same = agreed.worst < 1 and agreed.confirmed_tiles >= _MIN_TILES
    if agreed.one_shot and (same or agreed.but_for_a_part) and max(placed.shares()) >= _MIN_COVER:
        return Finding(Relation.EDITED, "the same picture, by its aligned parts", **common)
    return Finding(Relation.SERIES, _why_not(agreed), **common)


def _fitted(source: U8Array, target: U8Array, start: Affine) -> tuple[Affine, Agreement, Affine]:
    """The placement refined on what both show, how they agree there, and where that part lies in the target."""
    box = _common_box(start.inside(source.shape, target.shape))
    if box is None:
        return start, agreement(source, target, start), IDENTITY
    left, top, right, bottom = box
    part = np.ascontiguousarray(target[top:bottom, left:right])
    window = Affine.window(box, target.shape)
    rough = start.after(window)
    inside = rough.inside(source.shape, part.shape)
    exact = register(luma(source), luma(part), rough, turning=True, inside=inside)
    agreed = agreement(source, part, exact)
    if not agreed.everywhere:  # repeated structure can lead the refinement astray
        unrefined = agreement(source, part, rough)
        if (not unrefined.one_exposure, unrefined.measure) < (not agreed.one_exposure, agreed.measure):
            exact, agreed = rough, unrefined
    return exact.after(window.inverse()), agreed, window


def _common_box(inside: U8Array) -> tuple[int, int, int, int] | None:
    """Left, top, right, bottom of what is inside; None where that is too small to compare."""
    left, top, width, height = cv2.boundingRect(inside)
    if min(width, height) < 24:
        return None
    return left, top, left + width, top + height
