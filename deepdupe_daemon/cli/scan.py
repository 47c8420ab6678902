"""`scan`: index what is there now, report, end."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deepdupe_daemon.cli.counted import counted
from deepdupe_daemon.cli.moment import duration_text
from deepdupe_daemon.cli.options import AsJson, Models, StateDir
from deepdupe_daemon.cli.progress import ProgressView, progress_view
from deepdupe_daemon.cli.shell import Shell
from deepdupe_daemon.cli.tally import Tally, take_tally
from deepdupe_daemon.cli.verdict_text import verdict_json, verdict_line

if TYPE_CHECKING:
    from deepdupe_daemon.act import Record
    from deepdupe_daemon.config import Config
    from deepdupe_daemon.service import ScanResult

__all__ = ["scan"]

FOUND_NONE = 0
FOUND_DUPLICATES = 1
FOUND_ERRORS = 2


def scan(
    ctx: typer.Context,
    folders: Annotated[
        list[str] | None, typer.Argument(metavar="DIR...", help="Folders, with everything below them.")
    ] = None,
    model: Models = None,
    state_dir: StateDir = None,
    config_file: Annotated[
        Path | None,
        typer.Option("--config", "-c", metavar="FILE", help="Folders, models and all else from a configuration."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Look for duplicates in folders once. What is found is kept, so the next scan is quick.

    Exit code: 0 no duplicates, 1 duplicates found, 2 files that could not be read and no duplicates, or not finished.
    """
    from deepdupe_daemon.config import config_for_folders, load_config

    shell: Shell = ctx.obj
    if config_file is not None:
        if folders or model or state_dir:
            raise typer.BadParameter("--config names folders, models and state dir; give nothing of it beside")
        config = load_config(config_file)
    elif folders:
        config = config_for_folders(folders, state_dir=state_dir, models=model, environ=shell.environ)
    else:
        raise typer.BadParameter("name folders, or a configuration with --config")
    from deepdupe_daemon.service import run_scan  # seconds of loading, which a wrong folder need not wait for

    with progress_view(shell) as view:

        def remark(record: Record) -> None:
            _remark(record, view)

        result = run_scan(config, on_progress=view.show, on_record=remark, clock=shell.clock)
    tally = _report(shell, config, result, as_json=as_json)
    if not result.complete:
        shell.remark("stopped before the end: the same command again goes on from here")
        raise typer.Exit(FOUND_ERRORS)
    if tally.duplicates:
        raise typer.Exit(FOUND_DUPLICATES)
    raise typer.Exit(FOUND_ERRORS if tally.failed else FOUND_NONE)


def _remark(record: Record, view: ProgressView) -> None:
    """Warnings about the scan itself; duplicates and failed files are reported at the end."""
    from deepdupe_daemon.act import Kind, Priority

    if record.level <= Priority.WARNING and record.kind is not Kind.FILE_FAILED:
        view.line(f"{record.level.name.lower()}: {record.message}", beside=True)


def _report(shell: Shell, config: Config, result: ScanResult, *, as_json: bool) -> Tally:
    from deepdupe_daemon.ledger import Ledger

    roots = [root.path_bytes for root in config.roots]
    with Ledger.open(config.state_dir, shell.clock, readonly=True) as ledger:
        duplicates = 0
        for root in roots:
            for row in ledger.duplicates(classes=config.alerts.classes, root=root):
                duplicates += 1
                if as_json:
                    shell.json({"kind": "duplicate", **verdict_json(row)})
                else:
                    shell.line(verdict_line(row))
        tally = take_tally(ledger, roots, duplicates)
    if as_json:
        shell.json({"kind": "summary", **asdict(tally), "seconds": result.seconds, "complete": result.complete})
    else:
        shell.remark(_summary(tally, result.seconds))
    return tally


def _summary(tally: Tally, seconds: float) -> str:
    """`2,889 files in 43 s: 600 duplicates, 3 could not be read (...)`"""
    parts = [counted(tally.duplicates, "duplicate")]
    parts += [f"{counted(tally.ignored, 'file')} without a picture in it"] if tally.ignored else []
    parts += [f"{tally.waiting:,} not looked at yet"] if tally.waiting else []
    if tally.failed:
        parts.append(f"{tally.failed:,} could not be read (`deepdupe-daemon status --failed` lists them)")
    return f"{counted(tally.files, 'file')} in {duration_text(seconds)}: {', '.join(parts)}"
