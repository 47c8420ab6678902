"""From the ledger to groups. Reads only."""

from __future__ import annotations

import os
from collections.abc import Collection

from deepdupe_daemon.ledger import ActionRow, ActionState, Ledger, VerdictRow
from deepdupe_daemon.model import FileKey, VerdictClass
from deepdupe_daemon.page.group import Group, Shown, ShownCopy

__all__ = ["gathered"]

_SAID = {
    ActionState.INTENDED: "being quarantined",
    ActionState.QUARANTINED: "quarantined",
    ActionState.ABANDONED: "observed",
    ActionState.RESTORING: "being restored",
    ActionState.RESTORED: "restored",
    ActionState.PURGING: "being removed",
    ActionState.PURGED: "removed",
}


def gathered(
    ledger: Ledger, *, classes: Collection[VerdictClass] | None = None, since_ns: int | None = None
) -> list[Group]:
    """The groups whose keeper is there and whose copies are there or in quarantine, the newest copy first."""
    copies: dict[int, list[tuple[VerdictRow, ShownCopy]]] = {}
    for row in ledger.duplicates(classes=classes, since_ns=since_ns, living_only=False):
        action = ledger.action_on(row.verdict_id)
        held = _held(row, action)
        if row.keeper_now is None or held is None:
            continue
        copies.setdefault(row.keeper_file_id, []).append((row, _copy(ledger, row, held, action)))
    found = []
    for rows in copies.values():
        first = rows[0][0]
        assert first.keeper_now is not None
        keeper = _shown(ledger, first.verdict.keeper, first.keeper_now, first.keeper_now, first.verdict.keeper_digest)
        newest_first = sorted(rows, key=lambda row: -row[0].verdict_id)
        found.append((newest_first[0][0].verdict_id, Group(keeper, tuple(copy for _, copy in newest_first))))
    return [group for _, group in sorted(found, key=lambda each: -each[0])]


def _held(row: VerdictRow, action: ActionRow | None) -> bytes | None:
    """Where the copy's bytes lie; None where they are gone."""
    if action is not None and action.state is ActionState.QUARANTINED:
        return os.path.join(action.intent.place, os.fsencode(action.intent.token), action.first.stored)
    return row.duplicate_now


def _copy(ledger: Ledger, row: VerdictRow, held: bytes, action: ActionRow | None) -> ShownCopy:
    verdict = row.verdict
    path = row.duplicate_now or verdict.duplicate.path
    return ShownCopy(
        file=_shown(ledger, verdict.duplicate, path, held, verdict.duplicate_digest),
        label=row.label,
        verdict_class=verdict.verdict_class,
        comparison=verdict.comparison,
        similarities=verdict.similarities,
        vetoes=verdict.vetoes,
        keeper_rule=verdict.keeper_rule,
        decided_at_ns=verdict.decided_at_ns,
        action=_SAID[action.state] if action is not None else "observed",
        action_id=action.action_id if action is not None else None,
    )


def _shown(ledger: Ledger, key: FileKey, path: bytes, held: bytes, digest: bytes) -> Shown:
    image = ledger.image_by_digest(digest)
    facts = image.facts if image is not None else None
    return Shown(path=path, held=held, digest=digest, size=key.identity.size, facts=facts)
