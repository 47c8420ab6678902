"""`quarantine verify`: every file in quarantine read again, and held against its manifest and the ledger."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deepdupe_daemon.cli.action_choice import action_id
from deepdupe_daemon.cli.counted import counted
from deepdupe_daemon.cli.options import AsJson, ConfigFile, StateDir
from deepdupe_daemon.cli.path_json import path_fields
from deepdupe_daemon.cli.shell import Shell
from deepdupe_daemon.cli.whereabouts import find_config

if TYPE_CHECKING:
    from deepdupe_daemon.act import Finding
    from deepdupe_daemon.config import Config

__all__ = ["quarantine_verify"]


def quarantine_verify(
    ctx: typer.Context,
    ids: Annotated[list[str] | None, typer.Argument(metavar="ID...", help="Only these. Default: all.")] = None,
    config: ConfigFile = None,
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """Read every file in quarantine again, and hold it against its manifest and the ledger. Changes nothing.

    Exit code 1 where something is wrong.
    """
    from deepdupe_daemon.act import Quarantine
    from deepdupe_daemon.ledger import Ledger

    shell: Shell = ctx.obj
    wanted = [action_id(each) for each in ids] if ids else None
    found = find_config(config, state_dir, shell.environ)
    places = _places(found)
    well = wrong = 0
    with Ledger.open(found.state_dir, shell.clock, readonly=True) as ledger:
        for finding in Quarantine(ledger, shell.clock).verify(wanted, places=places):
            well += finding.problem is None
            wrong += finding.problem is not None
            if as_json:
                shell.json(_json(finding))
            elif finding.problem is not None:
                shell.line(_line(finding))
    if not as_json:
        shell.remark(
            f"{counted(well, 'folder')} as they should be" + (f", {counted(wrong, 'problem')}" if wrong else "")
        )
    if wrong:
        raise typer.Exit(1)


def _places(config: Config) -> list[bytes]:
    """The quarantine folders that are there."""
    from deepdupe_daemon.act import quarantine_folder

    folders = [quarantine_folder(root.path_bytes) for root in config.roots]
    folders += [os.fsencode(config.quarantine.folder)] if config.quarantine.folder is not None else []
    return [folder for folder in folders if os.path.isdir(folder)]


def _line(finding: Finding) -> str:
    from deepdupe_daemon.model import display_path

    name = finding.action.label if finding.action is not None else display_path(finding.token.encode())
    path = f"{display_path(finding.path)}: " if finding.path is not None else ""
    return f"{name}  {finding.problem}: {path}{display_path(finding.detail.encode('utf-8', 'surrogateescape'))}"


def _json(finding: Finding) -> dict[str, Any]:
    return {
        "action_id": finding.action.label if finding.action is not None else None,
        **path_fields("folder", finding.place + b"/" + finding.token.encode("utf-8", "surrogateescape")),
        "problem": str(finding.problem) if finding.problem is not None else None,
        "detail": finding.detail,
        **(path_fields("path", finding.path) if finding.path is not None else {}),
    }
