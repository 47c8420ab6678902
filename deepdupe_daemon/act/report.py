"""Records about the service itself: notices of the rooms, failed files, readiness."""

from __future__ import annotations

from deepdupe_daemon.act.kinds import Kind, Priority
from deepdupe_daemon.act.record import FieldValue, Record
from deepdupe_daemon.model import display_path, display_text

__all__ = ["failure_record", "notice_record"]


def notice_record(
    kind: str | Kind, text: str, *, path: bytes | None = None, priority: Priority | None = None, **fields: FieldValue
) -> Record:
    """A notice of kind `kind` (a slug of `Kind`, or the kind). `text` may hold anything: it is made printable here."""
    extra: dict[str, FieldValue] = {name.upper(): value for name, value in fields.items()}
    if path is not None:
        extra["PATH"] = path
    resolved = kind if isinstance(kind, Kind) else Kind.from_slug(kind)
    if isinstance(kind, str) and resolved.slug != kind:
        extra["NOTICE"] = kind  # a kind without a MESSAGE_ID of its own can still be told from others
    return Record(resolved, _one_line(text), extra, priority)


def failure_record(path: bytes, *, failure: str, reason: str, retry: bool) -> Record:
    """That a file could not be seen: `failure` is the stable slug, `reason` the sentence."""
    later = "; will be tried again" if retry else ""
    text = f"could not be read as an image ({failure}): {display_path(path)}: {reason}{later}"
    return Record(Kind.FILE_FAILED, _one_line(text), {"PATH": path, "FAILURE": failure, "REASON": reason})


def _one_line(text: str) -> str:
    return display_text(" ".join(text.split()))
