"""Calibrations as they rest in the state dir: a small JSON file a space."""

from __future__ import annotations

import json
import os
from pathlib import Path

from deepdupe_daemon.calibration.result import Calibration
from deepdupe_daemon.errors import StateError
from deepdupe_daemon.model import display_path

__all__ = ["folder_of", "read_calibrations", "store_calibration"]

_FORMAT = 1


def folder_of(state_dir: Path) -> Path:
    """Where calibrations rest, and what a run that was cut off has collected."""
    return state_dir / "calibration"


def store_calibration(state_dir: Path, calibration: Calibration) -> None:
    """Put it in place of the one of its space, whole or not at all. Raises StateError."""
    target = folder_of(state_dir) / f"{calibration.space.name}.json"
    partial = f"{target}.part"
    try:
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with open(partial, "w", encoding="ascii") as file:
            json.dump({"format": _FORMAT, "calibration": calibration.to_dict()}, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, target)
    except OSError as error:
        where = display_path(os.fsencode(target))
        raise StateError(f"cannot be written: {error.strerror}", where=where) from error


def read_calibrations(state_dir: Path) -> dict[str, Calibration]:
    """Space name -> its calibration, of those that this version can read; {} where there are none."""
    found: dict[str, Calibration] = {}
    try:
        files = sorted(folder_of(state_dir).glob("*.json"))
    except OSError:
        return found
    for file in files:
        try:
            raw = json.loads(file.read_text("ascii"))
            calibration = Calibration.from_dict(raw["calibration"])
        except (OSError, ValueError, KeyError, TypeError):
            continue  # of another version, or not to be read by this user: as good as none
        found[calibration.space.name] = calibration
    return found
