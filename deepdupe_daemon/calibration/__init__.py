"""Calibrated: from which similarity on pictures of a space are worth comparing, measured on a person's own photos.

The room promises

- that photos are only read, and decoded only in the sandboxed workers of `vision`; copies exist in memory alone;
- that equal photos, seed and models give equal figures, and that a run that was cut off goes on where it was;
- that every figure can be worked out from what `Scores` holds, by the formulas that `curve` and `interval` name;
- that a calibration is bound to its space's key: for other weights or preprocessing it is told as that, never applied.

`service` does not import it: a daemon needs the thresholds in its configuration, not how they came about.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepdupe_daemon.face import on_first_use

if TYPE_CHECKING:
    from deepdupe_daemon.calibration.curve import Curve
    from deepdupe_daemon.calibration.interval import Interval, wilson
    from deepdupe_daemon.calibration.plot import write_plot
    from deepdupe_daemon.calibration.recommend import recommended
    from deepdupe_daemon.calibration.result import Calibration, Measured, Rates
    from deepdupe_daemon.calibration.run import CalibrationRun, Step, calibrate
    from deepdupe_daemon.calibration.sample import candidates
    from deepdupe_daemon.calibration.scores import Scores
    from deepdupe_daemon.calibration.stored import read_calibrations, store_calibration

#: public name -> the module that has it
_HOMES = {
    "Calibration": "result",
    "CalibrationRun": "run",
    "Curve": "curve",
    "Interval": "interval",
    "Measured": "result",
    "Rates": "result",
    "Scores": "scores",
    "Step": "run",
    "calibrate": "run",
    "candidates": "sample",
    "read_calibrations": "stored",
    "recommended": "recommend",
    "store_calibration": "stored",
    "wilson": "interval",
    "write_plot": "plot",
}

__all__ = [
    "Calibration",
    "CalibrationRun",
    "Curve",
    "Interval",
    "Measured",
    "Rates",
    "Scores",
    "Step",
    "calibrate",
    "candidates",
    "read_calibrations",
    "recommended",
    "store_calibration",
    "wilson",
    "write_plot",
]

__getattr__ = on_first_use(__name__, _HOMES)
