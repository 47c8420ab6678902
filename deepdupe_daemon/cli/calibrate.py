"""`calibrate`: thresholds measured on one's own photos."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from deepdupe_daemon.cli.calibration_text import calibration_lines, recommendation_lines
from deepdupe_daemon.cli.options import SYSTEM_CONFIG, AsJson, ConfigFile, StateDir
from deepdupe_daemon.cli.progress import progress_view
from deepdupe_daemon.cli.shell import Shell
from deepdupe_daemon.cli.threshold_edit import apply_thresholds
from deepdupe_daemon.cli.whereabouts import find_config
from deepdupe_daemon.errors import ConfigError, StateError

if TYPE_CHECKING:
    from deepdupe_daemon.calibration import CalibrationRun, Step
    from deepdupe_daemon.cli.progress import ProgressView
    from deepdupe_daemon.clock import Clock
    from deepdupe_daemon.config import Config, ModelConfig

__all__ = ["calibrate"]

#: stopped before the end, as `scan` has it
UNFINISHED = 2


def calibrate(
    ctx: typer.Context,
    folder: Annotated[
        Path | None, typer.Argument(metavar="DIR", help="Folder with photos. Default: the watched folders.")
    ] = None,
    models: Annotated[
        str | None,
        typer.Option(
            "--models", metavar="M,...", help="Models to compare, separated by commas. Default: the configured ones."
        ),
    ] = None,
    precision: Annotated[
        float, typer.Option(metavar="SHARE", help="Share of proposals that are to be copies, below 1.")
    ] = 0.99,
    photos: Annotated[int, typer.Option("--photos", metavar="N", help="Most photos to take as the sample.")] = 500,
    seed: Annotated[int, typer.Option(metavar="N", help="Another seed takes another sample.")] = 0,
    apply: Annotated[
        bool, typer.Option("--apply", help="Write the thresholds into the configuration file; shows the change first.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="With --apply: do not ask.")] = False,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw curves and histograms: FILE.png or FILE.svg.")
    ] = None,
    config: ConfigFile = None,
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """Measure which similarity threshold your own photos need.

    Takes a sample of your photos, makes copies of them in memory as people and programs make them, and finds for each
    model the threshold for the wanted precision, what it finds, and what it proposes wrongly. Recommends a model.

    Photos are only read. Ctrl-C stops; the same command goes on from there.
    """
    from deepdupe_daemon.calibration import calibrate as measure
    from deepdupe_daemon.calibration import candidates, recommended, store_calibration, write_plot
    from deepdupe_daemon.calibration.plot import check_plot
    from deepdupe_daemon.calibration.run import FEWEST_PHOTOS

    shell: Shell = ctx.obj
    if not 0.5 < precision < 1:
        raise ConfigError(f"found {precision:g}; allowed: above 0.5 and below 1, such as 0.99", where="--precision")
    if photos < FEWEST_PHOTOS:
        raise ConfigError(f"found {photos}; allowed: {FEWEST_PHOTOS} or more", where="--photos")
    found = _config(folder, config, state_dir, shell)
    file = _file(config, found) if apply else None
    if plot is not None:
        check_plot(plot)
    folders = [os.fsencode(os.path.realpath(folder))] if folder else [root.path_bytes for root in found.roots]
    stop = threading.Event()
    _stop_on_signals(stop)
    with progress_view(shell) as view:
        run = measure(
            candidates(folders, seed=seed),
            _models(found, models),
            state_dir=found.state_dir,
            decoder=found.decoder,
            wanted=precision,
            photos=photos,
            seed=seed,
            clock=shell.clock,
            environ=shell.environ,
            on_step=_shown(view, shell.clock),
            stop=stop,
        )
    if not run.complete:
        shell.remark(f"stopped after {run.photos:,} of {photos:,} photos: the same command goes on from here")
        raise typer.Exit(UNFINISHED)
    _report(shell, run, as_json=as_json)
    calibrations = [outcome.calibration for outcome in run.outcomes]
    for calibration in calibrations:
        store_calibration(found.state_dir, calibration)
    best = recommended(calibrations)
    if as_json:
        shell.json({"kind": "recommendation", "space": best.space.name if best is not None else None})
    if plot is not None:
        write_plot(plot, run.outcomes)
        shell.remark(f"drawn: {plot}")
    if file is not None:
        apply_thresholds(file, calibrations, shell, yes=yes)


def _config(folder: Path | None, config: Path | None, state_dir: Path | None, shell: Shell) -> Config:
    """The daemon's configuration; where there is none, the defaults for the folder."""
    from deepdupe_daemon.config import config_for_folders

    try:
        return find_config(config, state_dir, shell.environ)
    except StateError:
        if folder is None or config is not None:
            raise
        return config_for_folders([folder], state_dir=state_dir, environ=shell.environ)


def _file(config: Path | None, found: Config) -> Path:
    """The file that the configuration came from."""
    from deepdupe_daemon.config import load_config

    file = config or SYSTEM_CONFIG
    if not file.exists() or (config is None and load_config(file, look_at_disk=False).state_dir != found.state_dir):
        hint = "`deepdupe-daemon setup` writes one; then name it with --config"
        raise ConfigError("there is no configuration file to write thresholds into", where="--apply", hint=hint)
    return file


def _models(config: Config, names: str | None) -> list[ModelConfig]:
    """The named models: as they are configured, else as presets."""
    from deepdupe_daemon.config import validated

    if names is None:
        return list(config.models)
    configured = {model.name: model for model in config.models}
    wanted = list(dict.fromkeys(name.strip() for name in names.split(",") if name.strip()))
    if not wanted:
        raise ConfigError(f"found {names!r}; allowed: names of models, separated by commas", where="--models")
    others = [{"name": name} for name in wanted if name not in configured]
    if others:
        presets = validated({"roots": [{"path": "/"}], "models": others}).models
        configured |= {model.name: model for model in presets}
    return [configured[name] for name in wanted]


def _report(shell: Shell, run: CalibrationRun, *, as_json: bool) -> None:
    calibrations = [outcome.calibration for outcome in run.outcomes]
    if as_json:
        for calibration in calibrations:
            shell.json({"kind": "calibration", **calibration.to_dict()})
        return
    for line in (*calibration_lines(calibrations), *recommendation_lines(calibrations)):
        shell.line(line)


def _shown(view: ProgressView, clock: Clock) -> Callable[[Step], None]:
    from deepdupe_daemon.service import Progress

    began: dict[str, tuple[float, int]] = {}

    def show(step: Step) -> None:
        since_s, first = began.setdefault(step.phase, (clock.monotonic_s(), step.done))
        elapsed_s = clock.monotonic_s() - since_s
        rate = (step.done - first) / elapsed_s if elapsed_s > 0 and step.phase != "loading" else 0.0
        remaining_s = (step.total - step.done) / rate if rate else None
        text = f"{step.phase} {step.done:,} of {step.total:,}"
        view.show(Progress(step.phase, step.done, step.total, rate, remaining_s, 0, 0, text))

    return show


def _stop_on_signals(stop: threading.Event) -> None:
    def note(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, note)
