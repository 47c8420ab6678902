"""A folder of small drawn photos."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.pictures import picture

PHOTOS = 24


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 pictures, four of them shots of one camera a second apart, one of them twice; and a file that is none."""
    folder = tmp_path_factory.mktemp("calibrated")
    for number in range(PHOTOS):
        made = picture(number, side_px=160)
        exif = made.getexif()
        if number < 4:
            exif[0x0110] = "A camera"
            exif.get_ifd(0x8769)[0x9003] = f"2024:05:01 12:00:{number:02d}"
        made.save(folder / f"photo{number:02d}.jpg", quality=90, exif=exif)
    (folder / "again.jpg").write_bytes((folder / "photo10.jpg").read_bytes())
    (folder / "notes.txt").write_text("no picture")
    return folder
