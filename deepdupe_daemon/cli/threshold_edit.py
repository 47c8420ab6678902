"""Measured thresholds, put into a configuration file after the change was shown."""

from __future__ import annotations

import difflib
import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from deepdupe_daemon.cli.questions import Questions
from deepdupe_daemon.cli.shell import Shell
from deepdupe_daemon.errors import ConfigError

if TYPE_CHECKING:
    from deepdupe_daemon.calibration import Calibration
    from deepdupe_daemon.config import Config

__all__ = ["apply_thresholds"]

_PDQ_BITS = 256


def apply_thresholds(file: Path, calibrations: Sequence[Calibration], shell: Shell, *, yes: bool) -> None:
    """Show what would change in `file`, ask unless `yes`, write. Comments and everything else stay as they are.

    Raises ConfigError where nobody can be asked, or the file cannot be edited or written.
    """
    from deepdupe_daemon.cli.new_file import write_new_file
    from deepdupe_daemon.config import load_config, with_values

    config = load_config(file, look_at_disk=False)
    with open(file, encoding="utf-8", newline="") as opened:
        before = opened.read()
    values = dict(_values(config, calibrations, shell))
    after = with_values(before, values)
    if after == before:
        shell.remark(f"{file}: nothing to change")
        return
    names = (f"{file} (now)", f"{file} (calibrated)")
    for line in difflib.unified_diff(before.splitlines(), after.splitlines(), *names, lineterm=""):
        shell.remark(line)
    if not yes:
        if not shell.stdin.isatty():
            raise ConfigError("there is nobody to ask", where="--apply", hint="--yes writes without asking")
        if not Questions(shell).confirm(f"Write this to {file}?"):
            shell.remark("nothing was written")
            return
    mode = os.stat(file).st_mode & 0o777
    target = Path(os.path.realpath(file))
    write_new_file(target, after, overwrite=True)
    os.chmod(target, mode)
    shell.remark(f"written: {file}; a running daemon takes it up at its next start")


def _values(
    config: Config, calibrations: Sequence[Calibration], shell: Shell
) -> Iterator[tuple[tuple[str | int, ...], int | float]]:
    """(place in the file, number). A model with two spaces has one threshold: the higher one."""
    thresholds: dict[str, float] = {}
    for calibration in calibrations:
        if calibration.raw.threshold is not None:
            wanted = f"{100 * calibration.wanted:g} %"
            if calibration.raw.estimate is None:
                shell.remark(f"{calibration.space.name}: no threshold reaches {wanted} here; it is left as it is")
                continue
            if not calibration.raw.proven:
                shell.remark(f"{calibration.space.name}: this sample does not prove {wanted}")
            name = calibration.space.model
            thresholds[name] = max(thresholds.get(name, -1.0), calibration.raw.threshold)
    for index, model in enumerate(config.models):
        threshold = thresholds.pop(model.name, None)
        if threshold is None:
            continue
        if model.name == "pdq":
            yield ("judge", "pdq_max_distance"), pdq_distance(threshold)
            if model.threshold is None:
                continue
        yield ("models", index, "threshold"), threshold
    for name in thresholds:
        shell.remark(f"{name} is not in the configuration; its threshold is not written")


def pdq_distance(threshold: float) -> int:
    """The largest number of differing bits at which PDQ's cosine is at or above `threshold`."""
    return max(0, min(_PDQ_BITS // 2, math.floor((1 - threshold) * _PDQ_BITS / 2 + 1e-9)))
