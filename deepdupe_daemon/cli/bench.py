"""`bench`: how fast this machine is, stage by stage and as a whole."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from deepdupe_daemon.cli.bench_text import bench_lines, result_json, stage_json
from deepdupe_daemon.cli.options import AsJson, Models
from deepdupe_daemon.cli.progress import progress_view
from deepdupe_daemon.cli.shell import Shell

if TYPE_CHECKING:
    from deepdupe_daemon.bench import BenchStep
    from deepdupe_daemon.cli.progress import ProgressView

__all__ = ["bench"]

#: stopped before the end, as `scan` has it
UNFINISHED = 2
#: pictures of our own: painting them takes longer than measuring
MADE = 40


def bench(
    ctx: typer.Context,
    folder: Annotated[
        Path | None, typer.Argument(metavar="DIR", help="Folder with photos. Default: pictures made for it.")
    ] = None,
    model: Models = None,
    device: Annotated[str, typer.Option(metavar="DEVICE", help="auto, cpu, cuda or cuda:N, for every model.")] = "auto",
    images: Annotated[int, typer.Option(metavar="N", min=1, max=100_000, help="Most files to take of DIR.")] = 200,
    known: Annotated[
        int, typer.Option(metavar="N", min=0, max=5_000_000, help="Pictures that are known already.")
    ] = 10_000,
    workers: Annotated[
        int, typer.Option(metavar="N", min=0, max=256, help="Decoding workers. 0: one per processor core.")
    ] = 0,
    seconds: Annotated[
        float, typer.Option(metavar="S", min=0.1, max=600, help="How long to repeat what can be repeated.")
    ] = 3.0,
    seed: Annotated[int, typer.Option(metavar="N", help="Another seed takes other files.")] = 0,
    plot: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw the figures: FILE.png or FILE.svg.")] = None,
    as_json: AsJson = False,
) -> None:
    """Measure how fast this machine sees pictures, and what holds it up.

    Each stage apart: read, hash, decode, preprocess, forward, recall, commit, verify, upsert; then all together, as
    `scan` does it. Photos are only read, into a temporary folder (TMPDIR), where all else happens too.
    """
    from deepdupe_daemon.bench import bench as measure
    from deepdupe_daemon.bench import write_bench_plot
    from deepdupe_daemon.calibration.plot import check_plot

    shell: Shell = ctx.obj
    if plot is not None:
        check_plot(plot)
    signal.signal(signal.SIGTERM, _end)
    with progress_view(shell) as view:
        result = measure(
            folder,
            model or ("pdq",),
            device=device,
            images=images if folder is not None else min(images, MADE),
            known=known,
            workers=workers,
            seed=seed,
            seconds=seconds,
            clock=shell.clock,
            environ=shell.environ,
            on_step=_shown(view),
        )
    if as_json:
        for stage in result.stages:
            shell.json(stage_json(stage))
        shell.json(result_json(result))
    else:
        for line in bench_lines(result):
            shell.line(line)
    if plot is not None:
        write_bench_plot(plot, result)
        shell.remark(f"drawn: {plot}")
    if not result.complete:
        raise typer.Exit(UNFINISHED)


def _end(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt  # so that the temporary folder goes, as it does after Ctrl-C


def _shown(view: ProgressView) -> Callable[[BenchStep], None]:
    from deepdupe_daemon.service import Progress

    def show(step: BenchStep) -> None:
        text = f"{step.phase} {step.done:,} of {step.total:,}"
        view.show(Progress(step.phase, step.done, step.total, 0.0, None, 0, 0, text))  # type: ignore[arg-type] # a phase of ours

    return show
