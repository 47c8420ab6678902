"""What is said of quarantine: moved, not moved, brought back, deleted, stopped by the breaker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepdupe_daemon.act.breaker import BreakerState
from deepdupe_daemon.act.kinds import Kind, Priority
from deepdupe_daemon.act.record import FieldValue, Record
from deepdupe_daemon.errors import ActionRefused, DeepDupeError
from deepdupe_daemon.model import display_path, display_text

if TYPE_CHECKING:
    from deepdupe_daemon.ledger import ActionRow, VerdictRow

__all__ = [
    "breaker_record",
    "postponed_record",
    "purged_record",
    "quarantine_failed_record",
    "quarantined_record",
    "restored_record",
]

#: refusals that tell of a file which somebody changed or took in time, and of nothing that is wrong
_ORDINARY = frozenset({"gone", "changed", "marked", "restored-before", "is-keeper", "same-file"})


def quarantined_record(row: ActionRow) -> Record:
    """That the files of an action rest in quarantine now."""
    keeper = row.first.keeper
    of = f"a copy ({row.intent.verdict_class}) of {display_path(keeper.path)}" if keeper is not None else "a copy"
    text = f"quarantined {row.label}: {_named(row)}, {of}; `deepdupe-daemon quarantine restore {row.label}` undoes it"
    return Record(Kind.QUARANTINED, text, _fields(row, "quarantined"))


def quarantine_failed_record(row: VerdictRow, error: DeepDupeError, *, again: bool) -> Record:
    """That the duplicate of a verdict was not quarantined. `again`: it will be tried later."""
    path, keeper = row.duplicate_now or row.verdict.duplicate.path, row.keeper_now or row.verdict.keeper.path
    failure = error.kind if isinstance(error, ActionRefused) else "unfinished"
    later = "; will be tried again" if again else ""
    reason = display_text(str(error))
    fields: dict[str, FieldValue] = {
        "PATH": path,
        "KEEPER": keeper,
        "VERDICT": str(row.verdict.verdict_class),
        "VERDICT_ID": row.label,
        "ACTION": "held" if again else "refused",
        "FAILURE": failure,
        "REASON": reason,
    }
    text = f"not quarantined ({failure}): {display_path(path)}: {reason}{later}"
    priority = Priority.INFO if failure in _ORDINARY else None
    return Record(Kind.QUARANTINE_FAILED, text, fields, priority)


def postponed_record(row: ActionRow, reason: str) -> Record:
    """That what a stop cut off can be neither finished nor undone just now."""
    text = f"{row.label} is {row.state} and waits: {_named(row)}: {reason}; it is tried again"
    fields = _fields(row, "held") | {"FAILURE": "postponed", "REASON": reason}
    return Record(Kind.QUARANTINE_FAILED, _printable(text), fields)


def restored_record(row: ActionRow, files: tuple[tuple[bytes, bytes], ...], notes: tuple[str, ...]) -> Record:
    """That the files of an action are back. `files`: (original path, where it is now)."""
    renamed = [f"{display_path(was)} is {display_path(now)} now" for was, now in files if was != now]
    remarks = "; ".join([*renamed, *notes])
    text = f"restored {row.label}: {_named(row)}" + (f" ({remarks})" if remarks else "")
    fields = _fields(row, "restored")
    if files:
        fields["PATH"] = files[0][1]
    return Record(Kind.RESTORED, _printable(text), fields)


def purged_record(row: ActionRow, *, freed_bytes: int) -> Record:
    """That the files of an action were deleted for good."""
    text = f"purged {row.label}: {_named(row)} was deleted for good, {freed_bytes:,} bytes"
    return Record(Kind.PURGED, text, _fields(row, "purged") | {"FREED_BYTES": freed_bytes})


def breaker_record(state: BreakerState, *, waiting: int) -> Record:
    """That quarantining has stopped until a person resumes it."""
    text = (
        f"quarantining has stopped: {state.reason}; next would have been {state.about}; {waiting:,} wait; look at"
        " `deepdupe-daemon quarantine list` and `... list --waiting`, then `deepdupe-daemon quarantine resume`"
    )
    return Record(
        Kind.BREAKER_OPEN, _printable(text), {"REASON": state.reason, "ABOUT": state.about, "WAITING": waiting}
    )


def _named(row: ActionRow) -> str:
    more = len(row.intent.files) - 1
    files = f" and {more} more file{'s' if more > 1 else ''} that belong{'' if more > 1 else 's'} to it" if more else ""
    return f"{display_path(row.first.file.path)}{files}"


def _fields(row: ActionRow, action: str) -> dict[str, FieldValue]:
    fields: dict[str, FieldValue] = {
        "ACTION": action,
        "ACTION_ID": row.label,
        "VERDICT": str(row.intent.verdict_class),
        "VERDICT_ID": f"v{row.intent.verdict_id}",
        "PATH": row.first.file.path,
        "DIGEST": row.first.file.digest.hex(),
        "QUARANTINE": row.intent.place + b"/" + row.intent.token.encode(),
        "FILES": len(row.intent.files),
    }
    if row.first.keeper is not None:
        fields["KEEPER"] = row.first.keeper.path
        fields["KEEPER_DIGEST"] = row.first.keeper.digest.hex()
    return fields


def _printable(text: str) -> str:
    return display_text(" ".join(text.split()))
