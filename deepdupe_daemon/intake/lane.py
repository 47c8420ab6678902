"""One thread of intake: its roots, their watches, what settles, the walks, and a ledger connection of its own."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

from deepdupe_daemon.clock import Clock
from deepdupe_daemon.config import IntakeConfig
from deepdupe_daemon.intake.notice import Notice, NoticeKind
from deepdupe_daemon.intake.root import Root
from deepdupe_daemon.intake.shift import Shift
from deepdupe_daemon.intake.status import IntakeStatus
from deepdupe_daemon.ledger import Ledger

__all__ = ["Lane"]

#: between attempts to start over, doubling
_FIRST_BACKOFF_S, _LAST_BACKOFF_S = 1.0, 60.0


class Lane:
    """A thread that looks after some roots. Whatever goes wrong in it, it tells so and starts over with a walk.

    `start`, `stop`, `rescan` and `status` may be called from any thread; everything else happens in the lane's own.
    """

    def __init__(
        self,
        name: str,
        roots: Sequence[Root],
        settings: IntakeConfig,
        open_ledger: Callable[[], Ledger],
        clock: Clock,
        on_pending: Callable[[], None],
        on_notice: Callable[[Notice], None],
        *,
        watch: bool,
        canary_dir: bytes | None,
        check_s: float,
    ) -> None:
        self.name = name
        self.roots = tuple(roots)
        self._settings = settings
        self._open_ledger = open_ledger
        self._clock = clock
        self._on_pending = on_pending
        self._on_notice = on_notice
        self._watch = watch
        self._canary_dir = canary_dir
        self._check_s = check_s
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._asked: list[bytes | None] = []  # append and pop are atomic
        self._status = IntakeStatus()  # replaced whole
        self._shift: Shift | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def ask_to_stop(self) -> None:
        self._stopping.set()
        self._wake.set()

    def join(self, timeout_s: float) -> bool:
        """Whether the thread has ended within the time; one that hangs on a dead mount may not."""
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def rescan(self, root: bytes | None) -> None:
        """Walk `root`, or all roots of this lane, soon."""
        self._asked.append(root)
        self._wake.set()

    def status(self) -> IntakeStatus:
        started = self._thread.ident is not None
        return self._status if self._thread.is_alive() or not started else replace(self._status, alive=False)

    def _run(self) -> None:
        backoff_s = _FIRST_BACKOFF_S
        restarted = False
        while not self._stopping.is_set():
            before = self._status
            try:
                with contextlib.ExitStack() as stack:
                    ledger = stack.enter_context(self._open_ledger())
                    shift = Shift(
                        self.roots,
                        self._settings,
                        self._clock,
                        ledger,
                        self._on_pending,
                        self._on_notice,
                        wake=self._wake,
                        watch=self._watch,
                        canary_dir=self._canary_dir,
                        check_s=self._check_s,
                        before=before,
                        restarted=restarted,
                    )
                    stack.callback(shift.close)
                    self._shift = shift
                    self._serve(shift)
            except Exception as error:  # noqa: BLE001 - a deaf lane that looks alive is the worst outcome
                text = f"intake failed and starts over: {type(error).__name__}: {error}"
                if self._status.walks > before.walks:
                    backoff_s = _FIRST_BACKOFF_S
                if text != self._status.error:  # a disk that stays full is told of once
                    self._on_notice(Notice(NoticeKind.HANDLER_ERROR, text))
                self._status = replace(self._status, armed=False, error=text)
                restarted = True
                self._pause(backoff_s)
                backoff_s = min(2 * backoff_s, _LAST_BACKOFF_S)

    def _serve(self, shift: Shift) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            while self._asked:
                shift.rescan(self._asked.pop(0))
            wait_s = shift.turn()
            self._status = shift.status()
            if wait_s > 0:
                self._clock.wait(self._wake, wait_s)

    def _pause(self, seconds: float) -> None:
        until_s = self._clock.monotonic_s() + seconds
        while not self._stopping.is_set() and (left_s := until_s - self._clock.monotonic_s()) > 0:
            self._clock.wait(self._stopping, left_s)
