"""How a verdict rests in its row."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from deepdupe_daemon.ledger.rows import VerdictRow
from deepdupe_daemon.model import Comparison, FileIdentity, FileKey, Verdict, VerdictClass

__all__ = ["VERDICTS", "verdict_columns", "verdict_row"]

#: `d` and `k` are the two files where they rest with the bytes that were judged, else NULL
VERDICTS = (
    "SELECT v.verdict_id, v.class, v.duplicate_path, v.duplicate_key, v.keeper_path, v.keeper_key, v.duplicate_digest,"
    " v.keeper_digest, v.similarities, v.comparison, v.vetoes, v.keeper_rule, v.decided_at_ns, v.duplicate_file_id,"
    " v.keeper_file_id, v.first, v.alerted_at_ns, v.superseded_by, v.closed_at_ns, v.closed_reason, d.path, k.path"
    " FROM verdicts v"
    " LEFT JOIN files d ON d.file_id = v.duplicate_file_id AND d.image_id = v.duplicate_image_id"
    "  AND d.state IN ('seen', 'indexed')"
    " LEFT JOIN files k ON k.file_id = v.keeper_file_id AND k.image_id = v.keeper_image_id"
    "  AND k.state IN ('seen', 'indexed')"
)


def verdict_columns(verdict: Verdict) -> dict[str, object]:
    """The columns that the verdict itself fills."""
    comparison = verdict.comparison
    return {
        "class": str(verdict.verdict_class),
        "duplicate_path": verdict.duplicate.path,
        "duplicate_key": _identity_json(verdict.duplicate.identity),
        "duplicate_digest": verdict.duplicate_digest,
        "keeper_path": verdict.keeper.path,
        "keeper_key": _identity_json(verdict.keeper.identity),
        "keeper_digest": verdict.keeper_digest,
        "similarities": json.dumps(dict(verdict.similarities), sort_keys=True),
        "comparison": json.dumps(comparison.to_dict(), sort_keys=True) if comparison is not None else None,
        "vetoes": json.dumps(list(verdict.vetoes)),
        "keeper_rule": verdict.keeper_rule,
        "decided_at_ns": verdict.decided_at_ns,
    }


def verdict_row(row: tuple[Any, ...]) -> VerdictRow:
    """The row that `VERDICTS` selects."""
    verdict = Verdict(
        verdict_class=VerdictClass(row[1]),
        duplicate=FileKey(row[2], FileIdentity(**json.loads(row[3]))),
        keeper=FileKey(row[4], FileIdentity(**json.loads(row[5]))),
        duplicate_digest=row[6],
        keeper_digest=row[7],
        similarities=json.loads(row[8]),
        comparison=Comparison.from_dict(json.loads(row[9])) if row[9] is not None else None,
        vetoes=tuple(json.loads(row[10])),
        keeper_rule=row[11],
        decided_at_ns=row[12],
    )
    return VerdictRow(
        verdict_id=row[0],
        verdict=verdict,
        duplicate_file_id=row[13],
        keeper_file_id=row[14],
        first=bool(row[15]),
        alerted_at_ns=row[16],
        superseded_by=row[17],
        closed_at_ns=row[18],
        closed_reason=row[19],
        duplicate_now=row[20],
        keeper_now=row[21],
    )


def _identity_json(identity: FileIdentity) -> str:
    return json.dumps(asdict(identity))
