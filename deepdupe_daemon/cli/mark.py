"""`mark not-duplicate`: what a person knows better is remembered for ever."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deepdupe_daemon.cli.given_path import ledger_path
from deepdupe_daemon.cli.options import ConfigFile, StateDir
from deepdupe_daemon.cli.shell import Shell
from deepdupe_daemon.cli.whereabouts import find_config
from deepdupe_daemon.errors import ActionRefused, FileFailed

if TYPE_CHECKING:
    from deepdupe_daemon.ledger import Ledger

__all__ = ["not_duplicate"]


def not_duplicate(
    ctx: typer.Context,
    first: Annotated[Path, typer.Argument(metavar="A", help="A file.")],
    second: Annotated[Path, typer.Argument(metavar="B", help="Another file.")],
    config: ConfigFile = None,
    state_dir: StateDir = None,
) -> None:
    """Remember that two pictures are not duplicates of each other, by their contents and wherever they move."""
    from deepdupe_daemon.ledger import Ledger
    from deepdupe_daemon.service import ControlClient

    shell: Shell = ctx.obj
    found = find_config(config, state_dir, shell.environ)
    paths = [ledger_path(path) for path in (first, second)]
    with Ledger.open(found.state_dir, shell.clock) as ledger:
        one, other = (_digest(ledger, path) for path in paths)
        if one == other:
            raise ActionRefused("the two files have the same bytes", hint="only different contents can be told apart")
        ledger.mark_not_duplicate(one, other, "command line")
    client = ControlClient.find(found)
    if client is not None:
        client.request("judge")  # the two may be copies, or keepers, of others now
    shell.line("remembered: these two pictures are not duplicates of each other")


def _digest(ledger: Ledger, path: bytes) -> bytes:
    """The SHA-256 of the file as it is now; as the ledger knows it where the file is no longer there."""
    from deepdupe_daemon.model import display_path

    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except FileNotFoundError:
        row = ledger.file_by_path(path)
        if row is not None and row.digest is not None:
            return row.digest
        raise FileFailed("no such file, and none is known", kind="vanished", where=display_path(path)) from None
    except OSError as error:
        raise FileFailed(f"cannot be read: {error.strerror}", kind="unreadable", where=display_path(path)) from error
