"""What people ask of the quarantine: the same answers from the living daemon and from the files themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from deepdupe_daemon.act import Record, Taken
from deepdupe_daemon.clock import Clock
from deepdupe_daemon.config import Config
from deepdupe_daemon.errors import ControlError
from deepdupe_daemon.ledger import Ledger, lock_state_dir
from deepdupe_daemon.service.carrier import Carrier
from deepdupe_daemon.service.control import Operation
from deepdupe_daemon.service.control_client import ControlClient
from deepdupe_daemon.service.protocol import encode_path

__all__ = ["LocalDesk", "QuarantineDesk", "desk_operations", "open_quarantine_desk"]

#: verdicts that one request may name
MOST_ASKED = 100

Answer = dict[str, Any]


class QuarantineDesk(Protocol):
    """Each call is one action, so that it answers soon and a refusal concerns that one alone."""

    def restore(self, action_id: int, *, free_name: bool) -> Answer:
        """`files`: pairs of base64 paths (where it was, where it is); `notes`. Raises ActionRefused, ControlError."""
        ...

    def purge(self, action_id: int) -> Answer:
        """`files`: base64 paths; `freed_bytes`. Raises ActionRefused, ControlError."""
        ...

    def resume(self, *, discard: bool) -> Answer:
        """`was_open`, `reason`, `waiting`: orders that are carried out now, or were dropped with `discard`."""
        ...

    def add(self, verdict_ids: Sequence[int]) -> Answer:
        """`orders`: a list of [verdict id, state of the order, reason]."""
        ...


class LocalDesk:
    """On a carrier, in the thread that owns it."""

    def __init__(self, carrier: Carrier) -> None:
        self._carrier = carrier

    def restore(self, action_id: int, *, free_name: bool) -> Answer:
        restored = self._carrier.restore(action_id, taken=Taken.FREE_NAME if free_name else Taken.REFUSE)
        pairs = [[encode_path(was), encode_path(now)] for was, now in restored.files]
        return {"files": pairs, "notes": list(restored.notes)}

    def purge(self, action_id: int) -> Answer:
        purged = self._carrier.purge(action_id)
        return {"files": [encode_path(path) for path in purged.files], "freed_bytes": purged.freed_bytes}

    def resume(self, *, discard: bool) -> Answer:
        before, waiting = self._carrier.resume(discard=discard)
        return {"was_open": before.is_open, "reason": before.reason, "waiting": waiting}

    def add(self, verdict_ids: Sequence[int]) -> Answer:
        orders = self._carrier.carry_now(verdict_ids)
        return {"orders": [[order.verdict_id, str(order.state), order.reason] for order in orders]}


class RemoteDesk:
    """Asks the living daemon, which checks who asks."""

    def __init__(self, client: ControlClient) -> None:
        self._client = client

    def restore(self, action_id: int, *, free_name: bool) -> Answer:
        return self._client.request("quarantine-restore", action_id=action_id, free_name=free_name)

    def purge(self, action_id: int) -> Answer:
        return self._client.request("quarantine-purge", action_id=action_id)

    def resume(self, *, discard: bool) -> Answer:
        return self._client.request("quarantine-resume", discard=discard)

    def add(self, verdict_ids: Sequence[int]) -> Answer:
        return self._client.request("quarantine-add", verdict_ids=list(verdict_ids))


@contextmanager
def open_quarantine_desk(config: Config, clock: Clock, emit: Callable[[Record], None]) -> Iterator[QuarantineDesk]:
    """The desk of the daemon that runs with `config`; where none does, the ledger and the files themselves, under the
    lock of the state dir, and then records go to `emit`. Raises ControlError, AlreadyRunning, StateError.
    """
    client = ControlClient.find(config)
    if client is not None:
        yield RemoteDesk(client)
        return
    with lock_state_dir(config.state_dir), Ledger.open(config.state_dir, clock) as ledger:
        carrier = Carrier(config, ledger, clock, emit)
        carrier.recover()
        yield LocalDesk(carrier)


def desk_operations(ask: Callable[[Callable[[Carrier], Answer]], Answer]) -> dict[str, Operation]:
    """The operations of the control socket. `ask` runs a question in the carrying thread."""

    def restore(request: Mapping[str, Any]) -> Answer:
        action_id, free_name = _number(request, "action_id"), bool(request.get("free_name"))
        return ask(lambda carrier: LocalDesk(carrier).restore(action_id, free_name=free_name))

    def purge(request: Mapping[str, Any]) -> Answer:
        action_id = _number(request, "action_id")
        return ask(lambda carrier: LocalDesk(carrier).purge(action_id))

    def resume(request: Mapping[str, Any]) -> Answer:
        discard = bool(request.get("discard"))
        return ask(lambda carrier: LocalDesk(carrier).resume(discard=discard))

    def add(request: Mapping[str, Any]) -> Answer:
        given = request.get("verdict_ids")
        if not isinstance(given, list) or not 0 < len(given) <= MOST_ASKED:
            raise ControlError(f"name between 1 and {MOST_ASKED} verdicts")
        verdict_ids = [_number({"verdict_id": each}, "verdict_id") for each in given]
        return ask(lambda carrier: LocalDesk(carrier).add(verdict_ids))

    return {
        "quarantine-restore": restore,
        "quarantine-purge": purge,
        "quarantine-resume": resume,
        "quarantine-add": add,
    }


def _number(request: Mapping[str, Any], name: str) -> int:
    value = request.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ControlError(f"{name} must be a whole number")
    return value
