"""Our PDQ is the reference's, bit by bit; and steadier than it across sizes, turns and reflections."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deepdupe_daemon.model import U8Array
from deepdupe_daemon.vision.decode.axis import resize_band
from deepdupe_daemon.vision.decode.opening import load_decoders
from deepdupe_daemon.vision.decode.resample import Plan, resample
from deepdupe_daemon.vision.pdq import VARIANTS, hash_buffer, sampling_band
from tests.vision.paintings import distance_bits, encode, large_photos, scene, see
from tests.vision.pictures import real_pictures

#: the picture after each of VARIANTS
TURNS = (
    lambda a: a,
    lambda a: np.rot90(a, 1),
    lambda a: np.rot90(a, 2),
    lambda a: np.rot90(a, 3),
    lambda a: a[::-1],
    lambda a: a[:, ::-1],
    lambda a: a.swapaxes(0, 1),
    lambda a: np.rot90(a, 2).swapaxes(0, 1),
)


@pytest.fixture(scope="module", autouse=True)
def decoders() -> tuple[str, ...]:
    return load_decoders()


def _reference(pixels: U8Array) -> tuple[bytes, int]:
    """pdqhash on the canonical squash. It has no wheel for Linux, so a machine without a compiler is without it."""
    pdqhash = pytest.importorskip("pdqhash", reason="pdqhash is not installed")
    squashed = Image.fromarray(np.ascontiguousarray(pixels)).resize((512, 512), Image.Resampling.BILINEAR)
    vector, quality = pdqhash.compute(np.asarray(squashed))
    return np.packbits(vector.astype(np.uint8)).tobytes(), int(quality)


def test_hash_and_quality_are_the_references_on_real_pictures(data_dir: Path) -> None:
    distances, qualities = [], []
    for picture in real_pictures(data_dir, 20):
        ours = see(encode(picture, "PNG", compress_level=1)).pdq
        bits, quality = _reference(np.asarray(picture))
        distances.append(distance_bits(ours.bits, bits))
        qualities.append(abs(ours.quality - quality))
    # the reference sees the squash rounded to whole levels, we do not
    assert np.mean(distances) < 0.5
    assert max(distances) <= 4
    assert max(qualities) <= 1


def test_hash_and_quality_are_exact_where_nothing_is_squashed() -> None:
    for seed in range(6):
        pixels = scene(512, 512, seed)
        ours = see(encode(pixels, "PNG"))
        assert (ours.pdq.bits, ours.pdq.quality) == _reference(pixels)


def test_low_information_shows_as_low_quality() -> None:
    assert see(encode(np.full((300, 400, 3), 128, np.uint8), "PNG")).pdq.quality == 0
    assert see(encode(scene(), "PNG")).pdq.quality > 50


def test_variant_order_is_the_references() -> None:
    """`compute_dihedral` derives what we sample, so it is some bits off; but never so far as another variant is."""
    pixels = scene(512, 512, seed=5)
    pdqhash = pytest.importorskip("pdqhash", reason="pdqhash is not installed")
    theirs, _ = pdqhash.compute_dihedral(pixels)
    for index, variant in enumerate(see(encode(pixels, "PNG")).variants):
        distances = [distance_bits(variant, np.packbits(vector.astype(np.uint8)).tobytes()) for vector in theirs]
        assert int(np.argmin(distances)) == index
        assert distances[index] <= 40


@pytest.mark.parametrize("size", [(512, 512), (640, 417), (900, 700), (90, 120)])
def test_each_variant_is_the_hash_of_the_picture_really_turned(size: tuple[int, int]) -> None:
    pixels = scene(*size, seed=9)
    variants = see(encode(pixels, "PNG")).variants
    assert len(variants) == len(VARIANTS) == len(TURNS)
    for variant, turn in zip(variants, TURNS, strict=True):
        assert distance_bits(variant, see(encode(turn(pixels), "PNG")).pdq.bits) <= 2


def test_one_photo_at_two_sizes_has_one_hash(data_dir: Path) -> None:
    """The drift that a canonical squash leaves, where hashing each at its own size leaves 6 bits on average."""
    drift = []
    for data in large_photos(data_dir, 12, least_px=1000):
        picture = Image.open(io.BytesIO(data)).convert("RGB")
        share = 600 / min(picture.size)
        size = (round(picture.width * share), round(picture.height * share))
        small = encode(picture.resize(size, Image.Resampling.BICUBIC, reducing_gap=3), "PNG", compress_level=1)
        drift.append(distance_bits(see(data, max_pixels=10**8).pdq.bits, see(small).pdq.bits))
    assert np.mean(drift) < 1.5
    assert max(drift) <= 6


def test_the_band_is_squash_smooth_and_decimate_in_one() -> None:
    """Against the three steps done one after the other, for sides far below and above 512."""
    rng = np.random.default_rng(3)
    for lines in (64, 301, 512, 1500):
        line = rng.integers(0, 256, (lines, 1, 1), dtype=np.uint8)
        across = resize_band(1, 1, 1, "bilinear").columns(1)
        squashed = resample(line, [Plan(resize_band(lines, lines, 512, "bilinear").rows(), across, 1)])[0][:, 0, 0]
        smooth = squashed.astype(np.float64)
        for _ in range(2):
            smooth = np.array([smooth[max(i - 1, 0) : i + 3].mean() for i in range(512)])
        direct = resample(line, [Plan(sampling_band(lines, lines).rows(), across, 1)])[0][:, 0, 0]
        assert np.abs(direct[1::2] - smooth[4::8]).max() < 1e-3


def test_the_hash_is_written_as_the_reference_prints_it() -> None:
    """Most significant bit first: `bits.hex()` is the text form that other tools exchange."""
    pdq, variants = hash_buffer(np.random.default_rng(1).uniform(0, 255, (128, 128)).astype(np.float32))
    assert len(pdq.bits) == 32
    assert variants[0] == pdq.bits
    assert sum(byte.bit_count() for byte in pdq.bits) == 128  # cut at the median
