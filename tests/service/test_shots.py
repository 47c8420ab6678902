"""Other shots of one scene and files of one shot, through the whole of `scan`: never an automatic verdict, and the
reason is named."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pillow_heif
import pytest
from PIL import Image, ImageEnhance

from deepdupe_daemon.act import alert_record
from deepdupe_daemon.clock import SystemClock
from deepdupe_daemon.config import config_for_folders
from deepdupe_daemon.ledger import Ledger, VerdictRow
from deepdupe_daemon.model import VerdictClass
from deepdupe_daemon.service import run_scan
from tests.service.pictures import photo, save
from tests.service.shots import black, exif, moved, movie, page, shoot

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Ledger]]:
    """A folder for each scene, of pictures that no other scene has; scanned once."""
    base = tmp_path_factory.mktemp("shots")
    photos = base / "photos"
    pillow_heif.register_heif_opener()
    for number in range(3):
        tags = exif(subsec=f"{number}2", number=100 + number, apple={0x0B: b"BURST"})
        shoot(moved(photo(10), number), photos / "burst" / f"{number}.jpg", tags)
        shoot(moved(photo(11), number), photos / "plain-burst" / f"{number}.jpg")  # tags lost on the way
        bias, bright = ((-2, 1), (0, 1), (2, 1))[number], (0.55, 1.0, 1.6)[number]
        tags = exif(bias_ev=bias, exposure_s=(1, (400, 100, 25)[number]), bracket=True)
        shoot(ImageEnhance.Brightness(photo(12)).enhance(bright), photos / "bracket" / f"{number}.jpg", tags)
        shoot(black(number), photos / "black" / f"{number}.jpg")
        shoot(page(10 + number), photos / "pages" / f"{number}.jpg")
        sheets = [page(0), page(number + 1)]
        (photos / "scan").mkdir(parents=True, exist_ok=True)
        sheets[0].save(photos / "scan" / f"{number}.tiff", save_all=True, append_images=sheets[1:])
        frames = [moved(photo(13), 10 * number + frame).convert("P") for frame in range(3)]
        (photos / "animated").mkdir(parents=True, exist_ok=True)
        frames[0].save(photos / "animated" / f"{number}.gif", save_all=True, append_images=frames[1:])
    still = shoot(photo(14), photos / "second" / "0.jpg", exif(at="2024:05:06 07:08:09", subsec="10"))
    assert still.exists()
    shoot(photo(14), photos / "second" / "1.jpg", exif(at="2024:05:06 07:08:09", subsec="90"), quality=80)
    shoot(photo(15), photos / "raw" / "IMG_1.JPG")
    raw = photo(15).resize((960, 720))
    save(raw, photos / "raw" / "raw.tiff")
    (photos / "raw" / "raw.tiff").rename(photos / "raw" / "IMG_1.NEF")
    live = exif(apple={0x11: b"LIVE-1"})
    shoot(photo(16), photos / "live" / "IMG_2.HEIC", live)
    movie(photos / "live" / "IMG_2.MOV", "LIVE-1")
    shoot(photo(17), photos / "edit" / "IMG_0001.JPG")
    shoot(ImageEnhance.Color(photo(17)).enhance(1.02), photos / "edit" / "IMG_E0001.JPG")
    save(Image.new("RGB", (20, 20), (9, 9, 9)), photos / "tiny" / "0.png")
    save(Image.new("RGB", (24, 24), (9, 9, 9)), photos / "tiny" / "1.png")
    config = config_for_folders([photos], state_dir=base / "state", environ={})
    assert run_scan(config).failed == 0
    with Ledger.open(config.state_dir, SystemClock(), readonly=True) as ledger:
        yield photos, ledger


def verdicts_in(scanned: tuple[Path, Ledger], folder: str) -> list[VerdictRow]:
    photos, ledger = scanned
    return list(ledger.duplicates(root=os.fsencode(photos / folder)))


@pytest.mark.parametrize(
    ("folder", "vetoes"),
    [
        ("bracket", {"exposure bracket"}),
        ("black", {"low information"}),
        ("scan", {"animated or multi-page"}),
        ("animated", {"animated or multi-page"}),
        ("second", {"different capture time"}),
    ],
)
def test_shots_of_one_scene_are_a_series_at_most_and_the_veto_is_named(
    scanned: tuple[Path, Ledger], folder: str, vetoes: set[str]
) -> None:
    found = verdicts_in(scanned, folder)
    assert found, "alike enough to be proposed"
    for row in found:
        assert row.verdict.verdict_class in (VerdictClass.SERIES, VerdictClass.RELATED)
        assert vetoes <= set(row.verdict.vetoes)
        record = alert_record(row.verdict, verdict_id=row.label, latency_ms=None)
        for veto in vetoes:
            assert veto in str(record.fields["VETOES"])
            assert f"veto: {veto}" in record.message


@pytest.mark.parametrize("folder", ["burst", "plain-burst", "pages", "raw", "live", "edit", "tiny"])
def test_files_of_one_shot_are_no_duplicates_of_each_other(scanned: tuple[Path, Ledger], folder: str) -> None:
    assert not [row for row in verdicts_in(scanned, folder) if row.verdict.verdict_class.proven]


def test_nothing_here_is_a_copy(scanned: tuple[Path, Ledger]) -> None:
    _, ledger = scanned
    assert [row for row in ledger.duplicates() if row.verdict.verdict_class.proven] == []
