"""The ledger: what is known of each file, each image, each verdict, and what waits to be done. The truth.

This room promises: what a method wrote is on the disk when it returns, whole or not at all, whatever is killed when;
work that waits survives; a result applies only to the file that was looked at, never to one that took its place; and
a file has at most one current verdict. It is a folder with one SQLite file, `ledger.sqlite`.

Importing this package loads neither SQLite nor numpy; its names load on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepdupe_daemon.face import on_first_use

if TYPE_CHECKING:
    from deepdupe_daemon.ledger.action_rows import ActionFile, ActionRow, ActionState, Intent, Party
    from deepdupe_daemon.ledger.connection import LedgerFull
    from deepdupe_daemon.ledger.ledger import LEDGER_NAME, Ledger
    from deepdupe_daemon.ledger.lock import StateLock, lock_state_dir
    from deepdupe_daemon.ledger.orders import Order, OrderState
    from deepdupe_daemon.ledger.rows import (
        F16Array,
        FileRow,
        I64Array,
        ImageRow,
        KnownRow,
        Noted,
        PairRow,
        SeenRecord,
        Standing,
        VerdictRow,
    )
    from deepdupe_daemon.ledger.tallies import Happened

__all__ = [
    "LEDGER_NAME",
    "ActionFile",
    "ActionRow",
    "ActionState",
    "F16Array",
    "FileRow",
    "Happened",
    "I64Array",
    "ImageRow",
    "Intent",
    "KnownRow",
    "Ledger",
    "LedgerFull",
    "Noted",
    "Order",
    "OrderState",
    "PairRow",
    "Party",
    "SeenRecord",
    "Standing",
    "StateLock",
    "VerdictRow",
    "lock_state_dir",
]

_HOMES = {
    "LEDGER_NAME": "ledger",
    "ActionFile": "action_rows",
    "ActionRow": "action_rows",
    "ActionState": "action_rows",
    "F16Array": "rows",
    "FileRow": "rows",
    "Happened": "tallies",
    "I64Array": "rows",
    "ImageRow": "rows",
    "Intent": "action_rows",
    "KnownRow": "rows",
    "Ledger": "ledger",
    "LedgerFull": "connection",
    "Noted": "rows",
    "Order": "orders",
    "OrderState": "orders",
    "PairRow": "rows",
    "Party": "action_rows",
    "SeenRecord": "rows",
    "Standing": "rows",
    "StateLock": "lock",
    "VerdictRow": "rows",
    "lock_state_dir": "lock",
}

__getattr__ = on_first_use(__name__, _HOMES)
