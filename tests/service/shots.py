"""Pictures as cameras write them: with the tags that tell one shot from the next."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, TiffImagePlugin

from tests.service.pictures import save

__all__ = ["black", "exif", "moved", "movie", "page", "shoot"]

_KEY = b"com.apple.quicktime.content.identifier"


def exif(
    *,
    at: str = "2024:05:06 07:08:09",
    subsec: str | None = None,
    bias_ev: tuple[int, int] | None = None,
    exposure_s: tuple[int, int] | None = None,
    bracket: bool = False,
    number: int | None = None,
    apple: dict[int, bytes] | None = None,
) -> Image.Exif:
    """EXIF 2.32 tags; `apple`: texts of the maker note, 0x0B the burst, 0x11 the Live Photo."""
    made = Image.Exif()
    made[0x010F], made[0x0110] = "Example", "Camera"
    details = made.get_ifd(0x8769)
    details[0x9003] = at
    if subsec is not None:
        details[0x9291] = subsec
    if bias_ev is not None:
        details[0x9204] = TiffImagePlugin.IFDRational(*bias_ev)
    if exposure_s is not None:
        details[0x829A] = TiffImagePlugin.IFDRational(*exposure_s)
    if bracket:
        details[0xA402] = 2
    if number is not None:
        details[0x9211] = number
    if apple is not None:
        details[0x927C] = _note(apple)
    return made


def _note(texts: dict[int, bytes]) -> bytes:
    head = b"Apple iOS\x00\x00\x01MM"
    entries, tail = b"", b""
    at = len(head) + 2 + 12 * len(texts) + 4
    for tag, text in sorted(texts.items()):
        entries += struct.pack(">HHII", tag, 2, len(text) + 1, at + len(tail))
        tail += text + b"\x00"
    return head + struct.pack(">H", len(texts)) + entries + bytes(4) + tail


def shoot(picture: Image.Image, path: Path, tags: Image.Exif | None = None, quality: int = 90) -> Path:
    """A JPEG, or whatever the extension says, with these tags."""
    options: dict[str, object] = {} if tags is None else {"exif": tags}
    return save(picture, path, quality=quality, **options)


def moved(picture: Image.Image, seed: int) -> Image.Image:
    """The next frame of a burst: other noise, and a small thing elsewhere."""
    dice = np.random.default_rng(seed)
    pixels = np.asarray(picture).astype(np.int16)
    pixels = pixels + dice.normal(0, 5, pixels.shape).astype(np.int16)
    next_one = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
    x, y = (int(each) for each in dice.integers(40, 200, 2))
    ImageDraw.Draw(next_one).ellipse((x, y, x + 40, y + 50), fill=(230, 200, 40))
    return next_one


def black(seed: int, size: tuple[int, int] = (480, 360)) -> Image.Image:
    """With the cap on the lens: next to nothing, the sensor's own pattern, and a little noise."""
    pixels = np.zeros((size[1], size[0], 3), np.float32)
    pixels += np.linspace(0, 9, size[0], dtype=np.float32)[None, :, None]
    hot = np.random.default_rng(0)
    pixels[hot.integers(0, size[1], 40), hot.integers(0, size[0], 40)] += 30
    noise = np.random.default_rng(seed)
    pixels[noise.integers(0, size[1], 60), noise.integers(0, size[0], 60)] += 8
    return Image.fromarray(pixels.astype(np.uint8))


def page(number: int, size: tuple[int, int] = (620, 877)) -> Image.Image:
    """A page of a scan: the same form as the others, filled in otherwise."""
    sheet = Image.new("RGB", size, (250, 249, 245))
    draw = ImageDraw.Draw(sheet)
    form, filled = np.random.default_rng(99), np.random.default_rng(number)
    draw.rectangle((30, 30, size[0] - 30, 90), outline=(20, 20, 20), width=2)
    draw.text((40, 50), f"Form 12 B, page {number}", fill=(10, 10, 10))
    for row, line in enumerate(range(110, size[1] - 60, 22)):
        draw.line((40, line, size[0] - 40, line), fill=(180, 180, 180))
        words = filled if row % 3 else form
        text = "".join(chr(97 + int(letter)) for letter in words.integers(0, 26, 60))
        draw.text((44, line - 14), text, fill=(15, 15, 40))
    return sheet.rotate(0.2 * number, Image.Resampling.BICUBIC, fillcolor=(250, 249, 245))  # as a feeder draws it in


def movie(path: Path, content_id: str | None = None, payload: bytes = b"frames") -> Path:
    """A QuickTime file with next to nothing in it but its tags."""
    parts = _atom(b"ftyp", b"qt  \0\0\0\0qt  ") + _atom(b"mdat", payload)
    if content_id is not None:
        key = _atom(b"mdta", _KEY)
        keys = _atom(b"keys", struct.pack(">II", 0, 2) + _atom(b"mdta", b"com.apple.quicktime.make") + key)
        data = _atom(b"data", struct.pack(">II", 1, 0) + content_id.encode())
        items = _atom(b"ilst", _atom(struct.pack(">I", 2), data))
        handler = _atom(b"hdlr", bytes(8) + b"mdta" + bytes(13))
        parts += _atom(b"moov", _atom(b"mvhd", bytes(100)) + _atom(b"meta", handler + keys + items))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(parts)
    return path


def _atom(name: bytes, contents: bytes) -> bytes:
    return struct.pack(">I4s", len(contents) + 8, name) + contents
