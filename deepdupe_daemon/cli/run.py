"""`run`: the service, as systemd starts it."""

from __future__ import annotations

import contextlib
import faulthandler
import io
from pathlib import Path
from typing import Annotated

import typer

from deepdupe_daemon.cli.options import SYSTEM_CONFIG

__all__ = ["run"]


def run(
    ctx: typer.Context,
    config: Annotated[Path, typer.Option("--config", "-c", metavar="FILE", help="The configuration.")] = SYSTEM_CONFIG,
) -> None:
    """Run the service from a configuration file.

    In the foreground, until SIGTERM or Ctrl-C: what systemd starts.
    """
    from deepdupe_daemon.config import load_config

    loaded = load_config(config)
    from deepdupe_daemon.service import run_daemon  # seconds of loading, which a wrong configuration need not wait for

    with contextlib.suppress(io.UnsupportedOperation):  # a stream that is no file
        faulthandler.enable(ctx.obj.stderr)  # systemd's watchdog ends with SIGABRT: where each thread was is then told
    raise typer.Exit(run_daemon(loaded, read_config=lambda: load_config(config), clock=ctx.obj.clock))
