"""The verifier on drawn scenes: what is a copy, what an edit, and that a small change at one place is never a copy."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from deepdupe_daemon.judge import compare_pictures
from deepdupe_daemon.model import Comparison, Relation, U8Array
from tests.judge.scenes import jpeg, resized, scene

SEEDS = (1, 2, 3)


def _relation(a: U8Array, b: U8Array) -> Relation:
    return compare_pictures(a, b).relation


def _transform(a: U8Array, b: U8Array) -> str:
    found = compare_pictures(a, b)
    assert found.relation is Relation.EDITED, found
    return found.transform


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("quality", [95, 75, 50, 30, 20])
def test_a_recompressed_copy_is_the_same(seed: int, quality: int) -> None:
    assert _relation(scene(seed), jpeg(scene(seed), quality)) is Relation.SAME


@pytest.mark.parametrize("divisor", [2, 3, 4, 8])
def test_a_smaller_copy_is_the_same(divisor: int) -> None:
    picture = scene(4, 800, 600)
    small = jpeg(resized(picture, 800 // divisor, 600 // divisor), 80)
    assert _relation(picture, small) is Relation.SAME


@pytest.mark.parametrize(
    "change",
    [
        lambda p: np.repeat(p.mean(axis=2, keepdims=True), 3, axis=2),
        lambda p: p * 1.12,
        lambda p: 255 * (p / 255) ** 0.85,
        lambda p: (p - 128) * 0.85 + 128,
        lambda p: p * np.array([1.04, 1.0, 0.96]),
    ],
    ids=["grey", "brighter", "gamma", "less contrast", "warmer"],
)
def test_a_small_tonal_change_is_the_same(change) -> None:
    picture = scene(5)
    toned = np.clip(change(picture.astype(np.float64)), 0, 255).astype(np.uint8)
    assert _relation(picture, jpeg(toned, 85)) is Relation.SAME


def test_a_strong_tonal_change_is_an_edit_and_named() -> None:
    picture = scene(5)
    toned = (255 * (picture / 255) ** 0.55).astype(np.uint8)
    assert _transform(picture, jpeg(toned, 85)) == "recoloured"


def test_pictures_of_other_scenes_differ() -> None:
    for a, b in ((1, 2), (3, 4), (5, 6)):
        assert _relation(scene(a), scene(b)) is Relation.DIFFERENT


def test_a_shifted_noisy_second_shot_is_no_copy() -> None:
    picture = scene(7, 430, 330)
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[0:300, 0:400].astype(np.float32)
    # Parallax: things move by how near they are, which no crop or turn does.
    moved = (columns + 15 + 4 * np.sin(rows / 50), rows + 15 + 3 * np.sin(columns / 60))
    shot = cv2.remap(picture, moved[0].astype(np.float32), moved[1].astype(np.float32), cv2.INTER_CUBIC)
    shot = np.clip(shot + rng.normal(0, 3, shot.shape), 0, 255).astype(np.uint8)
    first = np.ascontiguousarray(picture[15:315, 15:415])
    assert _relation(jpeg(first, 92), jpeg(shot, 92)) in (Relation.SERIES, Relation.DIFFERENT)


def _page(total: str) -> U8Array:
    page = Image.new("RGB", (600, 800), "white")
    draw = ImageDraw.Draw(page)
    font = ImageFont.load_default(20)
    for line in range(18):
        draw.text((60, 60 + 36 * line), f"item {line} of the long list     {line * 37 % 91}.50", "black", font)
    draw.text((60, 740), f"total {total}", "black", font)
    return np.asarray(page)


@pytest.mark.parametrize("quality", [95, 70, 40])
def test_another_digit_makes_another_document(quality: int) -> None:
    assert _relation(_page("731.20"), jpeg(_page("731.20"), quality)) is Relation.SAME
    changed = compare_pictures(_page("731.20"), jpeg(_page("781.20"), quality))
    assert changed.relation is not Relation.SAME
    assert changed.worst_tile is not None
    left, top, width, height = changed.worst_tile
    assert 0.92 < top + height / 2 < 0.97  # the line of the total
    assert 0.15 < left + width / 2 < 0.25


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("side_px", [14, 24, 40])
def test_a_small_patch_from_elsewhere_breaks_a_copy(seed: int, side_px: int) -> None:
    picture = scene(seed)
    patched = picture.copy()
    patched[200 : 200 + side_px, 300 : 300 + side_px] = picture[40 : 40 + side_px, 60 : 60 + side_px]
    found = compare_pictures(picture, jpeg(patched, 70))
    assert found.relation is not Relation.SAME
    assert found.worst_tile is not None
    x, y = found.worst_tile[0] + found.worst_tile[2] / 2, found.worst_tile[1] + found.worst_tile[3] / 2
    assert abs(x * 400 - 300 - side_px / 2) < side_px / 2 + 8
    assert abs(y * 300 - 200 - side_px / 2) < side_px / 2 + 8


def test_another_colour_at_one_place_breaks_a_copy() -> None:
    picture = scene(8)
    painted = picture.copy()
    painted[100:140, 150:190] = picture[100:140, 150:190][..., [2, 0, 1]]
    assert _relation(picture, jpeg(painted, 85)) is not Relation.SAME


ORIENTATIONS = {
    "mirrored": lambda p: p[:, ::-1],
    "mirrored, rotated 180": lambda p: p[::-1],
    "rotated 90": lambda p: np.rot90(p, -1),
    "rotated 180": lambda p: np.rot90(p, 2),
    "rotated 270": lambda p: np.rot90(p),
    "mirrored, rotated 90": lambda p: np.rot90(p[:, ::-1], -1),
}


@pytest.mark.parametrize("name", ORIENTATIONS)
def test_turned_and_mirrored_copies_are_edits_and_named(name: str) -> None:
    picture = scene(9)
    assert _transform(picture, jpeg(np.ascontiguousarray(ORIENTATIONS[name](picture)), 80)) == name


@pytest.mark.parametrize(("share", "side"), [(81, 0.9), (49, 0.7), (25, 0.5)])
def test_a_crop_is_an_edit_and_its_size_is_named(share: int, side: float) -> None:
    picture = scene(10, 640, 480)
    width, height = round(640 * side), round(480 * side)
    part = np.ascontiguousarray(picture[20 : 20 + height, 40 : 40 + width])
    assert _transform(picture, jpeg(part, 80)) == f"cropped to {share} %"
    assert _transform(jpeg(part, 80), picture) == f"uncropped from {share} %"


def test_a_border_a_tilt_and_a_caption_are_edits_and_named() -> None:
    picture = scene(11)
    framed = np.full((400, 500, 3), 255, np.uint8)
    framed[50:350, 50:450] = picture
    assert _transform(picture, jpeg(framed, 85)) == "bordered"
    tilted = np.asarray(Image.fromarray(picture).rotate(-12, Image.Resampling.BICUBIC, expand=True, fillcolor="white"))
    assert _transform(picture, jpeg(tilted, 85)) == "rotated 12, bordered"
    written = picture.copy()
    cv2.putText(written, "SOLD", (60, 170), cv2.FONT_HERSHEY_SIMPLEX, 3, (255, 255, 255), 8)
    assert _transform(picture, jpeg(written, 85)).startswith("overlay")


def test_two_crops_that_only_overlap_are_no_edits_of_each_other() -> None:
    picture = scene(12, 800, 600)
    left, right = np.ascontiguousarray(picture[:, :580]), np.ascontiguousarray(picture[:, 220:])
    assert _relation(left, right) is Relation.SERIES


@pytest.mark.parametrize(
    "blank",
    [
        np.zeros((300, 400, 3), np.uint8),
        np.full((300, 400, 3), 255, np.uint8),
        np.clip(np.random.default_rng(0).normal(246, 2, (300, 400, 3)), 0, 255).astype(np.uint8),
        np.tile(np.linspace(90, 160, 400)[None, :, None], (300, 1, 3)).astype(np.uint8),
        np.zeros((8, 8, 3), np.uint8),
    ],
    ids=["black", "white", "scan of nothing", "gradient", "tiny"],
)
def test_low_information_is_undecided(blank: U8Array) -> None:
    assert _relation(blank, jpeg(blank, 80)) is Relation.UNDECIDED


def test_a_squeezed_copy_is_the_same_and_says_so() -> None:
    found = compare_pictures(scene(13), resized(scene(13), 300, 300))
    assert (found.relation, found.transform) == (Relation.SAME, "stretched 0.75")


@pytest.mark.parametrize(
    "pixels", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), np.zeros((0, 4, 3), np.uint8)]
)
def test_other_arrays_are_refused(pixels: np.ndarray) -> None:
    with pytest.raises(ValueError, match="not an RGB"):
        compare_pictures(pixels, scene(1))


def test_a_finding_survives_its_own_json() -> None:
    found = compare_pictures(scene(1), jpeg(scene(1), 60))
    assert Comparison.from_dict(found.to_dict()) == found
