"""A start that takes its time is not a start that hangs: systemd is told so."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from deepdupe_daemon.clock import Clock
from deepdupe_daemon.service.notify import Notifier

__all__ = ["EXTENSION_S", "long_step"]

#: what systemd is asked for at a time; TimeoutStartSec= of the units is twice that
EXTENSION_S = 60.0

_EVERY_S = 15.0


@contextmanager
def long_step(notifier: Notifier, clock: Clock, status: str, *, until_s: float) -> Iterator[None]:
    """While the caller is at one long step, a thread of its own asks for more time, until `until_s` at the latest.

    To bring a ledger of millions of files up to date takes minutes, its copy before included: a start that was ended
    meanwhile would begin it again, and be ended again.
    """
    over = threading.Event()

    def ask() -> None:
        while clock.monotonic_s() < until_s:
            notifier.extend_start(EXTENSION_S)
            if clock.wait(over, _EVERY_S):
                return

    notifier.status(status)
    thread = threading.Thread(target=ask, name="starting", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
