"""An action of the quarantine as a line for people, and as an object for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deepdupe_daemon.cli.moment import iso_moment, local_moment
from deepdupe_daemon.cli.path_json import path_fields

if TYPE_CHECKING:
    from deepdupe_daemon.cli.shell import Shell
    from deepdupe_daemon.errors import DeepDupeError
    from deepdupe_daemon.ledger import ActionFile, ActionRow

__all__ = ["action_json", "action_line", "tell_refusal"]


def action_line(row: ActionRow) -> str:
    """`q42  2026-03-01 14:02:11  identical-bytes  /new.jpg and 1 more, a copy of /old.jpg`"""
    from deepdupe_daemon.ledger import ActionState
    from deepdupe_daemon.model import display_path

    more = len(row.intent.files) - 1
    files = f"{display_path(row.first.file.path)}{f' and {more} more' if more else ''}"
    keeper = f", a copy of {display_path(row.first.keeper.path)}" if row.first.keeper is not None else ""
    at = local_moment(row.intended_at_ns if row.moved_at_ns is None else row.moved_at_ns)
    text = f"{row.label}  {at}  {row.intent.verdict_class}  {files}{keeper}"
    if row.state is ActionState.QUARANTINED:
        return text
    why = f": {display_path(row.reason.encode())}" if row.reason else ""
    return f"{text}  ({row.state}{why})"


def action_json(row: ActionRow) -> dict[str, Any]:
    """Every field of the action. `path` and `keeper` are those of the file that was judged, `files` has them all."""
    return {
        "action_id": row.label,
        "state": str(row.state),
        "class": str(row.intent.verdict_class),
        "verdict_id": f"v{row.intent.verdict_id}",
        **path_fields("path", row.first.file.path),
        **(path_fields("keeper", row.first.keeper.path) if row.first.keeper is not None else {}),
        **path_fields("root", row.first.file.root),
        **path_fields("folder", row.intent.place + b"/" + row.intent.token.encode()),
        "files": [_file_json(each) for each in row.intent.files],
        "evidence": dict(row.intent.evidence),
        "intended_at": iso_moment(row.intended_at_ns),
        "moved_at": iso_moment(row.moved_at_ns) if row.moved_at_ns is not None else None,
        "changed_at": iso_moment(row.changed_at_ns),
        "kind": row.kind,
        "reason": row.reason,
    }


def tell_refusal(shell: Shell, row: ActionRow, refused: DeepDupeError, what: str, *, as_json: bool) -> None:
    """That something was not done about an action, and why: beside the result, or as its object."""
    from deepdupe_daemon.model import display_path

    path = row.first.file.path
    if as_json:
        shell.json({"action_id": row.label, "done": False, **path_fields("path", path), "reason": refused.what})
        return
    why = f"{refused.what} ({refused.hint})" if refused.hint else refused.what
    shell.remark(f"{row.label}  {what}: {display_path(path)}: {display_path(why.encode('utf-8', 'surrogateescape'))}")


def _file_json(member: ActionFile) -> dict[str, Any]:
    return {
        **path_fields("path", member.file.path),
        **path_fields("stored", member.stored),
        **(path_fields("target", member.target) if member.target is not None else {}),
        **(path_fields("keeper", member.keeper.path) if member.keeper is not None else {}),
        "digest": member.file.digest.hex(),
        "size": member.file.identity.size,
    }
