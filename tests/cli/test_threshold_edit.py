"""Which measured thresholds go into a file, and what is said of those that do not."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest

from deepdupe_daemon.calibration import Calibration
from deepdupe_daemon.cli.shell import Shell
from deepdupe_daemon.cli.threshold_edit import apply_thresholds, pdq_distance
from deepdupe_daemon.clock import ManualClock
from deepdupe_daemon.config import load_config
from tests.calibration.test_stored import made


@pytest.fixture
def file(tmp_path: Path) -> Path:
    found = tmp_path / "deepdupe.yaml"
    found.write_text(f"roots:\n  - path: {tmp_path}\nstate_dir: {tmp_path / 's'}\n")
    return found


def applied(file: Path, calibration: Calibration) -> str:
    """What is said."""
    shell = Shell(io.StringIO(), io.StringIO(), io.StringIO(), {}, ManualClock())
    apply_thresholds(file, [calibration], shell, yes=True)
    said = shell.stderr
    assert isinstance(said, io.StringIO)
    return said.getvalue()


def distance(file: Path) -> int:
    return load_config(file, look_at_disk=False).judge.pdq_max_distance


def test_a_proven_one_is_written(file: Path) -> None:
    said = applied(file, made())
    assert distance(file) == pdq_distance(0.95) == 6
    assert "does not prove" not in said


def test_one_that_is_not_proven_is_written_and_called_that(file: Path) -> None:
    assert "pdq.hash: this sample does not prove 99.5 %" in applied(file, made(photos=30))
    assert distance(file) == 6


def test_one_that_the_sample_itself_does_not_reach_is_not_written(file: Path) -> None:
    before = file.read_text()
    hopeless = made()
    hopeless = replace(hopeless, raw=replace(hopeless.raw, estimate=None, high=None))
    said = applied(file, hopeless)
    assert "pdq.hash: no threshold reaches 99.5 % here; it is left as it is" in said
    assert "nothing to change" in said
    assert file.read_text() == before
