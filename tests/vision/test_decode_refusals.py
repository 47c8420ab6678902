"""What is no picture, not a whole one, or too much, is refused with a kind that says so; never seen in part."""

from __future__ import annotations

import os
import struct
import zlib

import numpy as np
import pytest

from deepdupe_daemon.vision.decode.opening import load_decoders
from deepdupe_daemon.vision.decode.refusal import Kind, Refusal
from tests.vision.paintings import MAX_PIXELS, digest_of, encode, scene, see, source_of


@pytest.fixture(scope="module", autouse=True)
def decoders() -> tuple[str, ...]:
    return load_decoders()


def kind_of(data: bytes) -> Kind:
    with pytest.raises(Refusal) as refusal:
        see(data)
    assert refusal.value.text.isprintable()
    return refusal.value.kind


@pytest.mark.parametrize(
    "text",
    [
        b"Dear diary, today I took no photos at all.\n" * 20,
        b"#include <stdio.h>\nint main(void) { return 0; }\n",
        b"P is for pizza, not for portable pixmap\n",
        b"<!DOCTYPE html><html><body>404 Not Found</body></html>",
        b'{"error": "not found"}',
        b"%PDF-1.7\n1 0 obj\n",
        b"PK\x03\x04" + bytes(200),
        b"\x7fELF" + bytes(200),
        b"\x00" * 5000,
        b"\n",
        b"\xff" * 300,
    ],
)
def test_text_and_other_files_are_no_images(text: bytes) -> None:
    assert kind_of(text) == Kind.NOT_AN_IMAGE


def test_random_bytes_are_no_images() -> None:
    rng = np.random.default_rng(7)
    for size in (1, 17, 64, 700, 20_000):
        for _ in range(40):
            assert kind_of(rng.integers(0, 256, size, dtype=np.uint8).tobytes()) in {Kind.NOT_AN_IMAGE, Kind.CORRUPT}


def test_nothing_is_empty() -> None:
    with pytest.raises(Refusal) as refusal, source_of(b""):
        pass
    assert refusal.value.kind == Kind.EMPTY
    assert refusal.value.kind.retry


@pytest.mark.parametrize(
    "name", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF", "HEIF", "JPEG2000", "PPM", "TGA"]
)
def test_a_picture_that_breaks_off_is_never_seen(name: str) -> None:
    """Cut anywhere: it is truncated (it may still be arriving), or, where hardly a header is left, no image."""
    options = {"JPEG": {"quality": 90}, "TIFF": {"compression": "tiff_lzw"}}.get(name, {})
    data = encode(scene(), name, **options)
    for share in (0.02, 0.1, 0.3, 0.5, 0.8, 0.95, 0.99):
        cut = data[: int(len(data) * share)]
        kind = kind_of(cut)
        assert kind in {Kind.TRUNCATED, Kind.NOT_AN_IMAGE} if share < 0.1 else kind == Kind.TRUNCATED, share
        with pytest.raises(Refusal):
            digest_of(cut)


@pytest.mark.parametrize("options", [{"progressive": True}, {"subsampling": 0}, {"optimize": True}])
def test_every_kind_of_jpeg_that_breaks_off_is_refused(options: dict[str, object]) -> None:
    data = encode(scene(640, 480), "JPEG", quality=92, **options)
    for cut in (1200, len(data) // 2, len(data) - 300):
        assert kind_of(data[:cut]) == Kind.TRUNCATED


def test_a_jpeg_that_lacks_only_its_end_mark_is_whole() -> None:
    data = encode(scene(), "JPEG", quality=90)
    assert data[-2:] == b"\xff\xd9"
    assert see(data[:-2]).pdq == see(data).pdq


def test_a_jpeg_filled_up_with_zeros_is_not_whole() -> None:
    """As downloaders leave it that allocate the file first."""
    data = encode(scene(640, 480), "JPEG", quality=92)
    assert kind_of(data[: len(data) // 2] + bytes(len(data) - len(data) // 2)) == Kind.TRUNCATED


def test_a_jpeg_with_odd_bytes_between_its_segments_is_seen() -> None:
    data = encode(scene(), "JPEG", quality=90)
    at = data.index(b"\xff\xdb")
    assert see(data[:at] + b"\x00\x00\x00" + data[at:]).pdq == see(data).pdq


def test_flipped_bits_in_a_png_are_corrupt() -> None:
    data = bytearray(encode(scene(), "PNG"))
    data[len(data) // 2] ^= 0x10
    assert kind_of(bytes(data)) == Kind.CORRUPT


def test_a_png_goes_without_a_damaged_extra_as_every_reader_is_to() -> None:
    data = encode(scene(), "PNG", dpi=(72, 72))
    at = data.index(b"pHYs") + 6
    damaged = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
    assert see(damaged).pdq == see(data).pdq
    assert digest_of(damaged) == digest_of(data)


def test_a_progressive_jpeg_without_its_last_scans_is_not_whole() -> None:
    data = encode(scene(), "JPEG", quality=90, progressive=True)
    for at in [i for i in range(len(data)) if data.startswith(b"\xff\xda", i)][1:]:
        assert kind_of(data[:at]) == Kind.TRUNCATED


def _png_claiming(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\x00")) + chunk(b"IEND", b"")


def test_a_decompression_bomb_is_refused_by_its_header() -> None:
    assert kind_of(_png_claiming(100_000, 100_000)) == Kind.TOO_MANY_PIXELS
    assert kind_of(_png_claiming(MAX_PIXELS + 1, 1)) == Kind.TOO_MANY_PIXELS


def test_a_bomb_inside_an_icon_is_refused_too() -> None:
    inner = _png_claiming(60_000, 60_000)
    entry = struct.pack("<BBBBHHII", 0, 0, 0, 0, 1, 32, len(inner), 22)
    assert kind_of(struct.pack("<HHH", 0, 1, 1) + entry + inner) == Kind.TOO_MANY_PIXELS


def test_more_bytes_than_allowed_are_not_even_read() -> None:
    from deepdupe_daemon.vision.decode.source import read_source

    fd = os.memfd_create("large")
    try:
        os.ftruncate(fd, 1 << 40)  # sparse: reading it would take an hour
        with pytest.raises(Refusal) as refusal:
            read_source(fd, 1 << 30)
    finally:
        os.close(fd)
    assert refusal.value.kind == Kind.TOO_LARGE


@pytest.mark.parametrize(
    "head",
    [
        b"II*\x00\x10\x00\x00\x00CR\x02\x00",
        b"\x00\x00\x00\x18ftypcrx ",
        b"FUJIFILMCCD-RAW 0201",
        b"IIU\x00\x08\x00\x00\x00",
        b"\xff\x0a\xfa\x1f",
        b"\x76\x2f\x31\x01\x02\x00\x00\x00",
    ],
)
def test_raw_and_other_known_pictures_without_a_decoder_are_unsupported(head: bytes) -> None:
    assert kind_of(head + bytes(600)) == Kind.UNSUPPORTED


def test_a_tiff_based_raw_is_not_taken_for_its_thumbnail() -> None:
    from PIL import Image, TiffImagePlugin

    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[50706] = b"\x01\x04\x00\x00"  # DNGVersion
    tags.tagtype[50706] = 1
    assert kind_of(encode(Image.fromarray(scene(160, 120)), "TIFF", tiffinfo=tags)) == Kind.UNSUPPORTED


def test_12_bit_and_lossless_jpegs_are_unsupported_not_corrupt() -> None:
    data = bytearray(encode(scene(), "JPEG"))
    at = data.index(b"\xff\xc0")
    data[at + 4] = 12
    assert kind_of(bytes(data)) == Kind.UNSUPPORTED
    data[at + 1], data[at + 4] = 0xC3, 8
    assert kind_of(bytes(data)) == Kind.UNSUPPORTED


def test_only_what_may_pass_is_tried_again() -> None:
    assert {kind for kind in Kind if kind.retry} == {
        Kind.EMPTY,
        Kind.TRUNCATED,
        Kind.TIMEOUT,
        Kind.CHANGED,
        Kind.UNREADABLE,
        Kind.VANISHED,
    }
