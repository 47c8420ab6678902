"""Symmetric, deterministic, and never more of a copy for a stronger edit."""

from __future__ import annotations

import re
from itertools import pairwise

import cv2
import numpy as np
import pytest

from deepdupe_daemon.judge import compare_pictures, draw_comparison
from deepdupe_daemon.model import Relation, U8Array
from tests.judge.scenes import jpeg, resized, scene

RANK = [Relation.DIFFERENT, Relation.SERIES, Relation.EDITED, Relation.SAME]


def _turned(picture: U8Array, degrees: float) -> U8Array:
    height, width = picture.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
    return np.asarray(cv2.warpAffine(picture, matrix, (width, height), borderValue=(255, 255, 255)))


def _pairs() -> dict[str, tuple[U8Array, U8Array]]:
    picture = scene(21, 480, 360)
    other = picture.copy()
    other[100:130, 200:240] = 255 - other[100:130, 200:240]
    return {
        "recompressed": (picture, jpeg(picture, 50)),
        "smaller": (picture, resized(picture, 160, 120)),
        "equal": (picture, picture.copy()),
        "patched": (picture, jpeg(other, 80)),
        "mirrored": (picture, np.ascontiguousarray(picture[:, ::-1])),
        "quarter turn": (picture, np.ascontiguousarray(np.rot90(picture))),
        "mirrored quarter turn": (picture, np.ascontiguousarray(np.rot90(picture[:, ::-1]))),
        "crop": (picture, np.ascontiguousarray(picture[40:300, 60:400])),
        "tilt": (picture, _turned(picture, 9)),
        "other": (picture, scene(22, 480, 360)),
    }


def _inverse(transform: str) -> str:
    """What undoes a transform, by its words."""
    if "mirrored" not in transform:  # a mirror, then a turn, is undone by the same mirror and the same turn
        transform = re.sub(r"rotated (\d+)", lambda found: f"rotated {360 - int(found[1])}", transform)
    swaps = {
        "cropped to": "uncropped from",
        "uncropped from": "cropped to",
        "bordered": "border removed",
        "border removed": "bordered",
    }
    words = re.sub("|".join(sorted(swaps, key=len, reverse=True)), lambda found: swaps[found[0]], transform)
    return ", ".join(sorted(words.split(", ")))


@pytest.mark.parametrize("name", _pairs())
def test_the_order_of_the_pictures_only_inverts_the_transform(name: str) -> None:
    a, b = _pairs()[name]
    forth, back = compare_pictures(a, b), compare_pictures(b, a)
    assert forth.relation is back.relation
    assert forth.score == back.score
    assert sorted(back.transform.split(", ")) == _inverse(forth.transform).split(", ")


@pytest.mark.parametrize("name", ["recompressed", "patched", "crop", "tilt"])
def test_the_same_pictures_give_the_same_finding(name: str) -> None:
    a, b = _pairs()[name]
    first = compare_pictures(a, b)
    compare_pictures(b, scene(23))  # nothing of another pair stays behind
    assert compare_pictures(a.copy(), b.copy()) == first


def test_the_inputs_are_not_changed() -> None:
    a, b = _pairs()["crop"]
    before = a.copy(), b.copy()
    compare_pictures(a, b)
    np.testing.assert_array_equal(a, before[0])
    np.testing.assert_array_equal(b, before[1])


def test_stronger_compression_never_raises_the_score() -> None:
    picture = scene(24)
    scores = [compare_pictures(picture, jpeg(picture, quality)).score for quality in (98, 85, 60, 30, 12)]
    assert all(weaker >= stronger - 0.02 for weaker, stronger in pairwise(scores))
    assert scores[0] > scores[-1]


def test_a_larger_patch_never_makes_more_of_a_copy() -> None:
    picture = scene(25)
    ranks, scores = [], []
    for side_px in (0, 12, 30, 80, 200):
        patched = picture.copy()
        patched[60 : 60 + side_px, 90 : 90 + side_px] = scene(26)[60 : 60 + side_px, 90 : 90 + side_px]
        found = compare_pictures(picture, jpeg(patched, 85))
        ranks.append(RANK.index(found.relation))
        scores.append(found.score)
    assert ranks == sorted(ranks, reverse=True)
    assert ranks[0] == RANK.index(Relation.SAME)
    assert ranks[1] < ranks[0]
    assert scores[0] > 0.5 > scores[1]


def test_a_tighter_crop_never_makes_more_of_a_copy() -> None:
    picture = scene(27, 640, 480)
    ranks = []
    for margin_px in (0, 2, 30, 100):
        part = np.ascontiguousarray(picture[margin_px : 480 - margin_px, margin_px : 640 - margin_px])
        ranks.append(RANK.index(compare_pictures(picture, jpeg(part, 85)).relation))
    assert ranks == sorted(ranks, reverse=True)
    assert ranks[0] == RANK.index(Relation.SAME)


def test_the_picture_for_why_shows_the_change_where_it_is() -> None:
    a, b = _pairs()["patched"]
    found = compare_pictures(a, b)
    sheet = draw_comparison(a, b, found)
    width = (sheet.shape[1] - 16) // 3
    assert sheet.shape == (round(width * 360 / 480), 3 * width + 16, 3)
    heat = sheet[:, -width:].astype(int)
    hot = heat[..., 0] - heat[..., 2] > 60
    rows, columns = np.nonzero(hot)
    assert abs(rows.mean() / sheet.shape[0] - 115 / 360) < 0.05
    assert abs(columns.mean() / width - 220 / 480) < 0.05
