"""Files too large to be held in memory are hashed in passing and decoded from the disk, with the same result."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from PIL import Image

from deepdupe_daemon.model import InputSpec
from deepdupe_daemon.vision.decode import source as source_module
from deepdupe_daemon.vision.decode.colour import Profiles
from deepdupe_daemon.vision.decode.digest import pixel_digest
from deepdupe_daemon.vision.decode.opening import load_decoders
from deepdupe_daemon.vision.decode.refusal import Kind, Refusal
from deepdupe_daemon.vision.decode.sight import Decoder
from deepdupe_daemon.vision.decode.source import read_source
from tests.vision.paintings import MAX_BYTES, digest_of, encode, psnr_db, scene, see

SPEC = InputSpec(side_px=64)


@pytest.fixture(autouse=True)
def _decoders() -> None:
    load_decoders()


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF", "HEIF", "JPEG2000"])
def test_a_file_read_in_passes_is_seen_as_one_read_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    data = encode(scene(700, 500), name)
    path = tmp_path / "large"
    path.write_bytes(data)
    whole = see(data, [SPEC])
    monkeypatch.setattr(source_module, "WHOLE_BYTES", 1000)
    with open(path, "rb") as file:
        source = read_source(file.fileno(), MAX_BYTES)
        assert source.data is None
        assert source.digest == hashlib.sha256(data).digest()
        seen = Decoder([SPEC], Profiles(), max_pixels=10**8).see(source)
        assert pixel_digest(source, Profiles(), 10**8) == digest_of(data)
        assert os.fstat(file.fileno()).st_size == len(data)  # still open: decoders close what they are given
    assert seen.facts == whole.facts
    assert seen.pdq == whole.pdq
    assert psnr_db(seen.inputs[0], whole.inputs[0]) > 60


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP"])
def test_a_large_file_that_breaks_off_is_refused_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(source_module, "WHOLE_BYTES", 1000)
    path = tmp_path / "large"
    path.write_bytes(encode(scene(700, 500), name)[:-3000])
    with open(path, "rb") as file, pytest.raises(Refusal) as refusal:
        Decoder([SPEC], Profiles(), max_pixels=10**8).see(read_source(file.fileno(), MAX_BYTES))
    assert refusal.value.kind == Kind.TRUNCATED


def test_a_file_of_another_length_than_it_says_has_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "growing"
    path.write_bytes(b"x" * 5000)
    real = os.fstat

    def smaller(fd: int) -> os.stat_result:
        status = list(real(fd))
        status[6] = 4000
        return os.stat_result(status)

    for limit in (source_module.WHOLE_BYTES, 1000):
        monkeypatch.setattr(source_module, "WHOLE_BYTES", limit)
        with open(path, "rb") as file:
            monkeypatch.setattr(os, "fstat", smaller)
            with pytest.raises(Refusal) as refusal:
                read_source(file.fileno(), MAX_BYTES)
            monkeypatch.setattr(os, "fstat", real)
        assert refusal.value.kind == Kind.CHANGED


def test_a_real_giant_is_seen(tmp_path: Path) -> None:
    """A TIFF beyond WHOLE_BYTES."""
    path = tmp_path / "giant.tif"
    side = 7000
    image = Image.new("RGB", (side, side), (10, 20, 30))
    image.save(path, "TIFF")
    assert path.stat().st_size > source_module.WHOLE_BYTES
    with open(path, "rb") as file:
        seen = Decoder([SPEC], Profiles(), max_pixels=10**8).see(read_source(file.fileno(), MAX_BYTES))
    assert seen.inputs[0][0, 0].tolist() == [10, 20, 30]
