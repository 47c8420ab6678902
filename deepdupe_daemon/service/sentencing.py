"""From outcomes to verdicts, with the evidence, told from the keeper to its copy."""

from __future__ import annotations

from collections.abc import Sequence

from deepdupe_daemon.judge import choose_keeper
from deepdupe_daemon.ledger import FileRow
from deepdupe_daemon.model import Comparison, KeeperRule, Verdict, VerdictClass
from deepdupe_daemon.service.grouping import Outcome
from deepdupe_daemon.service.neighbourhood import Neighbourhood

__all__ = ["is_news", "verdict_of"]


def verdict_of(
    outcome: Outcome, around: Neighbourhood, rules: Sequence[KeeperRule], decided_at_ns: int
) -> Verdict | None:
    """The verdict that an outcome amounts to; None where the file stands alone."""
    row, keeper, verdict_class = outcome.row, outcome.keeper, outcome.verdict_class
    if keeper is None or verdict_class is None:
        return None
    assert row.digest is not None, "a living file was read"
    assert keeper.digest is not None, "a living file was read"
    pair = around.pair(keeper, row) if verdict_class is not VerdictClass.IDENTICAL_BYTES else None
    _, _, rule = choose_keeper(around.member(keeper), around.member(row), rules)
    return Verdict(
        verdict_class=verdict_class,
        duplicate=row.key,
        keeper=keeper.key,
        duplicate_digest=row.digest,
        keeper_digest=keeper.digest,
        similarities=pair.evidence.similarities if pair is not None else {},
        comparison=_told_from(keeper, pair.a.image_id, pair.evidence.comparison) if pair is not None else None,
        vetoes=outcome.vetoes,
        keeper_rule=rule,
        decided_at_ns=decided_at_ns,
    )


def is_news(outcome: Outcome, around: Neighbourhood) -> bool:
    """Whether the outcome says other than the current verdict on its file."""
    standing, keeper = around.standing(outcome.row), outcome.keeper
    if keeper is None or standing is None:
        return keeper is not None or standing is not None
    there = (standing.verdict_class, standing.keeper_file_id, standing.keeper_image_id)
    return there != (outcome.verdict_class, keeper.file_id, keeper.image_id)


def _told_from(keeper: FileRow, first_image_id: int | None, comparison: Comparison | None) -> Comparison | None:
    if comparison is None or keeper.image_id == first_image_id:
        return comparison
    return comparison.turned_round()
