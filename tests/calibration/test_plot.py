"""The plot: a file that a viewer opens, and mistakes told before the work begins."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from deepdupe_daemon.calibration import CalibrationRun, write_plot
from deepdupe_daemon.calibration.plot import check_plot
from deepdupe_daemon.errors import ConfigError, DeepDupeError
from tests.calibration.test_run import whole  # noqa: F401 - the fixture

pytest.importorskip("matplotlib")


@pytest.mark.parametrize("name", ["curves.png", "curves.svg"])
def test_it_is_drawn(name: str, whole: CalibrationRun, tmp_path: Path) -> None:  # noqa: F811
    write_plot(tmp_path / name, whole.outcomes)
    if name.endswith(".png"):
        with Image.open(tmp_path / name) as drawn:
            assert drawn.width > 1000
    else:
        assert "<svg" in (tmp_path / name).read_text("utf-8")[:1000]
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_another_suffix_is_refused_before_anything_is_measured() -> None:
    with pytest.raises(ConfigError, match=r"allowed: FILE\.png or FILE\.svg"):
        check_plot(Path("curves.jpg"))


def test_a_folder_that_is_not_there_is_told(whole: CalibrationRun, tmp_path: Path) -> None:  # noqa: F811
    with pytest.raises(DeepDupeError, match="cannot be written"):
        write_plot(tmp_path / "none" / "curves.png", whole.outcomes)
