"""The quarantine in numbers, for `status`."""

from __future__ import annotations

from typing import Any

from deepdupe_daemon.ledger import Ledger
from deepdupe_daemon.service.breaker import breaker_state

__all__ = ["quarantine_numbers"]


def quarantine_numbers(ledger: Ledger) -> dict[str, Any]:
    """Actions by state, orders that wait, and the breaker where it is open. JSON-safe."""
    state = breaker_state(ledger)
    opened = {"opened_at_ns": state.opened_at_ns, "reason": state.reason, "about": state.about}
    return {
        "actions": {str(each): count for each, count in ledger.action_counts().items()},
        "waiting": ledger.open_orders(),
        "breaker": opened if state.is_open else None,
    }
