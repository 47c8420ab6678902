"""Damaged pictures without end, the same for the same seed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from deepdupe_daemon.vision.decode.opening import load_decoders
from tests.vision.paintings import encode, scene

FORMATS = (
    "JPEG",
    "PNG",
    "WEBP",
    "GIF",
    "TIFF",
    "BMP",
    "AVIF",
    "HEIF",
    "JPEG2000",
    "PPM",
    "TGA",
    "ICO",
    "QOI",
    "SGI",
    "PCX",
)
#: values that lengths, offsets and sizes are set to
EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_MAX_SEED_BYTES = 48 * 1024


def made_seeds() -> list[bytes]:
    """One small picture a format, and the coders' variants that take other paths through a decoder."""
    load_decoders()  # HEIF is written by a plug-in
    pixels, rng = scene(72, 56), np.random.default_rng(5)
    seeds = [encode(pixels, name) for name in FORMATS]
    seeds += [
        encode(pixels, "JPEG", progressive=True, exif=b"Exif\x00\x00II*\x00\x08\x00\x00\x00\x00\x00"),
        encode(pixels, "JPEG", subsampling=0, restart_marker_blocks=2),
        encode(pixels[:, :, 0], "JPEG"),
        encode(pixels, "WEBP", lossless=True),
        encode(pixels, "TIFF", compression="tiff_lzw"),
        encode(pixels, "TIFF", compression="jpeg"),
        encode(pixels, "TIFF", compression="tiff_deflate"),
        encode(pixels[:, :, 0] > 99, "TIFF", compression="group4"),
        encode(rng.integers(0, 65536, (40, 40), dtype=np.uint16), "PNG"),
        encode(np.dstack([pixels, pixels[:, :, 0]]), "PNG"),
        encode(np.dstack([pixels, pixels[:, :, 0]]), "WEBP"),
    ]
    return seeds


def real_seeds(data_dir: Path, step: int) -> list[bytes]:
    """Small files of the evaluation images, the broken ones among them."""
    entries = json.loads((data_dir / "manifest.json").read_text(encoding="utf-8"))
    small = [entry for entry in entries if 16 < entry["bytes"] <= _MAX_SEED_BYTES and entry["set"] != "caltech101"]
    return [(data_dir / entry["set"] / entry["path"]).read_bytes() for entry in small[::step]]


Rng = np.random.Generator


def _flip_bits(data: bytearray, rng: Rng, _others: Sequence[bytes]) -> bytearray:
    for _ in range(int(rng.integers(1, 40))):
        data[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
    return data


def _flip_in_header(data: bytearray, rng: Rng, _others: Sequence[bytes]) -> bytearray:
    for _ in range(int(rng.integers(1, 6))):
        data[int(rng.integers(min(len(data), 160)))] = int(rng.integers(256))
    return data


def _cut(data: bytearray, rng: Rng, _others: Sequence[bytes]) -> bytearray:
    return data[: int(rng.integers(1, len(data) + 1))]


def _cut_out(data: bytearray, rng: Rng, _others: Sequence[bytes]) -> bytearray:
    at = int(rng.integers(len(data)))
    del data[at : at + int(rng.integers(1, 400))]
    return data


def _repeat(data: bytearray, rng: Rng, _others: Sequence[bytes]) -> bytearray:
    at = int(rng.integers(len(data)))
    part = data[at : at + int(rng.integers(1, 600))]
    return data[:at] + part * int(rng.integers(2, 12)) + data[at:]


def _splice(data: bytearray, rng: Rng, others: Sequence[bytes]) -> bytearray:
    other = others[int(rng.integers(len(others)))]
    return data[: int(rng.integers(4, max(5, len(data))))] + other[int(rng.integers(len(other))) :]


def _overwrite(data: bytearray, rng: Rng, _others: Sequence[bytes]) -> bytearray:
    at, size = int(rng.integers(len(data))), int(rng.integers(1, 300))
    fill = bytes([int(rng.choice([0, 255, 0x41]))]) if rng.random() < 0.5 else rng.bytes(size)
    data[at : at + size] = (fill * size)[: min(size, len(data) - at)]
    return data


def _extreme(data: bytearray, rng: Rng, _others: Sequence[bytes]) -> bytearray:
    for _ in range(int(rng.integers(1, 4))):
        width = int(rng.choice([1, 2, 4]))
        at = int(rng.integers(max(1, min(len(data), 700) - width)))
        value = EXTREMES[int(rng.integers(len(EXTREMES)))] & ((1 << 8 * width) - 1)
        data[at : at + width] = value.to_bytes(width, "little" if rng.random() < 0.5 else "big")
    return data


_WAYS: tuple[Callable[[bytearray, Rng, Sequence[bytes]], bytearray], ...] = (
    _flip_bits,
    _flip_in_header,
    _cut,
    _cut_out,
    _repeat,
    _splice,
    _overwrite,
    _extreme,
)


def mutations(seeds: Sequence[bytes], count: int, seed: int) -> Iterator[bytes]:
    """`count` damaged copies; one in four is damaged in two ways."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        data = bytearray(seeds[int(rng.integers(len(seeds)))])
        for _ in range(2 if rng.random() < 0.25 else 1):
            data = _WAYS[int(rng.integers(len(_WAYS)))](data, rng, seeds) or bytearray(b"\x00")
        yield bytes(data)
