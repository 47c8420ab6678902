"""From verdicts to an intent: who moves, who stays, on what evidence. Looks only."""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from deepdupe_daemon.act.held import digest_of, hold
from deepdupe_daemon.act.place import is_quarantine
from deepdupe_daemon.act.refusal import explained
from deepdupe_daemon.errors import ActionRefused
from deepdupe_daemon.ledger import ActionFile, FileRow, Intent, Ledger, Party, VerdictRow
from deepdupe_daemon.model import FileState, Verdict, VerdictClass, display_path

__all__ = ["plan_action"]

_LIVING = (FileState.SEEN, FileState.INDEXED)
#: these never move anything, whatever is configured: nothing is proven
_UNPROVEN = (VerdictClass.SERIES, VerdictClass.RELATED)
#: longest extension that a stored file keeps, so that a person sees what it is
_EXTENSION_BYTES = 8


def plan_action(
    ledger: Ledger, verdicts: Sequence[VerdictRow], *, place: bytes, companions: Sequence[bytes], now_ns: int
) -> Intent:
    """The intent of moving the duplicates of `verdicts`, and `companions` with them. Raises ActionRefused."""
    files = []
    for verdict in verdicts:
        where = display_path(verdict.verdict.duplicate.path)
        if verdict.verdict.verdict_class in _UNPROVEN:
            raise ActionRefused(f"{verdict.verdict.verdict_class} proves no copy", kind="not-proven", where=where)
        duplicate = _party(ledger.file(verdict.duplicate_file_id), verdict.verdict.duplicate_digest)
        keeper = _party(ledger.file(verdict.keeper_file_id), verdict.verdict.keeper_digest)
        if duplicate is None or not verdict.current:
            raise ActionRefused("it is no longer what was judged", kind="changed", where=where)
        if keeper is None:
            raise ActionRefused("the copy to keep is no longer what was judged", kind="keeper-changed", where=where)
        files.append((duplicate, keeper))
    root = files[0][0].root
    members: list[tuple[Party, Party | None]] = [*files, *((_companion(path, root), None) for path in companions)]
    for member, _ in members:
        if is_quarantine(member.path, [place]):
            raise ActionRefused("it lies in quarantine", kind="in-quarantine", where=display_path(member.path))
    return Intent(
        token=_token(now_ns),
        verdict_id=verdicts[0].verdict_id,
        verdict_class=verdicts[0].verdict.verdict_class,
        evidence={"verdicts": [{"verdict": one.label, **_evidence(one.verdict)} for one in verdicts]},
        place=place,
        files=tuple(
            ActionFile(file, keeper, b"%d" % position + _extension(file.path))
            for position, (file, keeper) in enumerate(members)
        ),
    )


def _party(row: FileRow | None, digest: bytes) -> Party | None:
    """The file where it rests now, as long as it holds what was judged."""
    if row is None or row.state not in _LIVING or row.digest != digest:
        return None
    return Party(row.key.path, row.root, row.key.identity, digest)


def _companion(path: bytes, root: bytes) -> Party:
    with explained(path), hold(path, root) as held:
        return Party(path, root, held.identity, digest_of(held.fd))


def _token(now_ns: int) -> str:
    """Sorts by time, and is nobody else's: two daemons may share a quarantine folder."""
    moment = datetime.fromtimestamp(now_ns / 1e9, UTC)
    return f"{moment:%Y%m%d-%H%M%S}-{secrets.token_hex(8)}"


def _extension(path: bytes) -> bytes:
    extension = os.path.splitext(path)[1].lower()
    return extension if len(extension) <= _EXTENSION_BYTES and extension[1:].isalnum() and extension.isascii() else b""


def _evidence(verdict: Verdict) -> dict[str, Any]:
    return {
        "class": str(verdict.verdict_class),
        "similarities": dict(verdict.similarities),
        "comparison": verdict.comparison.to_dict() if verdict.comparison is not None else None,
        "vetoes": list(verdict.vetoes),
        "keeper_rule": verdict.keeper_rule,
        "decided_at_ns": verdict.decided_at_ns,
    }
