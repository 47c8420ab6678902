"""Whether a verdict is to be acted on: what the configuration wants, and what is older than that wish. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deepdupe_daemon.config import RootConfig
    from deepdupe_daemon.ledger import FileRow, VerdictRow


__all__ = ["Switch", "wanted"]


@dataclass(frozen=True, slots=True)
class Switch:
    """When a root was switched to quarantine. `walked_at_ns`: the end of its first whole walk since, None before.

    What that walk found was there before the switch; only what arrived under our eyes, or was noted after it, is new.
    """

    since_ns: int
    walked_at_ns: int | None = None


def wanted(row: VerdictRow, duplicate: FileRow, root: RootConfig, switch: Switch | None, *, inherits: bool) -> bool:
    """Whether the duplicate of `row`, which rests in `root`, is to be quarantined without a person's word.

    `inherits`: the verdict took the place of one that was to be acted on.
    """
    if root.action != "quarantine" or switch is None or not row.living:
        return False
    if row.verdict.verdict_class not in root.quarantine_classes:
        return False
    if inherits:
        return True
    if duplicate.live:
        new = duplicate.arrived_at_ns >= switch.since_ns
    else:
        new = switch.walked_at_ns is not None and duplicate.arrived_at_ns >= switch.walked_at_ns
    return row.first and new
