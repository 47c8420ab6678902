"""Verdicts as a table, as CSV and as bare paths."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from deepdupe_daemon.cli.moment import iso_moment
from deepdupe_daemon.cli.path_json import path_fields

if TYPE_CHECKING:
    from deepdupe_daemon.ledger import VerdictRow

__all__ = ["csv_lines", "table_lines"]

_TITLES = ("id", "verdict", "change", "likeness", "verifier", "duplicate", "keeper")
#: one path of 255 letters must not push the next column off every screen
_WIDEST = 60
_CSV = (
    *("verdict_id", "class", "transform", "space", "similarity", "verifier", "vetoes", "keeper_rule"),
    *("decided_at", "duplicate", "duplicate_b64", "keeper", "keeper_b64"),
)


def table_lines(rows: Iterable[VerdictRow]) -> Iterator[str]:
    """Columns as wide as what stands in them, within reason, the paths last. Holds all rows."""
    cells = [_TITLES, *(_cells(row) for row in rows)]
    wide = [min(_WIDEST, max(len(row[column]) for row in cells)) for column in range(len(_TITLES) - 1)]
    for row in cells:
        yield "  ".join([f"{cell:<{width}}" for cell, width in zip(row, wide, strict=False)] + [row[-1]]).rstrip()


def csv_lines(rows: Iterable[VerdictRow]) -> Iterator[str]:
    """RFC 4180 but for the line ends, which are those of this system; the first line names the columns."""
    yield ",".join(_CSV)
    for row in rows:
        verdict = row.verdict
        best = _best(row)
        paths = {
            **path_fields("duplicate", row.duplicate_now or verdict.duplicate.path),
            **path_fields("keeper", row.keeper_now or verdict.keeper.path),
        }
        comparison = verdict.comparison
        yield _csv_line(
            [
                row.label,
                str(verdict.verdict_class),
                comparison.transform if comparison is not None else "",
                best[0],
                f"{best[1]:.4f}" if best[0] else "",
                f"{comparison.score:.4f}" if comparison is not None else "",
                " ".join(verdict.vetoes),
                verdict.keeper_rule,
                iso_moment(verdict.decided_at_ns),
                *(paths.get(name, "") for name in _CSV[-4:]),
            ]
        )


def _cells(row: VerdictRow) -> Sequence[str]:
    from deepdupe_daemon.model import display_path

    verdict, comparison = row.verdict, row.verdict.comparison
    best = _best(row)
    return (
        row.label,
        str(verdict.verdict_class),
        comparison.transform if comparison is not None else "",
        f"{best[1]:.3f}" if best[0] else "",
        f"{comparison.score:.3f}" if comparison is not None else "",
        display_path(row.duplicate_now or verdict.duplicate.path),
        display_path(row.keeper_now or verdict.keeper.path),
    )


def _best(row: VerdictRow) -> tuple[str, float]:
    """The space that finds the two most alike."""
    return max(row.verdict.similarities.items(), key=lambda item: item[1], default=("", 0.0))


def _csv_line(cells: Sequence[str]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="").writerow(cells)
    return out.getvalue()
