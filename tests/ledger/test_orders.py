"""Orders: the durable queue of what is to be acted on."""

from __future__ import annotations

from deepdupe_daemon.clock import ManualClock
from deepdupe_daemon.ledger import Ledger, OrderState, VerdictRow
from tests.ledger.build import ROOT, add, arrival, verdict

ELSEWHERE = b"/elsewhere"


def judged(ledger: Ledger, names: str = "bcd") -> list[VerdictRow]:
    """Verdicts: each of `names` is a copy of `a`."""
    keeper, *copies = add(ledger, ["a", *names])
    return ledger.record_judged([], [verdict(copy, keeper) for copy in copies])


def states(ledger: Ledger, rows: list[VerdictRow]) -> list[str | None]:
    return [str(order.state) if (order := ledger.order(row.verdict_id)) else None for row in rows]


def due(ledger: Ledger, clock: ManualClock, **how: object) -> list[int]:
    return [order.verdict_id for order in ledger.due_orders(9, now_ns=clock.now_ns(), **how)]  # type: ignore[arg-type]


def test_an_ordered_verdict_is_told_once_the_order_was_tried(ledger: Ledger) -> None:
    b, c, d = judged(ledger)
    assert ledger.place_orders([(b.verdict_id, ROOT), (c.verdict_id, ROOT)]) == 2
    assert ledger.place_orders([(b.verdict_id, ROOT)]) == 0, "once"
    assert [row.verdict_id for row in ledger.unalerted(9)] == [d.verdict_id]
    ledger.settle_order(b.verdict_id, OrderState.QUARANTINED)
    ledger.hold_order(c.verdict_id, "late members", 5)
    assert len(ledger.unalerted(9)) == 3


def test_orders_are_due_in_order_when_their_time_has_come(ledger: Ledger, clock: ManualClock) -> None:
    b, c, d = judged(ledger)
    ledger.place_orders([(row.verdict_id, ROOT) for row in (d, b)])
    ledger.place_orders([(c.verdict_id, ELSEWHERE)])
    assert due(ledger, clock) == [b.verdict_id, c.verdict_id, d.verdict_id]
    assert due(ledger, clock, away=[ELSEWHERE]) == [b.verdict_id, d.verdict_id]
    assert due(ledger, clock, asked_only=True) == []
    assert ledger.next_order_ns() is None
    soon = clock.now_ns() + 10**9
    ledger.settle_order(b.verdict_id, OrderState.HELD, reason="no-space: full", retry_at_ns=soon)
    ledger.settle_order(d.verdict_id, OrderState.QUARANTINED)
    assert due(ledger, clock) == [c.verdict_id]
    assert ledger.next_order_ns() == soon
    assert ledger.open_orders() == 2
    clock.advance(2.0)
    assert due(ledger, clock) == [b.verdict_id, c.verdict_id]
    held = ledger.order(b.verdict_id)
    assert held is not None
    assert (held.attempts, held.reason) == (1, "no-space: full")
    ledger.hold_order(b.verdict_id, "the folder is away", soon)
    assert ledger.order(b.verdict_id) == held.__class__(
        b.verdict_id, ROOT, OrderState.HELD, False, 1, soon, "the folder is away", held.settled_at_ns
    ), "waiting is no try"


def test_only_a_person_asks_again_and_the_breaker_holds_no_person_up(ledger: Ledger, clock: ManualClock) -> None:
    b, c, d = judged(ledger)
    ledger.place_orders([(row.verdict_id, ROOT) for row in (b, c)])
    ledger.settle_order(b.verdict_id, OrderState.REFUSED, reason="hard-linked: two names")
    assert ledger.place_orders([(b.verdict_id, ROOT)]) == 0
    assert ledger.place_orders([(row.verdict_id, ROOT) for row in (b, d)], asked=True) == 2
    assert states(ledger, [b, c, d]) == ["held", "wanted", "wanted"]
    assert ledger.hold_orders("the breaker is open") == 1
    assert ledger.hold_orders("the breaker is open") == 0
    assert states(ledger, [b, c, d]) == ["held", "held", "wanted"]
    assert due(ledger, clock, asked_only=True) == [b.verdict_id, d.verdict_id]
    assert ledger.drop_orders("a person said so") == 3
    assert states(ledger, [b, c, d]) == ["dropped"] * 3


def test_the_breaker_counts_what_no_person_asked_for(ledger: Ledger, clock: ManualClock) -> None:
    b, c, d = judged(ledger)
    ledger.place_orders([(b.verdict_id, ROOT)])
    ledger.place_orders([(c.verdict_id, ELSEWHERE)])
    ledger.place_orders([(d.verdict_id, ROOT)], asked=True)
    before = clock.now_ns()
    for row in (b, c, d):
        ledger.settle_order(row.verdict_id, OrderState.QUARANTINED)
        clock.advance(1.0)
    assert ledger.quarantined_since(before) == 2
    assert ledger.quarantined_since(before, ROOT) == 1
    assert ledger.quarantined_since(before + 1) == 1


def test_a_verdict_that_takes_the_place_of_an_ordered_one_inherits(ledger: Ledger) -> None:
    a, b, better = add(ledger, ["a", "b", "better"])
    [first] = ledger.record_judged([], [verdict(b, a)])
    assert not ledger.inherits_order(first.verdict_id)
    ledger.place_orders([(first.verdict_id, ROOT)])
    [second] = ledger.record_judged([], [verdict(b, better)])
    assert not second.first
    assert ledger.inherits_order(second.verdict_id)
    ledger.hand_on_order(first.verdict_id, second.verdict_id)
    assert states(ledger, [first, second]) == ["dropped", "wanted"]
    ledger.hand_on_order(first.verdict_id, second.verdict_id)
    assert states(ledger, [first, second]) == ["dropped", "wanted"], "once"
    assert not ledger.inherits_order(second.verdict_id)


def test_files_that_were_there_before_and_wait_are_the_backlog(ledger: Ledger) -> None:
    judged(ledger)
    assert ledger.backlog() == 0
    ledger.note_arrivals([arrival("live", 901, live=True), arrival("found", 902)])
    assert ledger.backlog() == 1
