"""A verdict as a line for people, and as an object for programs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from deepdupe_daemon.cli.moment import iso_moment
from deepdupe_daemon.cli.path_json import path_fields

if TYPE_CHECKING:
    from deepdupe_daemon.ledger import VerdictRow
    from deepdupe_daemon.model import VerdictClass

__all__ = ["evidence_text", "relation_text", "verdict_json", "verdict_line"]


def verdict_line(row: VerdictRow) -> str:
    """`v42  re-encoded  /new.jpg is a copy of /old.jpg  (pdq.hash 0.984, verifier 0.996)`"""
    from deepdupe_daemon.model import display_path

    verdict = row.verdict
    duplicate = display_path(row.duplicate_now or verdict.duplicate.path)
    keeper = display_path(row.keeper_now or verdict.keeper.path)
    score = verdict.comparison.score if verdict.comparison is not None else None
    transform = verdict.comparison.transform if verdict.comparison is not None else ""
    evidence = evidence_text(verdict.similarities, score, transform, verdict.vetoes)
    text = f"{row.label}  {verdict.verdict_class}  {duplicate} {relation_text(verdict.verdict_class)} {keeper}"
    return f"{text}  ({evidence})" if evidence else text


def relation_text(verdict_class: VerdictClass) -> str:
    """`is a copy of` for what is proven or an edit, `resembles` for the rest."""
    from deepdupe_daemon.model import VerdictClass

    return "resembles" if verdict_class in (VerdictClass.SERIES, VerdictClass.RELATED) else "is a copy of"


def evidence_text(
    similarities: Mapping[str, float], verifier: float | None, transform: str, vetoes: tuple[str, ...]
) -> str:
    """`pdq.hash 0.984, verifier 0.996, mirrored, veto: burst`"""
    parts = [f"{space} {similarity:.3f}" for space, similarity in sorted(similarities.items())]
    parts += [] if verifier is None else [f"verifier {verifier:.3f}"]
    parts += [transform] if transform else []
    return ", ".join([*parts, *(f"veto: {veto}" for veto in vetoes)])


def verdict_json(row: VerdictRow) -> dict[str, Any]:
    """Every field of the verdict. `duplicate` and `keeper` are where the files rest now, or rested last."""
    verdict = row.verdict
    return {
        "verdict_id": row.label,
        "class": str(verdict.verdict_class),
        **path_fields("duplicate", row.duplicate_now or verdict.duplicate.path),
        **path_fields("keeper", row.keeper_now or verdict.keeper.path),
        "duplicate_there": row.duplicate_now is not None,
        "keeper_there": row.keeper_now is not None,
        "duplicate_digest": verdict.duplicate_digest.hex(),
        "keeper_digest": verdict.keeper_digest.hex(),
        "similarities": dict(verdict.similarities),
        "comparison": verdict.comparison.to_dict() if verdict.comparison is not None else None,
        "vetoes": list(verdict.vetoes),
        "keeper_rule": verdict.keeper_rule,
        "decided_at": iso_moment(verdict.decided_at_ns),
        "alerted_at": iso_moment(row.alerted_at_ns) if row.alerted_at_ns is not None else None,
        "current": row.current,
        "closed_reason": row.closed_reason,
    }
