"""`quarantine add`: duplicates that were there before, quarantined because a person says so."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deepdupe_daemon.cli.counted import counted
from deepdupe_daemon.cli.given_path import ledger_path
from deepdupe_daemon.cli.options import AsJson, ConfigFile, StateDir
from deepdupe_daemon.cli.path_json import path_fields
from deepdupe_daemon.cli.questions import Cancelled, Questions
from deepdupe_daemon.cli.shell import Shell
from deepdupe_daemon.cli.verdict_classes import verdict_classes
from deepdupe_daemon.cli.verdict_text import verdict_line
from deepdupe_daemon.cli.whereabouts import find_config
from deepdupe_daemon.errors import ActionRefused, ConfigError

if TYPE_CHECKING:
    from deepdupe_daemon.config import Config
    from deepdupe_daemon.ledger import Ledger, VerdictRow
    from deepdupe_daemon.model import VerdictClass

__all__ = ["quarantine_add"]

_SHOWN = 10
_AT_ONCE = 20


def quarantine_add(
    ctx: typer.Context,
    files: Annotated[list[Path] | None, typer.Argument(metavar="FILE...", help="Duplicates, by their paths.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All of folders with action quarantine.")] = False,
    below: Annotated[Path | None, typer.Option(metavar="DIR", help="With --all: only below this folder.")] = None,
    classes: Annotated[
        list[str] | None, typer.Option("--class", metavar="CLASS", help="With --all: only this verdict. Repeatable.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    config: ConfigFile = None,
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """Quarantine duplicates that were there before, or that the breaker holds. Asks before.

    The folder's action must be `quarantine`; every proof is made again at the move. Exit code 1 where one stayed.
    """
    shell: Shell = ctx.obj
    if bool(files) == everything:
        raise ConfigError("found no duplicate to quarantine", hint="name files, or --all")
    from deepdupe_daemon.ledger import Ledger
    from deepdupe_daemon.service import open_quarantine_desk

    found = find_config(config, state_dir, shell.environ)
    wanted = verdict_classes(classes or [])
    root = None if below is None else os.fsencode(os.path.realpath(below))
    with Ledger.open(found.state_dir, shell.clock, readonly=True) as ledger:
        rows = (
            _all(ledger, found, wanted, root) if everything else [_named(ledger, found, each) for each in files or ()]
        )
    if not rows:
        shell.remark("no such duplicate in a folder with action quarantine")
        return
    if not yes:
        _ask(shell, rows)
    stayed = 0
    with open_quarantine_desk(found, shell.clock, lambda _record: None) as desk:
        for start in range(0, len(rows), _AT_ONCE):
            some = {row.verdict_id: row for row in rows[start : start + _AT_ONCE]}
            for verdict_id, state, reason in desk.add(list(some))["orders"]:
                stayed += state != "quarantined"
                _tell(shell, some[verdict_id], state, reason, as_json=as_json)
    if stayed:
        raise typer.Exit(1)


def _all(ledger: Ledger, config: Config, classes: Sequence[VerdictClass], below: bytes | None) -> list[VerdictRow]:

    rows: list[VerdictRow] = []
    for root in config.roots:
        if root.action == "quarantine":
            chosen = classes or root.quarantine_classes
            found = ledger.duplicates(classes=chosen, root=root.path_bytes)
            rows += [row for row in found if below is None or (row.duplicate_now or b"").startswith(below + b"/")]
    return rows


def _named(ledger: Ledger, config: Config, path: Path) -> VerdictRow:
    from deepdupe_daemon.config import ACTIONABLE
    from deepdupe_daemon.model import display_path

    given = ledger_path(path)
    where = display_path(given)
    row = next((each for each in ledger.verdicts_for(given) if each.current and each.living), None)
    if row is None:
        raise ActionRefused(
            "is no known duplicate", where=where, hint=f"`deepdupe-daemon why {where}` says what is known"
        )
    if row.verdict.verdict_class not in ACTIONABLE:
        raise ActionRefused(f"{row.verdict.verdict_class} proves no copy: it is never quarantined", where=where)
    roots = [root.path_bytes for root in config.roots if root.action == "quarantine"]
    if not any(given.startswith(root + b"/") for root in roots):
        raise ActionRefused("lies in no folder with `action: quarantine`", where=where, hint="set it, and restart")
    return row


def _ask(shell: Shell, rows: Sequence[VerdictRow]) -> None:
    """Raises Cancelled for any answer but yes."""
    questions = Questions(shell)
    for row in rows[:_SHOWN]:
        questions.say(verdict_line(row))
    if len(rows) > _SHOWN:
        questions.say(f"... and {len(rows) - _SHOWN:,} more")
    if not questions.confirm(f"Move {counted(len(rows), 'duplicate')} to quarantine?"):
        raise Cancelled("nothing was moved")


def _tell(shell: Shell, row: VerdictRow, state: str, reason: str | None, *, as_json: bool) -> None:
    from deepdupe_daemon.model import display_path

    path = row.duplicate_now or row.verdict.duplicate.path
    if as_json:
        shell.json({"verdict_id": row.label, **path_fields("path", path), "state": state, "reason": reason})
    elif state == "quarantined":
        shell.line(f"{row.label}  quarantined {display_path(path)}")
    else:
        why = display_path((reason or "").encode("utf-8", "surrogateescape"))
        shell.remark(f"{row.label}  not quarantined ({state}): {display_path(path)}: {why}")
