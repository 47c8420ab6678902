"""The short form of the long run: what must not grow with the work done does not."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from deepdupe_daemon.model import FileState
from tests.soak.long_run import Figures, LongRun, plot, slopes


def test_a_slope_is_that_of_the_second_half() -> None:
    figures = [Figures(i, 1000 * i, 50 * min(i, 4), 0, 9, 3, 0, i, 0, 0) for i in range(10)]
    found = slopes(figures)
    assert found["rss_bytes"] == pytest.approx(0.0, abs=1e-6)
    assert found["chroma_queue_rows"] == pytest.approx(1.0)


def test_the_plot_shows_every_figure(tmp_path: Path) -> None:
    plot([Figures(*[i] * 10) for i in range(1, 5)], tmp_path / "p.png")
    with Image.open(tmp_path / "p.png") as sheet:
        assert sheet.size == (900, 180 * 8)
        assert len(sheet.getcolors(1 << 20) or ()) > 2


@pytest.mark.nightly
@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_descriptors_threads_and_logs_stay_as_they_are(tmp_path: Path) -> None:
    run = LongRun(tmp_path / "run", living=400, seed=7)
    run.run(4000, every=100)
    counts = run.known
    assert counts[FileState.INDEXED] == run.living
    found = slopes(run.figures)
    print(found)
    assert abs(found["descriptors"]) < 2
    assert abs(found["threads"]) < 2
    assert run.figures[-1].wal_bytes < 64 * 2**20
    assert found["rss_bytes"] < 20 * 2**20
