"""The alerting thread: every verdict that nobody was told of yet is told, then marked as told.

One that is to be acted on gets an order first, and its alert once the order was tried, so that the alert says what was
done.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence

from deepdupe_daemon.act import Record, alert_record
from deepdupe_daemon.clock import Clock
from deepdupe_daemon.ledger import Ledger, OrderState, VerdictRow
from deepdupe_daemon.model import VerdictClass
from deepdupe_daemon.service.meters import Meters
from deepdupe_daemon.service.pulse import Pulse

__all__ = ["Alerter"]

BATCH = 100


class Alerter:
    """Owns its ledger connection; `run` is the alerting thread.

    A record is handed over first and marked second: after a crash an alert may come twice, never not at all.
    """

    def __init__(
        self,
        *,
        open_ledger: Callable[[], Ledger],
        emit: Callable[[Record], None],
        classes: Collection[VerdictClass],
        clock: Clock,
        wants: Callable[[Ledger, VerdictRow], bytes | None] = lambda _ledger, _row: None,
        on_orders: Callable[[], None] = lambda: None,
        meters: Meters | None = None,
    ) -> None:
        """`classes`: which verdicts are told; the others are only kept. `wants`: the root out of which the duplicate of
        a verdict is to be quarantined, or None. `on_orders`: there are new orders; called in the alerting thread."""
        self._open_ledger = open_ledger
        self._emit = emit
        self._classes = frozenset(classes)
        self._clock = clock
        self._wants = wants
        self._on_orders = on_orders
        self._meters = meters or Meters()
        self._wake = threading.Event()
        self._stopping = False
        self._told = 0
        self.pulse = Pulse()

    def run(self) -> None:
        """Until `stop`; then what is left is told before it ends."""
        with self._open_ledger() as ledger:
            while True:
                self._wake.clear()
                stopping = self._stopping
                self.tell(ledger)
                if stopping:
                    return
                self.pulse.rest()
                self._wake.wait()
                self.pulse.beat()

    def poke(self) -> None:
        """There are new verdicts. Any thread."""
        self._wake.set()

    def tell_of(self, classes: Collection[VerdictClass]) -> None:
        """From now on these verdicts are told. Any thread."""
        self._classes = frozenset(classes)

    def stop(self) -> None:
        self._stopping = True
        self._wake.set()

    @property
    def told(self) -> int:
        """How many alerts this process has given."""
        return self._told

    def _told_before(self, ledger: Ledger, row: VerdictRow) -> bool:
        """Whether somebody was told already that these bytes are a duplicate at least as surely.

        A group that finds an earlier keeper has new verdicts and no news.
        """
        if row.first:
            return False
        strength = list(VerdictClass)
        return any(
            earlier.verdict_id < row.verdict_id
            and earlier.duplicate_file_id == row.duplicate_file_id
            and earlier.verdict.duplicate_digest == row.verdict.duplicate_digest
            and earlier.alerted_at_ns is not None
            and earlier.verdict.verdict_class in self._classes
            and strength.index(earlier.verdict.verdict_class) <= strength.index(row.verdict.verdict_class)
            for earlier in ledger.verdicts_for(row.verdict.duplicate.path)
        )

    def tell(self, ledger: Ledger) -> None:
        """Everything that can be told now."""
        while rows := ledger.unalerted(BATCH):
            ordered = self._order(ledger, rows)
            told = [row for row in rows if row.verdict_id not in ordered]
            for row in told:
                if row.verdict.verdict_class not in self._classes or self._told_before(ledger, row):
                    continue
                file = ledger.file(row.duplicate_file_id)
                waited_ns = self._clock.now_ns() - file.arrived_at_ns if file is not None else None
                latency_ms = max(0, waited_ns // 1_000_000) if waited_ns is not None else None
                self.pulse.beat()
                if latency_ms is not None:
                    self._meters.took("alert", latency_ms / 1000)
                action = _action_on(ledger, row)
                self._emit(alert_record(row.verdict, verdict_id=row.label, latency_ms=latency_ms, action=action))
                self._told += 1
            ledger.mark_alerted([row.verdict_id for row in told])

    def _order(self, ledger: Ledger, rows: Sequence[VerdictRow]) -> frozenset[int]:
        """Order what is to be acted on and has no order yet; the verdicts whose alert comes later."""
        new = {
            row.verdict_id: root
            for row in rows
            if (root := self._wants(ledger, row)) is not None and ledger.order(row.verdict_id) is None
        }
        if new:
            ledger.place_orders(new.items())
            self._on_orders()
        return frozenset(new)


def _action_on(ledger: Ledger, row: VerdictRow) -> str:
    """What was done about a verdict, in the word of its alert."""
    order = ledger.order(row.verdict_id)
    return "observed" if order is None or order.state is OrderState.DROPPED else str(order.state)
