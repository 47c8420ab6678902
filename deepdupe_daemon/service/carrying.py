"""The carrying thread: what was judged and is to be acted on, is acted on; and what people ask of the quarantine."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Collection
from concurrent.futures import Future
from typing import Any, TypeVar

from deepdupe_daemon.act import Record
from deepdupe_daemon.clock import Clock
from deepdupe_daemon.config import Config
from deepdupe_daemon.errors import ControlError
from deepdupe_daemon.ledger import Ledger
from deepdupe_daemon.service.carrier import Carrier
from deepdupe_daemon.service.pulse import Pulse

__all__ = ["Carrying"]

T = TypeVar("T")

#: between looks at orders whose retry may have come, at actions left open and at what is past its retention
IDLE_S = 30.0


class Carrying:
    """Owns its ledger connection and the quarantine on it; `run` is the carrying thread, which alone moves files.

    Its work rests in the ledger (orders), so nothing here grows, judging never waits for it, and a stop in the midst of
    ten thousand orders loses none. Questions of people (restore, purge, resume) are answered between two actions.
    """

    def __init__(
        self,
        config: Config,
        *,
        open_ledger: Callable[[], Ledger],
        emit: Callable[[Record], None],
        clock: Clock,
        on_settled: Callable[[], None],
        away: Callable[[], Collection[bytes]],
    ) -> None:
        """`on_settled`: orders came to something, so their alerts can be given; called in the carrying thread."""
        self._config = config
        self._open_ledger = open_ledger
        self._emit = emit
        self._clock = clock
        self._on_settled = on_settled
        self._away = away
        self._lock = threading.Lock()
        self._questions: deque[_Question] = deque()
        self._wake = threading.Event()
        self._stopping = False
        self._ended = False
        self.recovered = threading.Event()
        self.pulse = Pulse()

    def run(self) -> None:
        """Recover, then carry out until `stop`."""
        try:
            with self._open_ledger() as ledger:
                self._work(ledger)
        finally:
            self._refuse_questions()

    def take(self, config: Config) -> None:
        """From the next order on this configuration holds. Any thread."""
        self._config = config
        self._wake.set()

    def poke(self) -> None:
        """There are orders. Any thread."""
        self._wake.set()

    def stop(self) -> None:
        """After the action that is under way; the other orders wait in the ledger. Any thread."""
        self._stopping = True
        self._wake.set()

    def ask(self, question: Callable[[Carrier], T]) -> T:
        """What `question` returns or raises, in the carrying thread; blocks the caller, who is in another thread."""
        with self._lock:
            if self._ended:
                raise _stopping()
            asked = _Question(question)
            self._questions.append(asked)
        self._wake.set()
        answer: T = asked.answer.result()
        return answer

    def _work(self, ledger: Ledger) -> None:
        carrier = self._carrier(ledger)
        carrier.recover()
        self.recovered.set()
        while not self._stopping:
            self._wake.clear()
            self.pulse.beat()
            if carrier.config is not self._config:
                carrier = self._carrier(ledger)
            while self._questions:
                self._questions.popleft().answer_with(carrier)
            settled = carrier.carry_out(going_on=lambda: not self._stopping and not self._questions)
            self._on_settled()
            if not settled and not self._questions and not self._stopping:
                self.pulse.rest()
                self._clock.wait(self._wake, min(IDLE_S, carrier.next_due_s()))
                self.pulse.beat()
                carrier.look_after()

    def _carrier(self, ledger: Ledger) -> Carrier:
        return Carrier(self._config, ledger, self._clock, self._emit, away=self._away)

    def _refuse_questions(self) -> None:
        with self._lock:
            self._ended = True
        for question in self._questions:
            question.answer.set_exception(_stopping())


class _Question:
    """Something that only the carrying thread may do."""

    def __init__(self, ask: Callable[[Carrier], Any]) -> None:
        self._ask = ask
        self.answer: Future[Any] = Future()

    def answer_with(self, carrier: Carrier) -> None:
        try:
            self.answer.set_result(self._ask(carrier))
        except Exception as failed:  # noqa: BLE001 - it is the asker's to handle, in the asker's thread
            self.answer.set_exception(failed)


def _stopping() -> ControlError:
    return ControlError("the daemon is stopping", hint="ask again when it has ended, or runs again")
