"""`quarantine restore`: bring files back, as they were."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deepdupe_daemon.cli.action_choice import chosen_actions
from deepdupe_daemon.cli.action_text import tell_refusal
from deepdupe_daemon.cli.moment import since_ns
from deepdupe_daemon.cli.options import AsJson, ConfigFile, StateDir
from deepdupe_daemon.cli.path_json import path_fields
from deepdupe_daemon.cli.shell import Shell
from deepdupe_daemon.cli.whereabouts import find_config
from deepdupe_daemon.errors import ConfigError, DeepDupeError

if TYPE_CHECKING:
    from deepdupe_daemon.ledger import ActionRow
    from deepdupe_daemon.service import QuarantineDesk

__all__ = ["quarantine_restore"]

Pairs = Iterable[tuple[bytes, bytes]]


def quarantine_restore(
    ctx: typer.Context,
    ids: Annotated[list[str] | None, typer.Argument(metavar="ID...", help="As `quarantine list` shows them.")] = None,
    path: Annotated[
        list[Path] | None, typer.Option("--path", metavar="PATH", help="By the path that it had. Repeatable.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar="WHEN", help="All that was moved since: 2h, 3d, 2026-03-01, ...")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All that rests in quarantine.")] = False,
    free_name: Annotated[
        bool,
        typer.Option("--free-name", help="Where another file has the name now: beside it, under a free one."),
    ] = False,
    manifest: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="One folder of a quarantine, by its manifest alone: no ledger, no daemon."),
    ] = None,
    config: ConfigFile = None,
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """Bring files back from quarantine, as they were. Nothing is ever overwritten.

    What came back is remembered, and not quarantined again. Exit code 1 where something could not be restored.
    """
    shell: Shell = ctx.obj
    if manifest is not None:
        _by_manifest(shell, manifest, free_name=free_name, as_json=as_json)
        return
    if not (ids or path or since or everything):
        raise ConfigError("found nothing to restore", hint="name ids, --path PATH, --since WHEN or --all")
    from deepdupe_daemon.ledger import Ledger
    from deepdupe_daemon.service import open_quarantine_desk

    found = find_config(config, state_dir, shell.environ)
    since_given = None if since is None else since_ns(since, now_ns=shell.clock.now_ns())
    with Ledger.open(found.state_dir, shell.clock, readonly=True) as ledger:
        rows = chosen_actions(ledger, ids or [], paths=path or [], since_ns=since_given, everything=everything)
    if not rows:
        shell.remark("nothing rests in quarantine")
        return
    with open_quarantine_desk(found, shell.clock, lambda _record: None) as desk:
        restored = [_restore(shell, desk, row, free_name=free_name, as_json=as_json) for row in rows]
    if not all(restored):
        raise typer.Exit(1)


def _restore(shell: Shell, desk: QuarantineDesk, row: ActionRow, *, free_name: bool, as_json: bool) -> bool:
    from deepdupe_daemon.service.protocol import decode_path

    try:
        answer = desk.restore(row.action_id, free_name=free_name)
    except DeepDupeError as refused:
        tell_refusal(shell, row, refused, "not restored", as_json=as_json)
        return False
    pairs = [(decode_path(was), decode_path(now)) for was, now in answer["files"]]
    _tell(shell, row.label, pairs, answer["notes"], as_json=as_json)
    return True


def _by_manifest(shell: Shell, folder: Path, *, free_name: bool, as_json: bool) -> None:
    from deepdupe_daemon.act import Taken, restore_by_manifest

    taken = Taken.FREE_NAME if free_name else Taken.REFUSE
    restored = restore_by_manifest(os.fsencode(os.path.realpath(folder)), taken=taken)
    _tell(shell, None, restored.files, restored.notes, as_json=as_json)


def _tell(shell: Shell, label: str | None, pairs: Pairs, notes: Iterable[str], *, as_json: bool) -> None:
    from deepdupe_daemon.model import display_path

    if as_json:
        files = [{**path_fields("was", was), **path_fields("path", now)} for was, now in pairs]
        shell.json({"action_id": label, "restored": True, "files": files, "notes": list(notes)})
        return
    for was, now in pairs:
        name = f"{label}  " if label else ""
        shell.line(f"{name}restored {display_path(now)}" + (f" (was {display_path(was)})" if was != now else ""))
    for note in notes:
        shell.remark(display_path(note.encode("utf-8", "surrogateescape")))
