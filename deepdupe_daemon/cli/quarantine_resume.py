"""`quarantine resume`: the breaker stopped quarantining; a person lets it go on."""

from __future__ import annotations

from typing import Annotated

import typer

from deepdupe_daemon.cli.counted import counted
from deepdupe_daemon.cli.options import AsJson, ConfigFile, StateDir
from deepdupe_daemon.cli.shell import Shell
from deepdupe_daemon.cli.whereabouts import find_config

__all__ = ["quarantine_resume"]


def quarantine_resume(
    ctx: typer.Context,
    discard: Annotated[bool, typer.Option("--discard", help="Leave the duplicates that wait where they are.")] = False,
    config: ConfigFile = None,
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """Let quarantining go on after the breaker stopped it. What waits is moved now, counted anew."""
    from deepdupe_daemon.model import display_path
    from deepdupe_daemon.service import open_quarantine_desk

    shell: Shell = ctx.obj
    found = find_config(config, state_dir, shell.environ)
    with open_quarantine_desk(found, shell.clock, lambda _record: None) as desk:
        answer = desk.resume(discard=discard)
    if as_json:
        answer.pop("ok", None)
        shell.json({**answer, "discarded": discard})
        return
    what = "stay where they are" if discard else "are next"
    waiting = f"; {counted(answer['waiting'], 'duplicate')} that waited {what}" if answer["waiting"] else ""
    if answer["was_open"]:
        shell.line(f"quarantining goes on; it had stopped because {display_path(answer['reason'].encode())}{waiting}")
    else:
        shell.line(f"quarantining had not stopped{waiting}")
