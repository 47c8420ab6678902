"""`duplicates`: list them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from deepdupe_daemon.cli.moment import since_ns
from deepdupe_daemon.cli.options import AsJson, ConfigFile, StateDir
from deepdupe_daemon.cli.shell import Shell
from deepdupe_daemon.cli.verdict_classes import verdict_classes
from deepdupe_daemon.cli.verdict_text import verdict_json, verdict_line
from deepdupe_daemon.cli.whereabouts import find_config

__all__ = ["duplicates"]


def duplicates(
    ctx: typer.Context,
    below: Annotated[Path | None, typer.Argument(metavar="[DIR]", help="Only duplicates below this folder.")] = None,
    classes: Annotated[
        list[str] | None,
        typer.Option(
            "--class",
            metavar="CLASS",
            help="Only this class: identical-bytes, identical-pixels, re-encoded, edited, series, related. Repeatable.",
        ),
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar="WHEN", help="Only what was found since: 2h, 3d, 2026-03-01, ...")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Every class, and files that are no longer there as well.")
    ] = False,
    config: ConfigFile = None,
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """List the duplicates that were found and are there."""
    from deepdupe_daemon.ledger import Ledger

    shell: Shell = ctx.obj
    wanted = verdict_classes(classes or [])
    found = find_config(config, state_dir, shell.environ)
    told = wanted or (None if everything else found.alerts.classes)
    since_given = None if since is None else since_ns(since, now_ns=shell.clock.now_ns())
    root = None if below is None else os.fsencode(os.path.realpath(below))
    with Ledger.open(found.state_dir, shell.clock, readonly=True) as ledger:
        for row in ledger.duplicates(classes=told, root=root, since_ns=since_given, living_only=not everything):
            if as_json:
                shell.json(verdict_json(row))
            else:
                shell.line(verdict_line(row))
