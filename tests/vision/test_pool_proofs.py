"""Pixel digests and comparisons, asked of a worker."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deepdupe_daemon.errors import FileFailed
from deepdupe_daemon.model import Comparison
from deepdupe_daemon.vision import DecoderPool
from tests.vision import verifiers
from tests.vision.paintings import encode, scene, with_orientation
from tests.vision.test_pool import PATIENCE_S, MakePool, make_pool  # noqa: F401

Named = tuple[bytes, bytes]


def put(folder: Path, name: str, data: bytes) -> Named:
    path = folder / name
    path.write_bytes(data)
    return os.fsencode(path), hashlib.sha256(data).digest()


def compare(
    pool: DecoderPool, a: Named, b: Named, function: Callable[..., Comparison], side_px: int = 128
) -> Comparison:
    return pool.compare(a, b, function, side_px).result(PATIENCE_S)


@pytest.fixture
def pool(make_pool: MakePool) -> DecoderPool:  # noqa: F811
    return make_pool()


def test_a_picture_and_its_turned_lossless_copy_have_one_pixel_digest(pool: DecoderPool, tmp_path: Path) -> None:
    a = put(tmp_path, "a.png", encode(scene(), "PNG"))
    b = put(tmp_path, "b.tiff", with_orientation(scene(), 6, "TIFF"))
    c = put(tmp_path, "c.png", encode(scene(seed=2), "PNG"))
    digests = [pool.pixel_digest(*named).result(PATIENCE_S) for named in (a, b, c)]
    assert digests[0] == digests[1] != digests[2]
    assert {len(digest) for digest in digests} == {32}


def test_other_bytes_than_those_indexed_have_changed(pool: DecoderPool, tmp_path: Path) -> None:
    path, digest = put(tmp_path, "a.png", encode(scene(), "PNG"))
    for future in (
        pool.pixel_digest(path, bytes(32)),
        pool.compare((path, digest), (path, bytes(32)), verifiers.sizes, 64),
    ):
        with pytest.raises(FileFailed) as failure:
            future.result(PATIENCE_S)
        assert failure.value.kind == "changed"


def test_the_verifier_gets_upright_pictures_of_the_size_asked_for(pool: DecoderPool, tmp_path: Path) -> None:
    a = put(tmp_path, "a.jpg", with_orientation(scene(1600, 900), 6))
    b = put(tmp_path, "b.png", encode(scene(100, 60), "PNG"))
    found = compare(pool, a, b, verifiers.sizes, 320).measures
    assert (found["a_width"], found["a_height"]) == (320, 180)
    assert (found["b_width"], found["b_height"]) == (100, 60)  # never enlarged
    assert (found["a_full_width"], found["b_full_height"]) == (1600, 60)
    assert found["difference"] < 4


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP"])
def test_the_picture_is_what_pillow_makes_of_it(tmp_path: Path, name: str) -> None:
    from deepdupe_daemon.vision.decode.colour import Profiles
    from deepdupe_daemon.vision.decode.opening import load_decoders
    from deepdupe_daemon.vision.decode.picture import decode_picture
    from tests.vision.paintings import psnr_db, source_of

    load_decoders()
    data = encode(scene(1500, 1000), name, **({} if name == "PNG" else {"quality": 90}))
    with source_of(data) as source:
        picture = decode_picture(source, Profiles(), side_px=300, max_pixels=10**8)
    path = tmp_path / "x"
    path.write_bytes(data)
    with Image.open(path) as image:
        want = np.asarray(image.convert("RGB").resize((300, 200), Image.Resampling.BICUBIC))
    assert picture.pixels.shape == want.shape
    assert psnr_db(picture.pixels, want) > 42


def test_a_verifier_cannot_spoil_the_picture_that_is_kept(pool: DecoderPool, tmp_path: Path) -> None:
    a = put(tmp_path, "a.png", encode(scene(), "PNG"))
    first = compare(pool, a, a, verifiers.scribble).measures["before"]
    assert compare(pool, a, a, verifiers.scribble).measures["before"] == first > 0


def test_a_verifier_that_raises_costs_the_pair_not_the_worker(pool: DecoderPool, tmp_path: Path) -> None:
    a = put(tmp_path, "a.png", encode(scene(), "PNG"))
    before = compare(pool, a, a, verifiers.sizes).measures["pid"]
    with pytest.raises(FileFailed, match="no such luck") as failure:
        compare(pool, a, a, verifiers.raises)
    assert failure.value.kind == "uncompared"
    assert "\x1b" not in str(failure.value)
    assert compare(pool, a, a, verifiers.sizes).measures["pid"] == before


def test_an_answer_that_no_log_could_bear_is_not_believed(pool: DecoderPool, tmp_path: Path) -> None:
    a = put(tmp_path, "a.png", encode(scene(), "PNG"))
    with pytest.raises(FileFailed, match="garbled") as failure:
        compare(pool, a, a, verifiers.nonsense)
    assert failure.value.kind == "crashed"


def test_the_failing_file_of_a_pair_is_named(pool: DecoderPool, tmp_path: Path) -> None:
    good = put(tmp_path, "good.png", encode(scene(), "PNG"))
    half = put(tmp_path, "half.png", encode(scene(), "PNG")[:4000])
    for pair in ((good, half), (half, good)):
        with pytest.raises(FileFailed) as failure:
            compare(pool, *pair, verifiers.sizes)
        assert (failure.value.kind, failure.value.where) == ("truncated", str(tmp_path / "half.png"))


def test_a_verifier_may_use_opencv_on_one_thread(pool: DecoderPool, tmp_path: Path) -> None:
    a = put(tmp_path, "a.png", encode(scene(), "PNG"))
    found = compare(pool, a, a, verifiers.imports_cv2).measures
    assert found["mean"] > 1
    assert found["threads"] == 1


def test_only_functions_that_a_worker_can_import_are_taken(pool: DecoderPool, tmp_path: Path) -> None:
    a = put(tmp_path, "a.png", encode(scene(), "PNG"))
    with pytest.raises(ValueError, match="top-level"):
        pool.compare(a, a, lambda *_args, **_facts: verifiers.sizes(*_args, **_facts), 64)
