"""A threshold that was chosen on one half of the evaluation photos, held against the other half."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from deepdupe_daemon.calibration import CalibrationRun, calibrate, candidates
from deepdupe_daemon.clock import SystemClock
from deepdupe_daemon.config import DecoderConfig, ModelConfig


def run(paths: list[bytes], state_dir: Path, *, wanted: float, photos: int) -> CalibrationRun:
    return calibrate(
        paths,
        [ModelConfig()],
        state_dir=state_dir,
        decoder=DecoderConfig(),
        wanted=wanted,
        photos=photos,
        seed=0,
        clock=SystemClock(),
        environ={},
    )


@pytest.mark.evaluation
@pytest.mark.timeout(5000)
@pytest.mark.parametrize(
    ("wanted", "photos"),
    # so many photos prove it where none of them is proposed wrongly: 35 and 189
    [pytest.param(0.9, 42), pytest.param(0.98, 230, marks=pytest.mark.nightly)],
)
def test_the_recommended_threshold_of_pdq_reaches_the_precision_on_photos_that_it_never_saw(
    data_dir: Path, tmp_path: Path, wanted: float, photos: int
) -> None:
    folders = [os.fsencode(data_dir / name) for name in ("caltech101", "boofcv", "kodak", "opensfm")]
    paths = candidates(folders, seed=0)
    ours, theirs = ([path for at, path in enumerate(paths) if at // 2 % 2 == half] for half in (0, 1))
    (chosen,) = run(ours, tmp_path / "ours", wanted=wanted, photos=photos).outcomes
    (held_out,) = run(theirs, tmp_path / "theirs", wanted=wanted, photos=photos).outcomes
    threshold = chosen.calibration.raw.threshold
    assert threshold is not None
    assert chosen.calibration.raw.proven
    precision = float(held_out.curve.precision(threshold))
    recall = float(held_out.curve.recall(threshold))
    print(f"\nthreshold {threshold:.4f} for {wanted:.0%}: held out {precision:.4f}, recall {recall:.4f}")
    assert precision >= wanted
    assert recall > 0.95
