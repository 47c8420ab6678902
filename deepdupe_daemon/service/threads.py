"""Threads whose death is never silent."""

from __future__ import annotations

import threading
from collections.abc import Callable

__all__ = ["OnFatal", "start_thread"]

#: told the thread's name and what ended it
OnFatal = Callable[[str, BaseException], None]


def start_thread(name: str, run: Callable[[], None], on_fatal: OnFatal) -> threading.Thread:
    """Run `run` in a thread of that name. Whatever it raises goes to `on_fatal`, in that thread, before it ends."""

    def guarded() -> None:
        try:
            run()
        except BaseException as fatal:  # noqa: BLE001 - a thread has no caller; the supervisor ends the service
            on_fatal(name, fatal)

    thread = threading.Thread(target=guarded, name=name, daemon=True)
    thread.start()
    return thread
