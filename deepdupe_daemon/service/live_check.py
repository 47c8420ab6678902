"""`check` inside the running daemon: its workers, its models, its index."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from deepdupe_daemon.errors import ControlError
from deepdupe_daemon.model import F32Array, FileKey, Sighting
from deepdupe_daemon.service.checking import CheckResult, check_paths
from deepdupe_daemon.service.examiner import Examiner
from deepdupe_daemon.service.inbox import Inbox, Question
from deepdupe_daemon.vision import DecoderPool, Job

__all__ = ["LiveCheck"]


class LiveCheck:
    """Runs in the control socket's threads. Its jobs have negative ids, which no file of the ledger has."""

    def __init__(
        self, *, pool: DecoderPool, submit: Callable[[Job], bool], inbox: Inbox, examiner: Callable[[], Examiner]
    ) -> None:
        self._pool = pool
        self._submit = submit
        self._inbox = inbox
        self._examiner = examiner
        self._ids = itertools.count(-1, -1)
        self._lock = threading.Lock()
        self._waiting: dict[int, Future[dict[str, F32Array]]] = {}

    def check(self, paths: Sequence[bytes]) -> list[CheckResult]:
        return check_paths(paths, see=self._see, embed=self._embed, examine=self._examine)

    def embedded(self, job: Job, outcome: dict[str, F32Array] | Exception) -> None:
        """A job of ours has gone through every model. Called in the forward thread."""
        with self._lock:
            waiting = self._waiting.pop(job.file_id)
        if isinstance(outcome, Exception):
            waiting.set_exception(outcome)
        else:
            waiting.set_result(outcome)

    def _see(self, key: FileKey) -> Sighting:
        sighting = self._pool.see(next(self._ids), key, live=True).result()
        assert sighting is not None, "a check's claim is always granted"
        return sighting

    def _embed(self, sighting: Sighting) -> dict[str, F32Array]:
        waiting: Future[dict[str, F32Array]] = Future()
        job = Job(next(self._ids), sighting.inputs, live=True)
        with self._lock:
            self._waiting[job.file_id] = waiting
        self._submit(job)
        return waiting.result()

    def _examine(self, ask: Callable[[Examiner], CheckResult]) -> CheckResult:
        question = Question(lambda: ask(self._examiner()))
        if not self._inbox.put(question):
            raise ControlError("the daemon is stopping", hint="ask again when it runs")
        result = question.answer.result()
        assert isinstance(result, CheckResult)
        return result
