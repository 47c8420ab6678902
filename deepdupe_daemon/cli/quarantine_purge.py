"""`quarantine purge`: delete what rests in quarantine, for good."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from deepdupe_daemon.cli.action_choice import chosen_actions
from deepdupe_daemon.cli.action_text import action_line, tell_refusal
from deepdupe_daemon.cli.counted import counted
from deepdupe_daemon.cli.moment import since_ns
from deepdupe_daemon.cli.options import AsJson, ConfigFile, StateDir
from deepdupe_daemon.cli.path_json import path_fields
from deepdupe_daemon.cli.questions import Cancelled, Questions
from deepdupe_daemon.cli.shell import Shell
from deepdupe_daemon.cli.whereabouts import find_config
from deepdupe_daemon.errors import ConfigError, DeepDupeError

if TYPE_CHECKING:
    from deepdupe_daemon.ledger import ActionRow
    from deepdupe_daemon.service import QuarantineDesk

__all__ = ["quarantine_purge"]

_SHOWN = 10


def quarantine_purge(
    ctx: typer.Context,
    ids: Annotated[list[str] | None, typer.Argument(metavar="ID...", help="As `quarantine list` shows them.")] = None,
    older_than: Annotated[
        str | None, typer.Option("--older-than", metavar="AGE", help="All that was moved before: 30d, 8w, 2026-03-01.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    config: ConfigFile = None,
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """Delete what rests in quarantine, for good. Asks before; prints each file that it deleted.

    A file whose other copy cannot be found any more is not deleted. Exit code 1 where something was not deleted.
    """
    shell: Shell = ctx.obj
    if not ids and older_than is None:
        raise ConfigError("found nothing to delete", hint="--older-than 30d, or ids as `quarantine list` shows them")
    from deepdupe_daemon.ledger import ActionState, Ledger
    from deepdupe_daemon.service import open_quarantine_desk

    found = find_config(config, state_dir, shell.environ)
    before_ns = None if older_than is None else since_ns(older_than, now_ns=shell.clock.now_ns(), where="--older-than")
    with Ledger.open(found.state_dir, shell.clock, readonly=True) as ledger:
        rows = chosen_actions(ledger, ids or [], everything=False)
        if before_ns is not None:
            known = {row.action_id for row in rows}
            old = ledger.actions(states={ActionState.QUARANTINED}, before_ns=before_ns)
            rows += [row for row in old if row.action_id not in known]
    if not rows:
        shell.remark("nothing that old rests in quarantine")
        return
    if not yes:
        _ask(shell, rows)
    with open_quarantine_desk(found, shell.clock, lambda _record: None) as desk:
        purged = [_purge(shell, desk, row, as_json=as_json) for row in rows]
    if not all(purged):
        raise typer.Exit(1)


def _ask(shell: Shell, rows: list[ActionRow]) -> None:
    """Raises Cancelled for any answer but yes."""
    questions = Questions(shell)
    for row in rows[:_SHOWN]:
        questions.say(action_line(row))
    if len(rows) > _SHOWN:
        questions.say(f"... and {len(rows) - _SHOWN:,} more")
    files = [each for row in rows for each in row.intent.files]
    size = sum(each.file.identity.size for each in files)
    if not questions.confirm(f"Delete {counted(len(files), 'file')} ({size:,} bytes) for good?"):
        raise Cancelled("nothing was deleted")


def _purge(shell: Shell, desk: QuarantineDesk, row: ActionRow, *, as_json: bool) -> bool:
    from deepdupe_daemon.model import display_path
    from deepdupe_daemon.service.protocol import decode_path

    try:
        answer = desk.purge(row.action_id)
    except DeepDupeError as refused:
        tell_refusal(shell, row, refused, "not deleted", as_json=as_json)
        return False
    paths = [decode_path(each) for each in answer["files"]]
    if as_json:
        files = [path_fields("path", path) for path in paths]
        shell.json({"action_id": row.label, "purged": True, "files": files, "freed_bytes": answer["freed_bytes"]})
    else:
        for path in paths:
            shell.line(f"{row.label}  deleted {display_path(path)}")
    return True
