"""The pixel digest: equal exactly where the same picture can be seen, however it is stored."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms

from deepdupe_daemon.model import U8Array
from deepdupe_daemon.vision.decode.colour import Profiles
from deepdupe_daemon.vision.decode.digest import pixel_digest
from deepdupe_daemon.vision.decode.opening import load_decoders
from deepdupe_daemon.vision.decode.refusal import Refusal
from deepdupe_daemon.vision.decode.source import read_source
from tests.vision.paintings import STORED, digest_of, encode, scene, with_orientation

PIXELS = scene(96, 64)


@pytest.fixture(scope="module", autouse=True)
def decoders() -> tuple[str, ...]:
    return load_decoders()


def _jpeg_pixels(data: bytes) -> U8Array:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


@pytest.mark.parametrize("name", ["PNG", "BMP", "TIFF", "PPM", "TGA", "QOI", "SGI", "PCX", "DCX"])
def test_the_container_makes_no_difference(name: str) -> None:
    if name == "DCX":
        data = (987654321).to_bytes(4, "little") + (12).to_bytes(4, "little") + bytes(4) + encode(PIXELS, "PCX")
    else:
        data = encode(PIXELS, name)
    assert digest_of(data) == digest_of(encode(PIXELS, "WEBP", lossless=True))


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}])
def test_a_jpeg_equals_its_lossless_copy(options: dict[str, object]) -> None:
    data = encode(PIXELS, "JPEG", quality=80, **options)
    assert digest_of(data) == digest_of(encode(_jpeg_pixels(data), "PNG"))


def test_a_grey_jpeg_equals_its_lossless_copy() -> None:
    data = encode(PIXELS[:, :, 1], "JPEG", quality=80)
    assert digest_of(data) == digest_of(encode(_jpeg_pixels(data)[:, :, 0], "PNG"))


@pytest.mark.parametrize("orientation", range(2, 9))
@pytest.mark.parametrize("name", ["PNG", "TIFF"])
def test_a_tag_that_turns_equals_being_turned(name: str, orientation: int) -> None:
    assert digest_of(with_orientation(PIXELS, orientation, name)) == digest_of(encode(PIXELS, "PNG"))
    untagged = encode(STORED[orientation](PIXELS), name)
    assert digest_of(untagged) != digest_of(encode(PIXELS, "PNG"))


def test_an_oriented_jpeg_equals_its_upright_lossless_copy() -> None:
    data = with_orientation(PIXELS, 6, quality=85)
    stored = _jpeg_pixels(data)
    assert digest_of(data) == digest_of(encode(np.rot90(stored, -1), "PNG"))
    assert digest_of(data) != digest_of(encode(stored, "PNG"))


def test_ways_to_store_the_same_colours() -> None:
    grey = PIXELS[:, :, 0]
    as_palette = Image.fromarray(PIXELS).quantize(64)
    same: list[tuple[bytes, bytes]] = [
        (encode(grey, "PNG"), encode(np.dstack([grey] * 3), "PNG")),
        (encode(np.dstack([PIXELS, np.full_like(grey, 255)]), "PNG"), encode(PIXELS, "PNG")),
        (encode(np.dstack([grey, np.full_like(grey, 255)]), "PNG"), encode(grey, "PNG")),
        (encode(as_palette, "PNG"), encode(np.asarray(as_palette.convert("RGB")), "PNG")),
        (encode(as_palette, "GIF"), encode(as_palette, "PNG")),
        (encode(Image.fromarray(grey > 128), "PNG"), encode((grey > 128).astype(np.uint8) * 255, "PNG")),
        (encode(grey.astype(np.uint16) * 257, "PNG"), encode(grey, "PNG")),
        (encode(grey.astype(np.int32), "TIFF"), encode(grey, "PNG")),
        (encode(grey.astype(np.float32), "TIFF"), encode(grey, "PNG")),
    ]
    for a, b in same:
        assert digest_of(a) == digest_of(b)


def _changed(pixels: U8Array, change: Callable[[U8Array], None]) -> bytes:
    copy = pixels.copy()
    change(copy)
    return encode(copy, "PNG")


def test_one_level_of_one_pixel_makes_a_difference() -> None:
    def nudge(pixels: U8Array) -> None:
        pixels[5, 7, 2] ^= 1

    assert _changed(PIXELS, nudge) != encode(PIXELS, "PNG")
    assert digest_of(_changed(PIXELS, nudge)) != digest_of(encode(PIXELS, "PNG"))


def test_the_shape_makes_a_difference() -> None:
    flat = np.full((6, 4, 3), 9, np.uint8)
    assert digest_of(encode(flat, "PNG")) != digest_of(encode(flat.reshape(4, 6, 3), "PNG"))
    assert digest_of(encode(flat, "PNG")) != digest_of(encode(flat.reshape(8, 3, 3), "PNG"))


def test_transparency_makes_a_difference_and_the_colour_under_it_none() -> None:
    alpha = np.full(PIXELS.shape[:2], 255, np.uint8)
    alpha[:20] = 0
    clear = np.dstack([PIXELS, alpha])
    other = clear.copy()
    other[:20, :, :3] = 77
    on_white = np.where(alpha[:, :, None] == 0, 255, PIXELS).astype(np.uint8)
    assert digest_of(encode(clear, "PNG")) == digest_of(encode(other, "PNG"))
    assert digest_of(encode(clear, "PNG")) != digest_of(encode(on_white, "PNG"))
    assert digest_of(encode(clear, "PNG")) != digest_of(encode(PIXELS, "PNG"))


def test_low_bits_make_a_difference_where_they_can_be_seen() -> None:
    deep = PIXELS[:, :, 0].astype(np.uint16) * 257
    deeper = deep.copy()
    deeper[3, 3] += 1
    assert digest_of(encode(deep, "PNG")) != digest_of(encode(deeper, "PNG"))
    assert digest_of(encode(deeper, "PNG")) == digest_of(encode(deeper, "TIFF"))


def test_pixels_that_the_decoder_does_not_show_in_full_prove_nothing() -> None:
    """Pillow cuts 16-bit colour to 8: two such files are equal only if their bytes are."""
    deep = (PIXELS.astype(np.uint16) << 8) | 3
    low = (PIXELS.astype(np.uint16) << 8) | 90
    a, b = (cv2.imencode(".png", values)[1].tobytes() for values in (deep, low))
    again = cv2.imencode(".png", deep, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()
    assert digest_of(a) != digest_of(b)
    assert digest_of(a) != digest_of(again)
    assert digest_of(a) == digest_of(bytes(a))


def test_a_profile_that_changes_the_look_makes_a_difference_and_srgb_none() -> None:
    plain = digest_of(encode(PIXELS, "PNG"))
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert digest_of(encode(PIXELS, "PNG", icc_profile=srgb)) == plain
    swapped = srgb.replace(b"rXYZ", b"tmpX").replace(b"gXYZ", b"rXYZ").replace(b"tmpX", b"gXYZ")
    odd = digest_of(encode(PIXELS, "PNG", icc_profile=swapped))
    assert odd != plain
    assert odd == digest_of(encode(PIXELS, "TIFF", icc_profile=swapped))


@pytest.mark.evaluation
def test_labelled_pairs_agree_exactly_where_they_should(data_dir: Path) -> None:
    profiles = Profiles()
    known: dict[str, bytes] = {}

    def of(path: str) -> bytes:
        if path not in known:
            with open(data_dir / path, "rb") as file:
                try:
                    known[path] = pixel_digest(read_source(file.fileno(), 1 << 30), profiles, 100_000_000)
                except Refusal as refusal:
                    known[path] = f"{path} {refusal}".encode()
        return known[path]

    wrong = [
        (pair["expect"], pair["a"], pair["b"])
        for pair in json.loads((data_dir / "pairs.json").read_text())
        if (of(pair["a"]) == of(pair["b"])) is not (pair["expect"] in {"exact", "pixel"})
    ]
    assert wrong == []
