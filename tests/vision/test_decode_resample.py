"""The resize is Pillow's, within rounding, for any size, crop and number of channels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from deepdupe_daemon.model import U8Array
from deepdupe_daemon.vision.decode.axis import Axis, AxisMemo, resize_band
from deepdupe_daemon.vision.decode.resample import Plan, resample, to_uint8
from tests.vision.paintings import psnr_db, scene

FILTERS = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}


def _ours(pixels: U8Array, width: int, height: int, kernel: str) -> U8Array:
    h, w, channels = pixels.shape
    rows, columns = resize_band(h, h, height, kernel).rows(), resize_band(w, w, width, kernel).columns(channels)
    return to_uint8(resample(pixels, [Plan(rows, columns, channels)])[0])


@settings(max_examples=60, deadline=None)
@given(
    size=st.tuples(st.integers(1, 400), st.integers(1, 400)),
    target=st.tuples(st.integers(1, 200), st.integers(1, 200)),
    kernel=st.sampled_from(["bicubic", "bilinear"]),
)
def test_like_pillow_for_any_size(size: tuple[int, int], target: tuple[int, int], kernel: str) -> None:
    pixels = scene(max(size[0], 16), max(size[1], 16))[: size[1], : size[0]]
    theirs = np.asarray(Image.fromarray(np.ascontiguousarray(pixels)).resize(target, FILTERS[kernel]))
    ours = _ours(pixels, *target, kernel)
    assert ours.shape == theirs.shape
    # Pillow clips the overshoot of a bicubic between its two passes, we once at the end
    assert psnr_db(ours, theirs) > (36 if kernel == "bicubic" else 50)


def test_grey_is_resized_like_one_channel_of_colour() -> None:
    pixels = scene(500, 333)
    grey = _ours(pixels[:, :, :1], 100, 120, "bicubic")
    assert (grey[:, :, 0] == _ours(pixels, 100, 120, "bicubic")[:, :, 0]).all()


def test_many_sizes_in_one_pass_are_what_each_is_alone() -> None:
    pixels = scene(700, 500)
    plans = [
        Plan(resize_band(500, 500, side, "bicubic").rows(), resize_band(700, 700, side, "bicubic").columns(3), 3)
        for side in (224, 37, 512)
    ]
    for plan, together in zip(plans, resample(pixels, plans), strict=True):
        assert np.array_equal(together, resample(pixels, [plan])[0])


def test_a_crop_is_cut_out_of_the_whole() -> None:
    pixels = scene(600, 400)
    whole = _ours(pixels, 300, 200, "bicubic")
    rows = resize_band(400, 400, 200, "bicubic", 31, 90).rows()
    columns = resize_band(600, 600, 300, "bicubic", 77, 90).columns(3)
    cut = to_uint8(resample(pixels, [Plan(rows, columns, 3)])[0])
    assert np.abs(cut.astype(int) - whole[31:121, 77:167]).max() <= 1
    assert columns.reach[0] > 100  # and no column outside is read
    assert columns.reach[1] < 400


def test_luma_is_folded_on_the_way() -> None:
    pixels = scene(300, 200)
    rows = resize_band(200, 200, 50, "bilinear").rows()
    colour = resample(pixels, [Plan(rows, resize_band(300, 300, 60, "bilinear").columns(3), 3)])[0]
    luma = resample(pixels, [Plan(rows, resize_band(300, 300, 60, "bilinear").columns(3, luma=True), 1)])[0]
    assert np.allclose(luma[:, :, 0], colour @ np.array([0.299, 0.587, 0.114]), atol=1e-2)


def test_a_partly_filled_last_line_shifts_nothing() -> None:
    """A scaled decode of 801 lines at 1/2 has 401, the last of them half beyond the picture."""
    pixels = scene(801, 801)
    half = np.asarray(Image.fromarray(pixels).reduce(2))
    assert half.shape[:2] == (401, 401)
    rows = resize_band(401, 400.5, 100, "bilinear").rows()
    columns = resize_band(401, 400.5, 100, "bilinear").columns(3)
    exact = to_uint8(resample(half, [Plan(rows, columns, 3)])[0])
    assert psnr_db(exact, _ours(pixels, 100, 100, "bilinear")) > psnr_db(
        _ours(half, 100, 100, "bilinear"), _ours(pixels, 100, 100, "bilinear")
    )


@pytest.mark.parametrize("lines", [1, 5, 2048, 2049, 70_000])
def test_weights_of_every_line_sum_to_one(lines: int) -> None:
    axis = resize_band(lines, lines, 64, "bicubic").rows()
    sums = np.zeros(64)
    for block in axis.blocks:
        if block is not None:
            sums[block.out_start : block.out_stop] += block.weights.sum(axis=1)
    assert np.allclose(sums, 1.0, atol=1e-5)


def test_the_memo_forgets_the_oldest_when_its_budget_is_spent() -> None:
    built: list[int] = []

    def axis(lines: int) -> Axis:
        built.append(lines)
        return resize_band(lines, lines, 100, "bicubic").rows()

    memo = AxisMemo(budget_bytes=3 * axis(1000).nbytes + 100)
    for lines in (1000, 1001, 1002, 1000, 1003, 1001):
        memo.get(lines, lambda lines=lines: axis(lines))
    assert built[1:] == [1000, 1001, 1002, 1003, 1001]  # 1000 was used again, so 1001 went when 1003 came
