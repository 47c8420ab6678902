"""What moves with a file: bundles as they rest on the disk, and what holds them back."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import ImageEnhance

from deepdupe_daemon.clock import SystemClock
from deepdupe_daemon.config import config_for_folders
from deepdupe_daemon.ledger import Ledger, VerdictRow
from deepdupe_daemon.model import VerdictClass
from deepdupe_daemon.service import run_scan
from deepdupe_daemon.service.bundling import Unit, bundle_on_disk, unit_of
from deepdupe_daemon.service.movie_tags import movie_content_id
from tests.service.pictures import photo, save
from tests.service.shots import exif, movie, shoot

PROVEN = [each for each in VerdictClass if each.proven]


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Ledger]]:
    base = tmp_path_factory.mktemp("bundles")
    kept, copies = base / "photos" / "a", base / "photos" / "b"
    live = exif(subsec="11", apple={0x11: b"LIVE-1"})
    shoot(photo(1), kept / "whole" / "IMG_1.JPG", live)
    movie(kept / "whole" / "IMG_1.MOV", "LIVE-1")
    shoot(photo(2), kept / "half" / "IMG_2.JPG")
    shoot(photo(3), kept / "raw" / "IMG_3.JPG")
    shoot(photo(4), kept / "both" / "IMG_4.JPG")
    save(ImageEnhance.Color(photo(5)).enhance(1.3), kept / "both" / "other.tiff")
    (kept / "both" / "other.tiff").rename(kept / "both" / "IMG_4.NEF")
    shutil.copytree(kept, copies)
    (copies / "whole" / "IMG_1.JPG.xmp").write_text("<x/>")
    (copies / "whole" / "IMG_1.AAE").write_text("<x/>")
    (copies / "whole" / "IMG_11.JPG.xmp").write_text("of another")
    movie(copies / "half" / "IMG_2.MOV", payload=b"nowhere else")
    save(photo(9), copies / "raw" / "only.tiff")
    (copies / "raw" / "only.tiff").rename(copies / "raw" / "IMG_3.DNG")
    config = config_for_folders([base / "photos"], state_dir=base / "state", environ={})
    run_scan(config)
    with Ledger.open(config.state_dir, SystemClock(), readonly=True) as ledger:
        yield copies, ledger


def unit(scanned: tuple[Path, Ledger], name: str, *, wait_s: float = 0.0, classes: list[VerdictClass] = PROVEN) -> Unit:
    copies, ledger = scanned
    path = os.fsencode(copies / name)
    [verdict] = [row for row in ledger.verdicts_for(path) if row.current]
    return unit_of(ledger, verdict, classes=classes, now_ns=SystemClock().now_ns(), wait_s=wait_s)


def names(verdicts: tuple[VerdictRow, ...]) -> list[str]:
    return [os.path.basename(os.fsdecode(row.duplicate_now or b"")) for row in verdicts]


def test_a_live_photo_moves_with_its_movie_and_its_sidecars(scanned: tuple[Path, Ledger]) -> None:
    found = unit(scanned, "whole/IMG_1.JPG")
    assert (names(found.verdicts), found.held) == (["IMG_1.JPG"], "")
    assert [os.path.basename(path) for path in found.companions] == [b"IMG_1.AAE", b"IMG_1.JPG.xmp", b"IMG_1.MOV"]


def test_half_a_live_photo_is_not_taken_with_a_movie_that_is_nowhere_else(scanned: tuple[Path, Ledger]) -> None:
    found = unit(scanned, "half/IMG_2.JPG")
    assert found.held == "IMG_2.MOV, of the same shot, has no copy beside IMG_2.JPG"
    assert found.again_at_ns is None


def test_a_jpeg_stays_with_a_raw_that_is_no_duplicate(scanned: tuple[Path, Ledger]) -> None:
    assert unit(scanned, "raw/IMG_3.JPG").held == "IMG_3.DNG, of the same shot, is no duplicate"


def test_raw_and_jpeg_move_together_where_both_are_duplicates(scanned: tuple[Path, Ledger]) -> None:
    found = unit(scanned, "both/IMG_4.JPG")
    assert (sorted(names(found.verdicts)), found.held) == (["IMG_4.JPG", "IMG_4.NEF"], "")
    assert names(found.verdicts)[0] == "IMG_4.JPG", "the one that was asked about comes first"
    held = unit(scanned, "both/IMG_4.JPG", classes=[VerdictClass.RE_ENCODED])
    assert held.held == "IMG_4.NEF, of the same shot, is no duplicate"


def test_an_action_waits_for_late_files(scanned: tuple[Path, Ledger]) -> None:
    found = unit(scanned, "whole/IMG_1.JPG", wait_s=3600)
    assert found.held == "waits for late files of the same shot"
    assert found.again_at_ns is not None
    assert 0 < found.again_at_ns - SystemClock().now_ns() <= 3600 * 10**9


def test_a_folder_that_is_a_link_holds_nothing(scanned: tuple[Path, Ledger], tmp_path: Path) -> None:
    copies, ledger = scanned
    (tmp_path / "link").symlink_to(copies / "whole")
    with pytest.raises(OSError, match="Not a directory"):
        bundle_on_disk(ledger, os.fsencode(tmp_path / "link" / "IMG_1.JPG"))


@pytest.mark.parametrize("content_id", ["LIVE-1", "4A4E0A2B-5B0F-4F4A-9A50-0123456789AB", None])
def test_a_movie_says_which_picture_it_belongs_to(tmp_path: Path, content_id: str | None) -> None:
    path = movie(tmp_path / "a.mov", content_id)
    assert movie_content_id(os.fsencode(path)) == content_id


def test_a_broken_movie_says_nothing(tmp_path: Path) -> None:
    whole = movie(tmp_path / "a.mov", "LIVE-1").read_bytes()
    path = tmp_path / "b.mov"
    for length in range(0, len(whole) - 1, 7):
        path.write_bytes(whole[:length])
        assert movie_content_id(os.fsencode(path)) is None
    for at in range(0, len(whole), 3):
        path.write_bytes(whole[:at] + b"\xff\xff\xff\xff" + whole[at + 4 :])
        assert movie_content_id(os.fsencode(path)) in (None, "LIVE-1") or len(whole) - at < 44


def test_a_movie_under_another_name_is_found_by_its_content_id(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    shoot(photo(1), photos / "still.jpg", exif(apple={0x11: b"LIVE-9"}))
    movie(photos / "clip.mov", "LIVE-9")
    movie(photos / "stranger.mov", "LIVE-8")
    config = config_for_folders([photos], state_dir=tmp_path / "state", environ={})
    run_scan(config)
    with Ledger.open(config.state_dir, SystemClock(), readonly=True) as ledger:
        found = bundle_on_disk(ledger, os.fsencode(photos / "still.jpg"))
    assert [os.path.basename(path) for path in found] == [b"clip.mov", b"still.jpg"]
