"""What a person knows better of a pair, through the living daemon or, where none runs, straight into the ledger."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from deepdupe_daemon.clock import Clock
from deepdupe_daemon.config import Config
from deepdupe_daemon.errors import ActionRefused, ControlError
from deepdupe_daemon.ledger import Ledger
from deepdupe_daemon.service.control import Operation
from deepdupe_daemon.service.control_client import ControlClient

__all__ = ["choose_keeper", "mark_operations", "mark_pair"]

_DIGEST_BYTES = 32


def mark_pair(config: Config, one: bytes, other: bytes, clock: Clock) -> None:
    """These two contents (SHA-256) are not duplicates of each other. Raises ActionRefused, ControlError, StateError."""
    _check(one, other)
    client = ControlClient.find(config)
    if client is not None:
        client.request("mark-not-duplicate", digests=[one.hex(), other.hex()])
        return
    with Ledger.open(config.state_dir, clock) as ledger:
        ledger.mark_not_duplicate(one, other, "review")


def choose_keeper(config: Config, verdict_id: int, clock: Clock) -> None:
    """The duplicate of this verdict is kept from now on. Raises ActionRefused, ControlError, StateError.

    The group is judged again: by the running daemon at once, else at its next start.
    """
    client = ControlClient.find(config)
    if client is not None:
        client.request("choose-keeper", verdict_id=verdict_id)
        return
    with Ledger.open(config.state_dir, clock) as ledger:
        _chosen(ledger.choose_keeper(verdict_id))


def mark_operations(
    ask: Callable[[Callable[[Ledger], None]], None], on_marked: Callable[[], None], choose: Callable[[int], bool]
) -> dict[str, Operation]:
    """The operations of the control socket. `ask` runs a question where a ledger is open; `on_marked`: files wait to be
    judged again; `choose` is the ledger's `choose_keeper`, where files are judged."""

    def mark(request: Mapping[str, Any]) -> dict[str, Any]:
        given = request.get("digests")
        if not isinstance(given, list) or len(given) != 2:
            raise ControlError("name two digests")
        one, other = (_digest(each) for each in given)
        _check(one, other)
        ask(lambda ledger: ledger.mark_not_duplicate(one, other, "review"))
        on_marked()
        return {}

    def keep(request: Mapping[str, Any]) -> dict[str, Any]:
        verdict_id = request.get("verdict_id")
        if not isinstance(verdict_id, int) or isinstance(verdict_id, bool):
            raise ControlError("verdict_id must be a whole number")
        _chosen(choose(verdict_id))
        return {}

    return {"mark-not-duplicate": mark, "choose-keeper": keep}


def _chosen(there: bool) -> None:
    if not there:
        raise ActionRefused("this verdict no longer stands", kind="superseded", hint="ask again")


def _check(one: bytes, other: bytes) -> None:
    if one == other:
        hint = "only different contents can be told apart"
        raise ActionRefused("the two files have the same bytes", kind="same-bytes", hint=hint)


def _digest(text: object) -> bytes:
    try:
        digest = bytes.fromhex(str(text))
    except ValueError as wrong:
        raise ControlError("a digest is hexadecimal") from wrong
    if len(digest) != _DIGEST_BYTES:
        raise ControlError(f"a digest has {_DIGEST_BYTES} bytes")
    return digest
