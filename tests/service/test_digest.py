"""The daily digest: once a day, after restarts too, with the counts of the ledger."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from deepdupe_daemon.act import Kind
from deepdupe_daemon.clock import ManualClock
from deepdupe_daemon.ledger import Ledger
from deepdupe_daemon.model import VerdictClass
from deepdupe_daemon.service.digest import Digest
from tests.ledger.build import SPACE, arrival_at, seen, verdict

NOON_NS = int(datetime.fromisoformat("2026-03-01T12:00").astimezone().timestamp() * 1e9)
HOUR_S = 3600.0


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(now_ns=NOON_NS)


@pytest.fixture
def ledger(tmp_path: Path, clock: ManualClock) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "s", clock) as opened:
        opened.ensure_space(SPACE)
        yield opened


def made(ledger: Ledger, clock: ManualClock) -> Digest:
    return Digest(lambda question: question(ledger), clock)


def test_it_comes_once_a_day_after_midnight(ledger: Ledger, clock: ManualClock) -> None:
    digest = made(ledger, clock)
    told_at = []
    for _ in range(24 * 3):
        if digest.due() is not None:
            told_at.append((clock.now_ns() - NOON_NS) / 3.6e12)
        clock.advance(HOUR_S)
    assert [round(hours) for hours in told_at] == [12, 36, 60]


def test_a_restart_neither_repeats_nor_forgets_it(ledger: Ledger, clock: ManualClock) -> None:
    assert made(ledger, clock).due() is None
    clock.advance(13 * HOUR_S)
    assert made(ledger, clock).due() is not None
    assert made(ledger, clock).due() is None
    clock.advance(80 * HOUR_S)
    late = made(ledger, clock).due()
    assert late is not None
    assert "since 2026-03-02 01:00" in late.message


def test_it_counts_what_happened_since_the_last_one(ledger: Ledger, clock: ManualClock, tmp_path: Path) -> None:
    digest = made(ledger, clock)
    assert digest.due() is None
    root = tmp_path / "photos"
    root.mkdir()
    names = ("a", "b", "c", "broken")
    for name in names:
        (root / name).write_text(name)
    clock.advance(HOUR_S)
    ledger.note_arrivals([arrival_at(str(root / name), root) for name in names])
    a, b, c, broken = (ledger.file_by_path(bytes(root / name)) for name in names)
    assert a is not None
    assert b is not None
    assert c is not None
    assert broken is not None
    ledger.record_seen([seen(a, "a"), seen(b, "b"), seen(c, "c")])
    a, b, c = (row for name in names[:3] if (row := ledger.file_by_path(bytes(root / name))))
    ledger.record_judged([a.file_id, b.file_id, c.file_id], [])
    at_ns = clock.now_ns()
    ledger.record_judged(
        [], [verdict(b, a, VerdictClass.RE_ENCODED, at_ns=at_ns), verdict(c, a, VerdictClass.EDITED, at_ns=at_ns)]
    )
    ledger.record_failed(broken.file_id, broken.key, "truncated", "it ends", None)
    clock.advance(12 * HOUR_S)
    record = digest.due()
    assert record is not None
    assert record.kind is Kind.DIGEST
    assert record.message == (
        "since 2026-03-01 12:00: 4 files, 3 different pictures; 2 verdicts (1 edited, 1 re-encoded); "
        "1 could not be read"
    )
    assert record.fields["CLASS_RE_ENCODED"] == 1
    clock.advance(24 * HOUR_S)
    quiet = digest.due()
    assert quiet is not None
    assert "0 files, 0 different pictures; no duplicates" in quiet.message
