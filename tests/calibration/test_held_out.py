"""A threshold that was chosen on one half of the evaluation photos, held against the other half."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from deepdupe_daemon.calibration import CalibrationRun, calibrate, candidates
from deepdupe_daemon.clock import SystemClock
from deepdupe_daemon.config import DecoderConfig, ModelConfig

#: 98 % takes 189 photos without a mistake
WANTED, PHOTOS = 0.98, 230


def run(paths: list[bytes], state_dir: Path) -> CalibrationRun:
    return calibrate(
        paths,
        [ModelConfig()],
        state_dir=state_dir,
        decoder=DecoderConfig(),
        wanted=WANTED,
        photos=PHOTOS,
        seed=0,
        clock=SystemClock(),
        environ={},
    )


@pytest.mark.nightly
@pytest.mark.evaluation
@pytest.mark.timeout(5000)
def test_the_recommended_threshold_of_pdq_reaches_the_precision_on_photos_that_it_never_saw(
    data_dir: Path, tmp_path: Path
) -> None:
    folders = [os.fsencode(data_dir / name) for name in ("caltech101", "boofcv", "kodak", "opensfm")]
    paths = candidates(folders, seed=0)
    ours, theirs = ([path for at, path in enumerate(paths) if at // 2 % 2 == half] for half in (0, 1))
    (chosen,) = run(ours, tmp_path / "ours").outcomes
    (held_out,) = run(theirs, tmp_path / "theirs").outcomes
    threshold = chosen.calibration.raw.threshold
    assert threshold is not None
    assert chosen.calibration.raw.proven
    precision = float(held_out.curve.precision(threshold))
    recall = float(held_out.curve.recall(threshold))
    print(f"\nthreshold {threshold:.4f} for {WANTED:.0%}: held out {precision:.4f}, recall {recall:.4f}")
    assert precision >= WANTED
    assert recall > 0.95
