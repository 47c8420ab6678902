"""Orders: which verdicts are to be acted on, and what came of it. The durable queue of the carrying thread."""
# ruff: noqa: S608 - only names of ours and "?" marks are put into SQL, never a value

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from deepdupe_daemon.ledger.action_rows import ActionState
from deepdupe_daemon.ledger.connection import Opened

__all__ = ["Order", "OrderState", "Orders"]


class OrderState(StrEnum):
    """Where an order stands. Stored in the ledger, and told as the action of an alert."""

    WANTED = "wanted"  # to be carried out; nobody was told of the verdict yet
    HELD = "held"  # to be carried out later: the breaker is open, the folder is away, or a retry may help
    QUARANTINED = "quarantined"
    REFUSED = "refused"  # not carried out, and not to be tried again
    DROPPED = "dropped"  # the verdict no longer stands, or a person said that nothing shall be done

    @property
    def open(self) -> bool:
        return self in (OrderState.WANTED, OrderState.HELD)


@dataclass(frozen=True, slots=True)
class Order:
    """That the duplicate of a verdict shall go to quarantine. `root`: where it rests. One order a verdict."""

    verdict_id: int
    root: bytes
    state: OrderState
    asked: bool  # by a person, not by the configuration
    attempts: int
    retry_at_ns: int | None  # of a held one; None: when what holds it is over
    reason: str | None
    settled_at_ns: int | None


_PAGE_ROWS = 500
_OPEN = "state IN ('wanted', 'held')"  # as the partial index has it
_COLUMNS = "verdict_id, root, state, asked, attempts, retry_at_ns, reason, settled_at_ns"


class Orders(Opened):
    """Written by the alerting thread (new orders), the carrying thread (what came of them) and people's commands."""

    def place_orders(self, orders: Iterable[tuple[int, bytes]], *, asked: bool = False) -> int:
        """Orders for verdicts (id, root of the duplicate); says how many are new. One that is open or carried out
        stays as it is; one that was refused or dropped is open again where a person asks."""
        with self._db.writing():
            return sum(
                self._db.run(
                    "INSERT INTO orders (verdict_id, root, state, asked) VALUES (?1, ?2, 'wanted', ?3)"
                    " ON CONFLICT (verdict_id) DO UPDATE SET state = 'held', asked = 1, attempts = 0,"
                    " retry_at_ns = NULL, reason = NULL, settled_at_ns = NULL"
                    " WHERE ?3 AND state IN ('refused', 'dropped', 'held')",
                    (verdict_id, root, int(asked)),
                )
                for verdict_id, root in orders
            )

    def order(self, verdict_id: int) -> Order | None:
        row = self._db.one(f"SELECT {_COLUMNS} FROM orders WHERE verdict_id = ?", (verdict_id,))
        return _order(row) if row else None

    def due_orders(
        self, limit: int, *, now_ns: int, away: Collection[bytes] = (), asked_only: bool = False
    ) -> list[Order]:
        """Open orders whose time has come, oldest verdict first; not those of the roots in `away`."""
        marks = ",".join("?" * len(away))
        rows = self._db.rows(
            f"SELECT {_COLUMNS} FROM orders WHERE {_OPEN} AND (retry_at_ns IS NULL OR retry_at_ns <= ?)"
            f" AND asked >= ? AND root NOT IN ({marks}) ORDER BY verdict_id LIMIT ?",
            (now_ns, int(asked_only), *away, limit),
        )
        return [_order(row) for row in rows]

    def waiting_orders(self) -> Iterator[Order]:
        """All open orders, oldest verdict first, in pages."""
        after = 0
        sql = f"SELECT {_COLUMNS} FROM orders WHERE {_OPEN} AND verdict_id > ? ORDER BY verdict_id LIMIT {_PAGE_ROWS}"
        while page := [_order(row) for row in self._db.rows(sql, (after,))]:
            yield from page
            after = page[-1].verdict_id

    def next_order_ns(self) -> int | None:
        """When the next open order is due whose moment is known; None where there is none."""
        row = self._db.one(f"SELECT min(retry_at_ns) FROM orders WHERE {_OPEN}")
        return row[0] if row else None

    def settle_order(
        self, verdict_id: int, state: OrderState, *, reason: str | None = None, retry_at_ns: int | None = None
    ) -> None:
        """What came of an attempt."""
        with self._db.writing():
            self._db.run(
                "UPDATE orders SET state = ?, reason = ?, retry_at_ns = ?, attempts = attempts + 1, settled_at_ns = ?"
                " WHERE verdict_id = ?",
                (str(state), reason, retry_at_ns, self._clock.now_ns(), verdict_id),
            )

    def hold_order(self, verdict_id: int, reason: str, until_ns: int) -> None:
        """It waits for what is no failure: late members of its bundle, a folder that is away. No try is counted."""
        with self._db.writing():
            self._db.run(
                "UPDATE orders SET state = 'held', reason = ?, retry_at_ns = ? WHERE verdict_id = ?",
                (reason, until_ns, verdict_id),
            )

    def hand_on_order(self, verdict_id: int, successor_id: int) -> None:
        """Another verdict took the place of this one before its order was carried out: the order is that one's now."""
        with self._db.writing():
            self._db.run(
                "INSERT INTO orders (verdict_id, root, state, asked, reason) SELECT ?2, root, state, asked, reason"
                " FROM orders WHERE verdict_id = ?1 ON CONFLICT DO NOTHING",
                (verdict_id, successor_id),
            )
            self._db.run(
                "UPDATE orders SET state = 'dropped', reason = 'superseded', settled_at_ns = ?2 WHERE verdict_id = ?1",
                (verdict_id, self._clock.now_ns()),
            )

    def backlog(self) -> int:
        """Files that were there before anybody looked, and wait to be seen: one of them may be the copy to keep."""
        return int(self._db.rows("SELECT files FROM tally WHERE state = 'pending' AND live = 0")[0][0])

    def hold_orders(self, reason: str) -> int:
        """Automatic orders whose verdicts nobody was told of wait from now on, and can be told; says how many."""
        new = "state = 'wanted' AND asked = 0"
        if self._db.one(f"SELECT 1 FROM orders WHERE {new} LIMIT 1") is None:
            return 0
        with self._db.writing():
            return self._db.run(f"UPDATE orders SET state = 'held', reason = ? WHERE {new}", (reason,))

    def drop_orders(self, reason: str) -> int:
        """No open order is carried out; says how many there were."""
        with self._db.writing():
            return self._db.run(
                f"UPDATE orders SET state = 'dropped', reason = ?, settled_at_ns = ? WHERE {_OPEN}",
                (reason, self._clock.now_ns()),
            )

    def open_orders(self) -> int:
        """How many orders wait to be carried out."""
        return int(self._db.rows(f"SELECT count(*) FROM orders WHERE {_OPEN}")[0][0])

    def action_counts(self) -> dict[ActionState, int]:
        """How many actions are in each state that any is in."""
        rows = self._db.rows("SELECT state, count(*) FROM actions GROUP BY state")
        return {ActionState(state): count for state, count in rows}

    def quarantined_since(self, since_ns: int, root: bytes | None = None) -> int:
        """How many orders that no person gave were carried out since; in one root, or in all."""
        where, values = ("", ()) if root is None else (" AND root = ?", (root,))
        return int(
            self._db.rows(
                f"SELECT count(*) FROM orders WHERE state = 'quarantined' AND asked = 0 AND settled_at_ns >= ?{where}",
                (since_ns, *values),
            )[0][0]
        )

    def inherits_order(self, verdict_id: int) -> bool:
        """Whether this verdict took the place of one whose order is still open."""
        row = self._db.one(
            "SELECT 1 FROM verdicts v JOIN orders o USING (verdict_id)"
            " WHERE v.superseded_by = ? AND o.state IN ('wanted', 'held')",
            (verdict_id,),
        )
        return row is not None


def _order(row: tuple[Any, ...]) -> Order:
    return Order(row[0], row[1], OrderState(row[2]), bool(row[3]), row[4], row[5], row[6], row[7])
