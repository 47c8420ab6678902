"""From a verdict to the record that tells of it."""

from __future__ import annotations

import json

from deepdupe_daemon.act.kinds import Kind
from deepdupe_daemon.act.record import FieldValue, Record
from deepdupe_daemon.model import Verdict, VerdictClass, display_path

__all__ = ["alert_record"]


def alert_record(verdict: Verdict, *, verdict_id: str, latency_ms: int | None, action: str = "observed") -> Record:
    """The alert of one verdict.

    `latency_ms`: from the moment the file was noted to the moment of this record. `action`: what was done about it.
    """
    duplicate, keeper = display_path(verdict.duplicate.path), display_path(verdict.keeper.path)
    evidence = _evidence(verdict)
    if verdict.verdict_class is VerdictClass.RELATED or verdict.verdict_class is VerdictClass.SERIES:
        kind, text = Kind.RELATED_FOUND, f"{verdict.verdict_class}: {duplicate} resembles {keeper}"
    else:
        kind, text = Kind.DUPLICATE_FOUND, f"duplicate ({verdict.verdict_class}): {duplicate} is a copy of {keeper}"
    fields: dict[str, FieldValue] = {
        "VERDICT": str(verdict.verdict_class),
        "VERDICT_ID": verdict_id,
        "PATH": verdict.duplicate.path,
        "KEEPER": verdict.keeper.path,
        "DIGEST": verdict.duplicate_digest.hex(),
        "KEEPER_DIGEST": verdict.keeper_digest.hex(),
        "KEEPER_RULE": verdict.keeper_rule,
        "ACTION": action,
    }
    best = max(verdict.similarities.items(), key=lambda item: item[1], default=None)
    if best is not None:
        fields["SPACE"] = best[0]
        fields["SIMILARITY"] = f"{best[1]:.4f}"
        fields["SIMILARITIES"] = json.dumps({k: round(v, 4) for k, v in sorted(verdict.similarities.items())})
    if verdict.comparison is not None:
        fields["VERIFIER"] = f"{verdict.comparison.score:.4f}"
        if verdict.comparison.transform:
            fields["TRANSFORM"] = verdict.comparison.transform
    if verdict.vetoes:
        fields["VETOES"] = ",".join(verdict.vetoes)
    if latency_ms is not None:
        fields["LATENCY_MS"] = latency_ms
    return Record(kind, f"{text} ({evidence}), {action}" if evidence else f"{text}, {action}", fields)


def _evidence(verdict: Verdict) -> str:
    parts = [f"{space} {similarity:.3f}" for space, similarity in sorted(verdict.similarities.items())]
    if verdict.comparison is not None:
        parts.append(f"verifier {verdict.comparison.score:.3f}")
        if verdict.comparison.transform:
            parts.append(verdict.comparison.transform)
    parts += [f"veto: {veto}" for veto in verdict.vetoes]
    return ", ".join(parts)
