"""`calibrate` as a person runs it."""

from __future__ import annotations

from pathlib import Path

import pytest

from deepdupe_daemon.config import load_config
from tests.calibration.conftest import photos  # noqa: F401 - the fixture
from tests.cli.conftest import Deepdupe


@pytest.fixture
def config(tmp_path: Path, photos: Path) -> Path:  # noqa: F811
    file = tmp_path / "deepdupe.yaml"
    file.write_text(
        f"# mine\nroots:\n  - path: {photos}  # all of them\nstate_dir: {tmp_path / 's'}\n\n"
        "judge:\n  # few\n  max_candidates: 8\n"
    )
    return file


def test_it_measures_shows_the_change_writes_it_and_is_remembered(
    deepdupe: Deepdupe, config: Path, tmp_path: Path
) -> None:
    given = ("--config", config, "--precision", "0.8", "--json")
    done = deepdupe("calibrate", *given, "--apply", "--yes", "--plot", "curves.svg", timeout_s=250)
    assert done.code == 0, done.err
    measured, recommended = done.records
    assert (measured["kind"], measured["name"]) == ("calibration", "pdq.hash")
    assert recommended == {"kind": "recommendation", "space": "pdq.hash"}
    rates = measured["raw"]["rates"]
    assert measured["raw"]["high"] is not None, "24 photos prove 80 %"
    assert rates["precision_interval"]["low"] >= 0.8
    assert 0.5 < rates["threshold"] < 1
    assert (tmp_path / "curves.svg").stat().st_size > 1000

    distance = load_config(config, look_at_disk=False).judge.pdq_max_distance
    assert 1 - 2 * distance / 256 >= rates["threshold"] > 1 - 2 * (distance + 1) / 256
    assert f"+  pdq_max_distance: {distance}" in done.err
    assert (
        config.read_text().replace(f"  pdq_max_distance: {distance}\n", "").endswith("  # few\n  max_candidates: 8\n")
    )
    assert "# all of them" in config.read_text()

    shown = deepdupe("models", "list", "--config", config)
    assert any("pdq.hash calibrated" in line and "@ 80 %" in line for line in shown.lines)
    deepdupe("scan", "--state-dir", tmp_path / "s", load_config(config, look_at_disk=False).roots[0].path)
    status = deepdupe("status", "--config", config)
    assert any("threshold" in line and "pdq.hash calibrated" in line for line in status.lines)


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["--precision", "1"], "above 0.5 and below 1"),
        (["--precision", "0.3"], "above 0.5 and below 1"),
        (["--models", "no-such-model"], "no-such-model"),
        (["--models", " , "], "separated by commas"),
        (["--plot", "curves.jpg"], "FILE.png or FILE.svg"),
        (["--photos", "19"], "found 19; allowed: 20 or more"),
    ],
)
def test_mistakes_are_told_before_the_work(arguments: list[str], what: str, here: Deepdupe, config: Path) -> None:
    done = here("calibrate", "--config", config, *arguments)
    assert done.code == 78
    assert what in done.err
    assert "Traceback" not in done.err


def test_without_a_file_there_is_nothing_to_apply_to(here: Deepdupe, photos: Path) -> None:  # noqa: F811
    done = here("calibrate", photos, "--apply")
    assert done.code == 78
    assert "no configuration file" in done.err
