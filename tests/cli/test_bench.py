"""`bench` as a person runs it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Deepdupe
from tests.service.pictures import photo


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for seed in range(6):
        photo(seed).save(folder / f"{seed}.jpg", quality=92)
    photo(0).save(folder / "copy.jpg", quality=70)
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff no picture")
    return folder


def test_every_stage_and_the_whole_have_figures_and_nothing_is_left(
    deepdupe: Deepdupe,
    photos: Path,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    environment: dict[str, str],
) -> None:
    temporary = tmp_path_factory.mktemp("t")  # short: a state dir below it has to leave room for a socket's address
    environment["TMPDIR"] = str(temporary)
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in photos.iterdir()}
    given = ("--known", "500", "--seconds", "0.3", "--json", "--plot", "bars.png")
    done = deepdupe("bench", photos, *given, timeout_s=250)
    assert done.code == 0, done.err
    *stages, result = done.records
    assert [stage["kind"] for stage in stages] == ["stage"] * len(stages)
    found = {stage["name"]: stage for stage in stages}
    assert list(found) == [
        "read", "see", "hash", "decode", "preprocess", "forward", "recall", "commit", "verify", "upsert", "alone",
        "whole",
    ]  # fmt: skip
    assert (result["kind"], result["images"], result["not_pictures"]) == ("bench", 7, 1)
    assert result["models"] == ["pdq on cpu"]
    for name in ("read", "see", "decode", "forward", "recall", "commit", "verify", "upsert", "alone"):
        assert 0 < found[name]["p50_ms"] <= found[name]["p99_ms"], name
        assert found[name]["per_s"] > 0
    assert found["recall"]["subject"] == "pdq.hash, 500 known"
    assert found["verify"]["items"] == 1, "the one copy among them"
    assert found["verify"]["images_per_s"] == pytest.approx(7 * found["verify"]["per_s"])
    assert found["whole"]["p50_ms"] is None
    assert result["bottleneck"]["images_per_s"] == pytest.approx(min(result["rooms"].values()))
    assert result["whole_share"] == pytest.approx(found["whole"]["per_s"] / result["bottleneck"]["images_per_s"])
    assert (tmp_path / "bars.png").read_bytes().startswith(b"\x89PNG")
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in photos.iterdir()} == before
    assert not list(temporary.iterdir()), "the temporary folder is gone"
    assert not (tmp_path / "s").exists(), "and no state dir was made"


def test_without_a_folder_it_makes_pictures_and_its_table_fits_80_columns(deepdupe: Deepdupe) -> None:
    done = deepdupe("bench", "--images", "4", "--known", "100", "--seconds", "0.2", timeout_s=250)
    assert done.code == 0, done.err
    assert max(map(len, done.lines)) <= 80
    assert done.lines[0].startswith("4 pictures, ")
    assert any(line.startswith("bottleneck: ") for line in done.lines)
    assert any(line.startswith("verify, ") and "unlike pairs/s" in line for line in done.lines)
    assert any("making pictures" in line for line in done.err.splitlines())


@pytest.mark.parametrize(
    ("arguments", "code", "what"),
    [
        (["no-such-folder"], 78, "there is no such folder"),
        (["empty"], 78, "there is no file in it"),
        (["words"], 78, "there is no picture in it"),
        (["words", "--model", "no-such-model"], 78, "no-such-model"),
        (["words", "--device", "tpu"], 78, "auto, cpu, cuda or cuda:N"),
        (["words", "--plot", "bars.jpg"], 78, "FILE.png or FILE.svg"),
        (["--images", "0"], 2, "--images"),
    ],
)
def test_mistakes_are_told_in_a_line(
    arguments: list[str], code: int, what: str, deepdupe: Deepdupe, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "words").mkdir()
    (tmp_path / "words" / "notes.jpg").write_text("no picture")
    done = deepdupe("bench", *arguments)
    assert done.code == code
    assert what in done.err
    assert "Traceback" not in done.err
