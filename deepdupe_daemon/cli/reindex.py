"""`reindex`: build a model's vectors anew, with the weights that are configured now."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from deepdupe_daemon.cli.options import AsJson, ConfigFile, StateDir
from deepdupe_daemon.cli.progress import progress_view
from deepdupe_daemon.cli.shell import Shell
from deepdupe_daemon.cli.whereabouts import find_config
from deepdupe_daemon.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from deepdupe_daemon.cli.progress import ProgressView
    from deepdupe_daemon.clock import Clock
    from deepdupe_daemon.service import ReindexResult

__all__ = ["reindex"]

#: stopped before the end, as `scan` has it
UNFINISHED = 2


def reindex(
    ctx: typer.Context,
    model: Annotated[str | None, typer.Option("--model", help="Which of the configured models.")] = None,
    drop_old: Annotated[bool, typer.Option("--drop-old", help="Forget the vectors that were replaced.")] = False,
    config: ConfigFile = None,
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """Build a model's vectors anew after its weights, input size or precision changed.

    The vectors there are serve until the new ones are complete. Ctrl-C stops; the same command goes on from there.
    """
    shell: Shell = ctx.obj
    if model is None and not drop_old:
        raise ConfigError("found neither --model nor --drop-old", hint="name the model to build anew: --model M")
    found = find_config(config, state_dir, shell.environ)
    from deepdupe_daemon.service import drop_old_spaces
    from deepdupe_daemon.service import reindex as build

    if model is not None:
        stop = threading.Event()
        _stop_on_signals(stop)
        with progress_view(shell) as view:
            result = build(
                found,
                model,
                clock=shell.clock,
                environ=shell.environ,
                on_progress=_shown(view, shell.clock),
                on_notice=lambda notice: view.line(notice.text, beside=True),
                stop=stop,
            )
        _report(shell, model, result, as_json=as_json)
        if not result.complete:
            raise typer.Exit(UNFINISHED)
    if drop_old:
        for alias in drop_old_spaces(found, clock=shell.clock, environ=shell.environ):
            shell.json({"kind": "dropped", "space": alias}) if as_json else shell.line(f"dropped {alias}")


def _report(shell: Shell, model: str, result: ReindexResult, *, as_json: bool) -> None:
    if as_json:
        shell.json(
            {
                "kind": "reindex",
                "model": model,
                "spaces": list(result.spaces),
                "embedded": result.embedded,
                "failed": result.failed,
                "complete": result.complete,
                "switched": result.switched,
            }
        )
        return
    if not result.spaces:
        shell.line(f"nothing to do: the vectors of {model} are of the weights that are configured")
        return
    failed = f", {result.failed:,} could not be read" if result.failed else ""
    shell.line(f"{', '.join(result.spaces)}: embedded {result.embedded:,} pictures{failed}")
    if not result.complete:
        shell.line("stopped before the end: the same command goes on from here")
    elif result.switched:
        shell.line("the new vectors serve; `reindex --drop-old` forgets the old ones")
    else:
        shell.line("complete; the running daemon switches at its next start")


def _shown(view: ProgressView, clock: Clock) -> Callable[[int, int], None]:
    from deepdupe_daemon.service import Progress

    began_s, first = clock.monotonic_s(), [-1]

    def show(done: int, total: int) -> None:
        if first[0] < 0:
            first[0] = done
        elapsed_s = clock.monotonic_s() - began_s
        rate = (done - first[0]) / elapsed_s if elapsed_s > 0 else 0.0
        remaining_s = (total - done) / rate if rate else None
        view.show(Progress("indexing", done, total, rate, remaining_s, 0, 0, f"indexing {done:,} of {total:,}"))

    return show


def _stop_on_signals(stop: threading.Event) -> None:
    def note(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, note)
