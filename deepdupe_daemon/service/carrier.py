"""Orders carried out, one after another: breaker asked, bundle gathered, files moved, and what came of it told."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from itertools import islice

from deepdupe_daemon.act import (
    BreakerState,
    Outcome,
    Purged,
    Quarantine,
    Record,
    Restored,
    Taken,
    breaker_record,
    postponed_record,
    purged_record,
    quarantine_failed_record,
    quarantine_folder,
    quarantined_record,
    restored_record,
)
from deepdupe_daemon.clock import Clock
from deepdupe_daemon.config import ACTIONABLE, Config, RootConfig
from deepdupe_daemon.errors import ActionRefused, ActionUnfinished, DeepDupeError
from deepdupe_daemon.ledger import ActionRow, ActionState, Ledger, Order, OrderState, VerdictRow
from deepdupe_daemon.model import display_path
from deepdupe_daemon.service.breaker import Breaker
from deepdupe_daemon.service.bundling import Unit, unit_of

__all__ = ["Carrier"]

#: orders of one round; between rounds people's questions are answered
BATCH = 50

#: seconds before each further try of what a retry can help (no space, a busy file, an I/O error)
RETRIES_S = (10, 60, 600, 3600, 6 * 3600)

#: seconds between looks at whether the files that were there before have been judged
BACKLOG_S = 1.0

#: seconds until a folder that is away is tried again; it is not counted as a try
AWAY_S = 60


class Carrier:
    """Works on one ledger connection, in the thread that owns it: the carrying thread, or a command where none runs."""

    def __init__(
        self,
        config: Config,
        ledger: Ledger,
        clock: Clock,
        emit: Callable[[Record], None],
        *,
        away: Callable[[], Collection[bytes]] = tuple,
    ) -> None:
        """`away`: the roots that cannot be reached just now; their orders wait."""
        self.ledger = ledger
        self.quarantine = Quarantine(ledger, clock)
        self.breaker = Breaker(ledger, config.quarantine.breaker, clock)
        self.config = config
        self._clock = clock
        self._emit = emit
        self._away = away
        self._postponed: set[int] = set()  # actions of which was told that they are left open
        self._roots = {root.path_bytes: root for root in config.roots}

    def place_of(self, root: bytes) -> bytes:
        """The quarantine folder for files of `root`."""
        folder = self.config.quarantine.folder
        return quarantine_folder(root) if folder is None else os.fsencode(folder)

    def carry_out(self, going_on: Callable[[], bool] = lambda: True) -> int:
        """One round: up to BATCH orders that are due, as long as `going_on`; says how many came to something."""
        held = self._held()
        if held is not None:
            self.ledger.hold_orders(held)
        away = sorted(self._away())
        due = self.ledger.due_orders(BATCH, now_ns=self._clock.now_ns(), away=away, asked_only=held is not None)
        settled = 0
        for order in due:
            if not going_on() or not self._one(order):
                break
            settled += 1
        self.tell()
        return settled

    def recover(self) -> None:
        """Finish or undo what a stop cut off. At start, and from time to time while something is left open."""
        for found in self.quarantine.recover():
            self._settle_as_done(found.action)
            if found.outcome is Outcome.POSTPONED and found.action.action_id not in self._postponed:
                self._postponed.add(found.action.action_id)
                self._emit(postponed_record(found.action, found.reason))
        self.tell()

    def look_after(self) -> None:
        """What is due without an order: actions left open, and what is past its retention."""
        self.recover()
        days = self.config.quarantine.retention_days
        if days is not None:
            before_ns = self._clock.now_ns() - round(days * 86_400e9)
            old = self.ledger.actions(states={ActionState.QUARANTINED}, before_ns=before_ns)
            for row in list(islice(old, BATCH)):
                self.purge(row.action_id)

    def next_due_s(self) -> float:
        """Seconds until the next order is due whose moment is known; a day where none is."""
        if self.ledger.backlog() and self.ledger.open_orders():
            return BACKLOG_S
        at_ns = self.ledger.next_order_ns()
        return 86_400.0 if at_ns is None else max(0.1, (at_ns - self._clock.now_ns()) / 1e9)

    def restore(self, action_id: int, *, taken: Taken) -> Restored:
        """Bring the files of an action back, and tell it. Raises ActionRefused."""
        restored = self.quarantine.restore(action_id, taken=taken)
        if restored.action is not None:
            self._emit(restored_record(restored.action, restored.files, restored.notes))
            self.ledger.mark_told([action_id])
        return restored

    def purge(self, action_id: int) -> Purged:
        """Delete the files of an action for good, and tell it. Raises ActionRefused."""
        purged = self.quarantine.purge(action_id)
        self._emit(purged_record(purged.action, freed_bytes=purged.freed_bytes))
        return purged

    def resume(self, *, discard: bool) -> tuple[BreakerState, int]:
        """Close the breaker and count anew; gives its state before, and how many orders were waiting. They are carried
        out now, or dropped with `discard`."""
        waiting = self.ledger.drop_orders("discarded by a person") if discard else self.ledger.open_orders()
        return self.breaker.resume(), waiting

    def carry_now(self, verdict_ids: Sequence[int]) -> list[Order]:
        """What a person asks for: carried out at once, whatever the breaker says and however old it is."""
        rows = [row for row in map(self.ledger.verdict, verdict_ids) if row is not None]
        files = [(row, self.ledger.file(row.duplicate_file_id)) for row in rows]
        self.ledger.place_orders([(row.verdict_id, file.root) for row, file in files if file is not None], asked=True)
        for row in rows:
            order = self.ledger.order(row.verdict_id)
            if order is not None and order.state.open:
                self._one(order)
        self.tell()
        return [order for row in rows if (order := self.ledger.order(row.verdict_id)) is not None]

    def tell(self) -> None:
        """Every move that nobody was told of yet. After a crash one may be told twice, never not at all."""
        while rows := self.ledger.untold_actions(BATCH):
            for row in rows:
                if row.state is ActionState.RESTORED:
                    self._emit(restored_record(row, tuple((f.file.path, f.file.path) for f in row.intent.files), ()))
                else:
                    self._emit(quarantined_record(row))
            self.ledger.mark_told([row.action_id for row in rows])

    def _held(self) -> str | None:
        """Why nothing is done just now without a person's word; None where nothing speaks against it."""
        if self.breaker.state.is_open:
            return "the breaker is open"
        if self.ledger.backlog():
            return "files that were there before are still being looked at"
        return None

    def _one(self, order: Order) -> bool:
        """False where the breaker opened, and the order waits with all others."""
        row = self.ledger.verdict(order.verdict_id)
        root = self._roots.get(order.root)
        earlier = self.ledger.action_on(order.verdict_id)
        if earlier is not None and earlier.state is ActionState.QUARANTINED:
            self._settle_as_done(earlier)  # a stop came between the move and this note of it
        elif row is not None and row.superseded_by is not None:
            self.ledger.hand_on_order(order.verdict_id, row.superseded_by)
        elif row is None or not row.current or not row.living:
            self._drop(order, "the verdict no longer stands")
        elif root is None or root.action != "quarantine":
            self._drop(order, "the folder is no longer one that is quarantined from")
        elif not order.asked and row.verdict.verdict_class not in root.quarantine_classes:
            self._drop(order, f"{row.verdict.verdict_class} is no longer quarantined there")
        elif not order.asked and (reason := self.breaker.would_trip(order.root)) is not None:
            self._open_breaker(reason, row)
            return False
        else:
            self._carry(order, row, root)
        return True

    def _carry(self, order: Order, row: VerdictRow, root: RootConfig) -> None:
        unit = self._unit(order, row, root)
        if unit.held and unit.again_at_ns is not None:
            self.ledger.hold_order(order.verdict_id, unit.held, unit.again_at_ns)
            return
        if unit.held:
            where = display_path(row.duplicate_now or row.verdict.duplicate.path)
            self._failed(order, row, ActionRefused(unit.held, kind="bundle", retry=True, where=where))
            return
        try:
            intent = self.quarantine.plan(unit.verdicts, place=self.place_of(order.root), companions=unit.companions)
            self.quarantine.carry_out(intent)
        except (ActionRefused, ActionUnfinished) as failed:
            self._failed(order, row, failed)
            return
        for verdict in unit.verdicts:
            self.ledger.settle_order(verdict.verdict_id, OrderState.QUARANTINED)

    def _unit(self, order: Order, row: VerdictRow, root: RootConfig) -> Unit:
        return unit_of(
            self.ledger,
            row,
            classes=ACTIONABLE if order.asked else root.quarantine_classes,
            now_ns=self._clock.now_ns(),
            wait_s=0.0 if order.asked else self.config.judge.bundle_wait_s,
        )

    def _failed(self, order: Order, row: VerdictRow, failed: DeepDupeError) -> None:
        """Told once when it first fails and once when it is given up; the tries between tell nothing new."""
        kind = failed.kind if isinstance(failed, ActionRefused) else "unfinished"
        helps = failed.retry if isinstance(failed, ActionRefused) else True
        if kind == "offline":
            self.ledger.hold_order(order.verdict_id, str(failed), self._clock.now_ns() + AWAY_S * 10**9)
            return
        again = helps and order.attempts < len(RETRIES_S)
        retry_at_ns = self._clock.now_ns() + RETRIES_S[order.attempts] * 10**9 if again else None
        state = OrderState.HELD if again else OrderState.REFUSED
        self.ledger.settle_order(order.verdict_id, state, reason=f"{kind}: {failed}", retry_at_ns=retry_at_ns)
        if order.attempts == 0 or not again:
            self._emit(quarantine_failed_record(row, failed, again=again))

    def _drop(self, order: Order, reason: str) -> None:
        self.ledger.settle_order(order.verdict_id, OrderState.DROPPED, reason=reason)

    def _settle_as_done(self, action: ActionRow) -> None:
        """Recovery, or the run before, found the action of an order done."""
        if action.state is ActionState.QUARANTINED and self.ledger.order(action.intent.verdict_id) is not None:
            self.ledger.settle_order(action.intent.verdict_id, OrderState.QUARANTINED)

    def _open_breaker(self, reason: str, row: VerdictRow) -> None:
        duplicate, keeper = row.duplicate_now or b"", row.keeper_now or b""
        about = f"{display_path(duplicate)} ({row.verdict.verdict_class}), a copy of {display_path(keeper)}"
        state = self.breaker.open(reason, about)
        self.ledger.hold_orders("the breaker is open")
        self._emit(breaker_record(state, waiting=self.ledger.open_orders()))
