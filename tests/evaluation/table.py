"""Counts by operation, as text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.evaluation.proving import Judged, found

__all__ = ["Row", "Table", "folded"]

_CLASSES = ("identical-bytes", "identical-pixels", "re-encoded", "edited", "series", "related", "-")
_SHORT = ("bytes", "pixels", "re-enc", "edited", "series", "related", "none")


@dataclass(slots=True)
class Row:
    """What became of the pairs of one operation."""

    verdicts: Counter[str] = field(default_factory=Counter)
    proposed: int = 0
    automatic: int = 0
    found: int = 0
    found_by_pdq: int = 0

    def add(self, outcome: Judged) -> None:
        self.verdicts[outcome.verdict] += 1
        verdict = outcome.ruling.verdict_class
        self.proposed += outcome.proposed
        self.automatic += verdict is not None and verdict.proven
        self.found += found(outcome)
        self.found_by_pdq += found(outcome) and outcome.proposed

    @property
    def count(self) -> int:
        return self.verdicts.total()


class Table:
    """Rows by (group, operation), printed in the order in which they came."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.rows: dict[tuple[str, str], Row] = {}

    def add(self, group: str, op: str, outcome: Judged) -> None:
        self.rows.setdefault((group, op), Row()).add(outcome)

    def total(self, chosen: Callable[[str, str], bool]) -> Row:
        """The sum of the rows whose (group, operation) are chosen."""
        whole = Row()
        for (group, op), row in self.rows.items():
            if chosen(group, op):
                whole.verdicts += row.verdicts
                whole.proposed += row.proposed
                whole.automatic += row.automatic
                whole.found += row.found
                whole.found_by_pdq += row.found_by_pdq
        return whole

    def lines(self) -> list[str]:
        """The table; per group its operations and their sum."""
        head = f"{self.title:42s} {'n':>5s} {'pdq':>6s} " + " ".join(f"{name:>7s}" for name in _SHORT)
        out = [head + f" {'auto':>7s} {'found':>7s}", "-" * (len(head) + 16)]
        for group in dict.fromkeys(group for group, _ in self.rows):
            ops = [op for other, op in self.rows if other == group]
            if len(ops) > 1:
                out += [self._line(f"  {op}", self.rows[group, op]) for op in ops]
            out.append(self._line(group, self.total(lambda other, _, group=group: other == group)))
        return out

    def _line(self, name: str, row: Row) -> str:
        counts = " ".join(f"{row.verdicts[verdict] or '.':>7}" for verdict in _CLASSES)
        shares = " ".join(f"{100 * part / max(1, row.count):6.1f}%" for part in (row.automatic, row.found))
        return f"{name[:42]:42s} {row.count:5d} {100 * row.proposed / max(1, row.count):5.0f}% {counts} {shares}"


def folded(table: Table, op_of: Callable[[str], str]) -> Table:
    """The same counts under coarser operations."""
    out = Table(table.title)
    for (group, op), row in table.rows.items():
        into = out.rows.setdefault((group, op_of(op)), Row())
        into.verdicts += row.verdicts
        for name in ("proposed", "automatic", "found", "found_by_pdq"):
            setattr(into, name, getattr(into, name) + getattr(row, name))
    return out
