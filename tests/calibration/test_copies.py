"""Synthetic copies: what they are, and that they are made in a worker and nowhere else."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from deepdupe_daemon.vision.copies import EDITED, RE_ENCODED, make_copy
from deepdupe_daemon.vision.decode.opening import load_decoders
from tests.cli.pictures import picture


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    load_decoders()
    return np.asarray(picture(5, side_px=200))


@pytest.mark.parametrize("name", [*RE_ENCODED, *EDITED])
def test_a_copy_is_a_picture_and_equal_for_an_equal_seed(name: str, pixels: np.ndarray) -> None:
    data = make_copy(pixels, name, 1)
    with Image.open(io.BytesIO(data)) as copy:
        copy.load()
        assert min(copy.size) >= 20
    assert make_copy(pixels, name, 1) == data
    if name != "mirrored":
        assert len({make_copy(pixels, name, seed) for seed in range(6)}) > 1


@pytest.mark.parametrize("name", [*RE_ENCODED, *EDITED])
def test_a_picture_of_one_pixel_can_be_copied_too(name: str) -> None:
    load_decoders()
    with Image.open(io.BytesIO(make_copy(np.zeros((1, 1, 3), np.uint8), name, 3))) as copy:
        copy.load()


def test_copies_are_what_their_names_say(pixels: np.ndarray) -> None:
    kinds = {"jpeg": "JPEG", "webp": "WEBP", "avif": "AVIF", "heic": "HEIF", "png palette": "PNG"}
    for name, kind in kinds.items():
        with Image.open(io.BytesIO(make_copy(pixels, name, 2))) as copy:
            assert copy.format == kind
    with Image.open(io.BytesIO(make_copy(pixels, "mirrored", 0))) as mirrored:
        unlike = np.abs(np.asarray(mirrored, np.float32)[:, ::-1] - pixels).mean()
    assert unlike < 8
    with pytest.raises(KeyError):
        make_copy(pixels, "no such copy", 0)
