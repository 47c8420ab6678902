"""The page as a folder, with real pictures from real workers."""

from __future__ import annotations

import io
import json
import os
import re
from pathlib import Path

import pytest
from PIL import Image

from deepdupe_daemon.clock import SystemClock
from deepdupe_daemon.config import DecoderConfig
from tests.cli.conftest import Deepdupe, command, deepdupe, environment  # noqa: F401 - the fixtures
from tests.cli.pictures import picture, save


def data_of(page: Path) -> dict[str, list[dict[str, object]]]:
    found = re.search(r'id="data">(.*?)</script>', page.read_text("utf-8"), re.DOTALL)
    assert found is not None
    data: dict[str, list[dict[str, object]]] = json.loads(found[1])
    return data


@pytest.fixture
def scanned(deepdupe: Deepdupe, tmp_path: Path) -> Path:  # noqa: F811
    """Two groups: a picture with a re-encoded copy and the same bytes again, and one with a mirrored copy."""
    photos = tmp_path / "photos"
    photos.mkdir()
    save(1, photos / "a.jpg")
    save(1, photos / "b<i>.jpg", quality=70)
    (photos / "c.jpg").write_bytes((photos / "a.jpg").read_bytes())
    save(2, photos / "d.jpg")
    picture(2).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(photos / "e.jpg", quality=90)
    assert deepdupe("scan", photos, "--state-dir", tmp_path / "s").code == 1
    return photos


def test_groups_thumbnails_and_heat_maps_are_there(deepdupe: Deepdupe, scanned: Path, tmp_path: Path) -> None:  # noqa: F811
    done = deepdupe("report", "--html", "page", "--state-dir", tmp_path / "s")
    assert done.code == 0, done.err
    assert done.lines == [str(tmp_path / "page" / "index.html")]
    groups = data_of(tmp_path / "page" / "index.html")["groups"]
    found = {
        group["keeper"]["name"]: sorted((copy["name"], copy["class"], copy["transform"]) for copy in group["copies"])  # type: ignore[index,attr-defined]
        for group in groups
    }
    assert found == {
        "a.jpg": [("b<i>.jpg", "re-encoded", ""), ("c.jpg", "identical-bytes", "")],
        "d.jpg": [("e.jpg", "edited", "mirrored")],
    }
    thumbs = sorted((tmp_path / "page" / "thumbs").iterdir())
    assert len(thumbs) == 4, "equal bytes share one"
    for file in thumbs:
        with Image.open(file) as thumb:
            assert max(thumb.size) == 320
    heat = list((tmp_path / "page" / "heat").iterdir())
    assert len(heat) == 2
    with Image.open(io.BytesIO(heat[0].read_bytes())) as drawn:
        assert drawn.width > 3 * 500


def test_written_again_it_draws_only_what_is_new(deepdupe: Deepdupe, scanned: Path, tmp_path: Path) -> None:  # noqa: F811
    deepdupe("report", "--html", "page", "--state-dir", tmp_path / "s", "--no-heat")
    folder = tmp_path / "page"
    before = {file: file.stat().st_mtime_ns for file in (folder / "thumbs").iterdir()}
    assert not list((folder / "heat").iterdir())
    assert data_of(folder / "index.html")["pictures"]["heat"] == ""  # type: ignore[call-overload]
    gone = next(iter(before))
    gone.unlink()
    deepdupe(
        "report", "--html", "page", "--state-dir", tmp_path / "s", "--verdict", "edited", "--verdict", "re-encoded"
    )
    after = {file: file.stat().st_mtime_ns for file in (folder / "thumbs").iterdir()}
    assert {file for file in before if before[file] != after.get(file)} <= {gone}
    assert len(list((folder / "heat").iterdir())) == 2


def test_a_picture_that_went_away_is_no_failure(deepdupe: Deepdupe, scanned: Path, tmp_path: Path) -> None:  # noqa: F811
    os.unlink(scanned / "e.jpg")
    done = deepdupe("report", "--html", "page", "--state-dir", tmp_path / "s")
    assert done.code == 0
    assert "2 pictures could not be drawn" in done.err


def test_somebody_elses_page_is_left_alone(deepdupe: Deepdupe, scanned: Path, tmp_path: Path) -> None:  # noqa: F811
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "index.html").write_text("<!doctype html><title>My own</title>")
    refused = deepdupe("report", "--html", "site", "--no-heat", "--state-dir", tmp_path / "s")
    assert refused.code == 1
    assert "this page is not one of ours" in refused.err
    assert [each.name for each in (tmp_path / "site").iterdir()] == ["index.html"]
    assert (tmp_path / "site" / "index.html").read_text().endswith("My own</title>")


def test_two_ledgers_never_share_a_drawing(deepdupe: Deepdupe, scanned: Path, tmp_path: Path) -> None:  # noqa: F811
    """Both have a verdict v1; written into one folder, each page shows its own pair."""
    other = tmp_path / "other"
    other.mkdir()
    save(7, other / "a.jpg")
    save(7, other / "b.jpg", quality=60)
    assert deepdupe("scan", other, "--state-dir", tmp_path / "t").code == 1
    drawings = []
    for state in ("s", "t"):
        deepdupe("report", "--html", "page", "--state-dir", tmp_path / state)
        groups = data_of(tmp_path / "page" / "index.html")["groups"]
        drawings.append({copy["heat"] for group in groups for copy in group["copies"] if copy["heat"]})  # type: ignore[attr-defined]
    assert drawings[0].isdisjoint(drawings[1])
    there = {file.name for file in (tmp_path / "page" / "heat").iterdir()}
    assert there == drawings[0] | drawings[1]


def test_mistakes_are_told(deepdupe: Deepdupe, scanned: Path, tmp_path: Path) -> None:  # noqa: F811
    (tmp_path / "file").write_text("no folder")
    refused = deepdupe("report", "--html", "file/page", "--state-dir", tmp_path / "s")
    assert refused.code == 1
    assert "cannot be written" in refused.err
    assert deepdupe("report", "--verdict", "nonsense", "--state-dir", tmp_path / "s").code == 78


def test_a_worker_is_given_no_function_that_it_cannot_import() -> None:
    from deepdupe_daemon.vision import PDQ_INPUT, DecoderPool

    pool = DecoderPool(DecoderConfig(workers=1), [PDQ_INPUT], clock=SystemClock(), claim=lambda *_: True)
    with pytest.raises(ValueError, match="top-level"):
        pool.render([(b"/x", bytes(32))], lambda each: each, 10)
