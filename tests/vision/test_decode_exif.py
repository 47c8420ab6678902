"""EXIF facts: what is written is read, what is broken is absent."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, TiffImagePlugin

from deepdupe_daemon.model import ExifFacts
from deepdupe_daemon.vision.decode.opening import load_decoders
from tests.vision.paintings import encode, scene, see


@pytest.fixture(scope="module", autouse=True)
def decoders() -> tuple[str, ...]:
    return load_decoders()


def _apple_note(texts: dict[int, bytes]) -> bytes:
    head = b"Apple iOS\x00\x00\x01MM"
    entries, tail = b"", b""
    at = len(head) + 2 + 12 * len(texts) + 4
    for tag, text in sorted(texts.items()):
        entries += struct.pack(">HHII", tag, 2, len(text) + 1, at + len(tail))
        tail += text + b"\x00"
    return head + struct.pack(">H", len(texts)) + entries + bytes(4) + tail


def _exif() -> Image.Exif:
    exif = Image.Exif()
    exif[0x010F], exif[0x0110] = "Example", "Camera \x1b[31mred"
    details = exif.get_ifd(0x8769)
    details[0x9003] = "2024:05:06 07:08:09"
    details[0x9291] = "123"
    details[0x829A] = TiffImagePlugin.IFDRational(1, 250)
    details[0x9204] = TiffImagePlugin.IFDRational(-2, 3)
    details[0xA402] = 2
    details[0xA420] = "0123456789abcdef"
    details[0x9211] = 41
    details[0x927C] = _apple_note({0x0B: b"BURST-1", 0x11: b"CONTENT-2"})
    return exif


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "AVIF", "HEIF"])
def test_every_fact_is_read_from_every_container(name: str) -> None:
    facts = see(encode(scene(64, 48), name, exif=_exif())).facts.exif
    assert facts == ExifFacts(
        captured_at="2024:05:06 07:08:09",
        subsec="123",
        make="Example",
        camera="Camera [31mred",
        sequence_number=41,
        exposure_bias_ev=pytest.approx(-2 / 3),
        exposure_mode=2,
        exposure_time_s=pytest.approx(0.004),
        unique_id="0123456789abcdef",
        content_id="CONTENT-2",
        burst_id="BURST-1",
        tag_count=facts.tag_count,
    )
    assert facts.tag_count >= 10


def test_no_exif_is_no_facts() -> None:
    assert see(encode(scene(64, 48), "JPEG")).facts.exif == ExifFacts()


@settings(max_examples=60, deadline=None)
@given(junk=st.binary(min_size=1, max_size=300), at=st.integers(0, 400))
def test_broken_exif_never_costs_the_picture(junk: bytes, at: int) -> None:
    data = bytearray(encode(scene(64, 48), "JPEG", exif=_exif()))
    start = data.index(b"Exif\x00\x00") + 6
    begin = start + at
    end = min(begin + len(junk), start + len(_exif().tobytes()) - 6)
    if end > begin:
        data[begin:end] = junk[: end - begin]
    facts = see(bytes(data)).facts
    assert (facts.format, facts.orientation in range(1, 9)) == ("JPEG", True)
    for text in (facts.exif.camera, facts.exif.captured_at, facts.exif.make):
        assert text is None or (text.isprintable() and len(text) <= 64)
