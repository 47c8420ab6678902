"""`quarantine list`: what rests in quarantine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deepdupe_daemon.cli.action_text import action_json, action_line
from deepdupe_daemon.cli.moment import since_ns
from deepdupe_daemon.cli.options import AsJson, ConfigFile, StateDir
from deepdupe_daemon.cli.shell import Shell
from deepdupe_daemon.cli.verdict_classes import verdict_classes
from deepdupe_daemon.cli.verdict_text import verdict_json, verdict_line
from deepdupe_daemon.cli.whereabouts import find_config

if TYPE_CHECKING:
    from deepdupe_daemon.ledger import Ledger

__all__ = ["quarantine_list"]


def quarantine_list(
    ctx: typer.Context,
    below: Annotated[Path | None, typer.Argument(metavar="DIR", help="Only what was below this folder.")] = None,
    classes: Annotated[
        list[str] | None, typer.Option("--class", metavar="CLASS", help="Only this verdict. Repeatable.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar="WHEN", help="Only what was moved since: 2h, 3d, 2026-03-01, ...")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Also what was restored, purged or not moved after all.")
    ] = False,
    waiting: Annotated[
        bool, typer.Option("--waiting", help="Instead, the duplicates that are to be moved and still rest in place.")
    ] = False,
    config: ConfigFile = None,
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """List what rests in quarantine, oldest first."""
    from deepdupe_daemon.ledger import ActionState, Ledger

    shell: Shell = ctx.obj
    wanted = verdict_classes(classes or [])
    found = find_config(config, state_dir, shell.environ)
    since_given = None if since is None else since_ns(since, now_ns=shell.clock.now_ns())
    root = None if below is None else os.fsencode(os.path.realpath(below))
    resting = {state for state in ActionState if state is ActionState.QUARANTINED or state.open}
    with Ledger.open(found.state_dir, shell.clock, readonly=True) as ledger:
        if waiting:
            _list_waiting(ledger, shell, as_json=as_json)
            return
        for row in ledger.actions(states=None if everything else resting, root=root, since_ns=since_given):
            if wanted and row.intent.verdict_class not in wanted:
                continue
            if as_json:
                shell.json(action_json(row))
            else:
                shell.line(action_line(row))


def _list_waiting(ledger: Ledger, shell: Shell, *, as_json: bool) -> None:
    from deepdupe_daemon.model import display_path

    for order in ledger.waiting_orders():
        row = ledger.verdict(order.verdict_id)
        if row is None:
            continue
        if as_json:
            shell.json({**verdict_json(row), "state": str(order.state), "reason": order.reason})
        else:
            why = f"  [{display_path(order.reason.encode())}]" if order.reason else ""
            shell.line(f"{verdict_line(row)}{why}")
