"""`watch`: the service without a configuration file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import typer

from deepdupe_daemon.cli.options import AsJson, Folders, Models, StateDir
from deepdupe_daemon.cli.progress import ProgressView, progress_view
from deepdupe_daemon.cli.shell import Shell

if TYPE_CHECKING:
    from deepdupe_daemon.act import Record
    from deepdupe_daemon.config import Config
    from deepdupe_daemon.service import Progress

__all__ = ["watch"]


def watch(
    ctx: typer.Context,
    folders: Folders,
    model: Models = None,
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """Watch folders, and tell of duplicates as they arrive.

    What is there already is looked through first. Ctrl-C ends it. Nothing is ever moved.
    """
    from deepdupe_daemon.config import config_for_folders

    shell: Shell = ctx.obj
    config = config_for_folders(folders, state_dir=state_dir, models=model, environ=shell.environ)
    from deepdupe_daemon.service import run_daemon  # seconds of loading, which a wrong folder need not wait for

    with progress_view(shell) as view:
        teller = _Teller(view, config, as_json=as_json)
        code = run_daemon(config, on_progress=teller.progress, on_record=teller.record, clock=shell.clock)
    raise typer.Exit(code)


class _Teller:
    """Prints alerts and remarks. `progress` is called by the supervising thread, `record` by any."""

    def __init__(self, view: ProgressView, config: Config, *, as_json: bool) -> None:
        from deepdupe_daemon.act import Kind, Priority

        self._view = view
        self._as_json = as_json
        self._alerts = (Kind.DUPLICATE_FOUND, Kind.RELATED_FOUND)
        self._least = Priority[config.log_level.upper()]
        self._caught_up = False

    def progress(self, progress: Progress) -> None:
        """The bar is for what was there before; once that is done, only alerts are worth a line."""
        if self._caught_up:
            return
        self._view.show(progress)
        if progress.phase in ("idle", "storing"):
            self._caught_up = True
            self._view.__exit__(None, None, None)
            self._view.line(f"{progress.text}; Ctrl-C ends it", beside=True)

    def record(self, record: Record) -> None:
        if self._as_json:
            self._view.line(json.dumps(record.to_json()))
        elif record.kind in self._alerts:
            self._view.line(record.message)
        elif record.level <= self._least:
            self._view.line(f"{record.level.name.lower()}: {record.message}", beside=True)
