"""What a model is fed differs from its own reference preprocessing by no more than rounding and a scaled decode."""

from __future__ import annotations

import io
import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from deepdupe_daemon.model import InputSpec
from deepdupe_daemon.vision.decode.opening import load_decoders
from tests.vision.paintings import large_photos, psnr_db, see
from tests.vision.pictures import reference_input

CLIP = InputSpec(side_px=224, fit="crop", filter="bicubic")
DINO = InputSpec(side_px=256, fit="squash", filter="bilinear")
MAX_PIXELS = 100_000_000


@pytest.fixture(scope="module", autouse=True)
def decoders() -> tuple[str, ...]:
    return load_decoders()


def _small_photos(data_dir: Path, step: int) -> list[bytes]:
    entries = json.loads((data_dir / "manifest.json").read_text(encoding="utf-8"))
    named = [entry for entry in entries if entry["set"] in {"caltech101", "boofcv", "imagededup", "pdq"}]
    return [
        (data_dir / entry["set"] / entry["path"]).read_bytes()
        for entry in named[::step]
        if entry["path"].lower().endswith((".jpg", ".jpeg"))
    ]


@pytest.mark.evaluation
def test_at_least_40_db_and_50_db_on_average_on_real_photos(data_dir: Path) -> None:
    crops, squashes = [], []
    for data in [*large_photos(data_dir, 16, least_px=900), *_small_photos(data_dir, 17)]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = Image.open(io.BytesIO(data))
            if image.info.get("icc_profile") or image.mode not in {"RGB", "L"}:
                continue
            picture = ImageOps.exif_transpose(image).convert("RGB")
        crop, squash = see(data, [CLIP, DINO], max_pixels=MAX_PIXELS).inputs
        crops.append(psnr_db(crop, reference_input(CLIP, picture)))
        squashes.append(psnr_db(squash, reference_input(DINO, picture)))
    assert len(crops) > 100
    for found in (crops, squashes):
        assert min(found) >= 40
        assert np.mean(found) >= 50


def test_a_resize_beyond_the_crop_is_followed(data_dir: Path) -> None:
    spec = InputSpec(side_px=224, fit="crop", filter="bicubic", resize_px=256)
    for data in large_photos(data_dir, 3, least_px=1100):
        picture = Image.open(io.BytesIO(data)).convert("RGB")
        assert psnr_db(see(data, [spec], max_pixels=MAX_PIXELS).inputs[0], reference_input(spec, picture)) > 48
