"""`why` of real pictures: the whole chain, with the pixels compared on demand, with and without a daemon."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageDraw

from deepdupe_daemon.config import config_for_folders
from tests.cli.conftest import Deepdupe
from tests.cli.pictures import picture, save
from tests.conftest import Eventually
from tests.judge.scenes import scene
from tests.service.shots import exif, movie, shoot
from tests.service.test_pipeline import running

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    save(0, folder / "a.jpg")
    whole = Image.fromarray(scene(5))
    whole.save(folder / "whole.png")
    whole.crop((0, 0, 280, 210)).save(folder / "part.jpg", quality=80)
    save(0, folder / "b.jpg", quality=75)
    shutil.copyfile(folder / "b.jpg", folder / "b2.jpg")
    shoot(picture(3), folder / "shot1.jpg", exif(subsec="10"))
    shoot(picture(3), folder / "shot2.jpg", exif(subsec="60"), quality=80)
    shoot(picture(4), folder / "IMG_7.JPG")
    movie(folder / "IMG_7.MOV")
    return folder


def drawing(path: Path) -> npt.NDArray[np.int64]:
    with Image.open(path) as png:
        return np.asarray(png.convert("RGB")).astype(np.int64)


def test_why_tells_the_whole_chain(deepdupe: Deepdupe, here: Deepdupe, photos: Path, tmp_path: Path) -> None:
    assert deepdupe("scan", "photos").code == 1

    copy = here("why", "photos/b2.jpg").lines
    assert any(line.startswith("  SHA-256 ") for line in copy)
    assert any(line.startswith("  PDQ ") for line in copy)
    assert any(line.endswith(f"re-encoded: is a copy of {photos}/a.jpg") for line in copy), (
        "not of b.jpg, a copy itself"
    )
    assert any("pdq.hash: similarity 0.9" in line and "threshold 0.75" in line for line in copy)
    assert any("pixels: same, score" in line for line in copy)
    assert any("most different tile: " in line for line in copy)
    assert any("tiles: worst" in line for line in copy)
    assert any("kept by the rule `first`" in line for line in copy)
    assert "    action: observed; nothing was moved" in copy

    series = here("why", "photos/shot2.jpg")
    assert any("series: resembles" in line for line in series.lines)
    assert "    veto: different capture time" in series.lines

    live = here("why", "photos/IMG_7.JPG")
    assert f"  of one shot with {photos}/IMG_7.MOV: they move together" in live.lines

    (record,) = here("why", "--json", "photos/b2.jpg").records
    assert record["verdicts"][-1]["keeper_rule"] == "first"
    assert [each["class"] for each in record["met"] if each["path"].endswith("a.jpg")] == ["re-encoded"]
    assert [each["compared"] for each in record["met"] if each["path"].endswith("a.jpg")] == [True]

    # nothing proposed these two to each other, so that nothing has compared them
    crop = here("why", "photos/whole.png", "photos/part.jpg")
    assert crop.code == 0, crop.err
    assert any(line.startswith("  pixels: edited, cropped to 49 %") for line in crop.lines)
    assert any(line.startswith("  recall did not propose the two") for line in crop.lines)
    turned = here("why", "photos/part.jpg", "photos/whole.png")
    assert any(line.startswith("  pixels: edited, uncropped from 49 %") for line in turned.lines)

    patched = picture(0)
    ImageDraw.Draw(patched).rectangle((300, 100, 380, 160), fill=(250, 240, 10))
    patched.save(photos / "patched.jpg", quality=92)
    assert deepdupe("scan", "photos").code == 1
    drawn = here("why", "photos/a.jpg", "photos/patched.jpg", "--picture", "out.png")
    assert (drawn.code, drawn.err) == (0, "drawn: out.png\n")
    sheet = drawing(tmp_path / "out.png")
    assert sheet.shape == (512, 3 * 512 + 16, 3)
    heat = sheet[:, -512:]
    hot = heat[..., 0] - heat[..., 2] > 60
    rows, columns = np.nonzero(hot)
    assert abs(rows.mean() / 512 - 130 / 480) < 0.06
    assert abs(columns.mean() / 512 - 340 / 480) < 0.06

    assert here("why", "photos/b2.jpg", "--picture", "copy.png").code == 0
    assert drawing(tmp_path / "copy.png").shape == (512, 3 * 512 + 16, 3), "beside its keeper"
    single = here("why", "photos/a.jpg", "--picture", "none.png")
    assert single.code != 0
    assert "is no duplicate" in single.err

    (photos / "part.jpg").unlink()
    gone = here("why", "photos/whole.png", "photos/part.jpg")
    assert any("the pixels could not be compared: " in line and "no longer there" in line for line in gone.lines)


def test_why_asks_the_running_daemon(
    here: Deepdupe, photos: Path, environment: dict[str, str], tmp_path: Path, eventually: Eventually
) -> None:
    state_dir = Path(environment["XDG_STATE_HOME"], "deepdupe-daemon")
    with running(config_for_folders([photos], state_dir=state_dir, environ={}), eventually):
        pair = ("why", "photos/whole.png", "photos/part.jpg")
        eventually(lambda: "pixels: " in here(*pair).out, timeout_s=120, every_s=0.5)
        told = here("why", os.fsencode(photos / "whole.png"), "photos/part.jpg", "--picture", "live.png")
    assert any(line.startswith("  pixels: edited, cropped to 49 %") for line in told.lines), told.err
    assert drawing(tmp_path / "live.png").shape == (384, 3 * 512 + 16, 3)
