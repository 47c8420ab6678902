"""Who gets the next task."""

from __future__ import annotations

import threading
from concurrent.futures import Future

import pytest

from deepdupe_daemon.vision.backlog import Backlog, Task, Urgency
from tests.conftest import Eventually


def _nothing(_worker: object) -> None:
    """A task that is never carried out here."""


def test_most_urgent_first_then_first_come() -> None:
    backlog = Backlog()
    urgencies = (Urgency.BACKFILL, Urgency.LIVE, Urgency.PROOF, Urgency.LIVE)
    futures = [backlog.put(urgency, _nothing) for urgency in urgencies]
    taken = [backlog.take(warm=True, timeout_s=1) for _ in futures]
    assert [futures.index(task.future) for task in taken if task is not None] == [2, 1, 3, 0]
    assert len(backlog) == 0
    assert backlog.take(warm=True, timeout_s=0) is None


def _taker(backlog: Backlog, *, warm: bool) -> Future[Task | None]:
    future: Future[Task | None] = Future()
    threading.Thread(target=lambda: future.set_result(backlog.take(warm=warm, timeout_s=None)), daemon=True).start()
    return future


def test_a_thread_without_a_worker_waits_while_one_with_a_worker_is_free(eventually: Eventually) -> None:
    backlog = Backlog()
    cold = _taker(backlog, warm=False)
    warm = _taker(backlog, warm=True)
    assert eventually(lambda: backlog.waiting == 2)
    first = backlog.put(Urgency.LIVE, _nothing)
    taken = warm.result(10)
    assert taken is not None
    assert taken.future is first
    assert not cold.done()
    second = backlog.put(Urgency.LIVE, _nothing)  # now nobody warm is free
    taken = cold.result(10)
    assert taken is not None
    assert taken.future is second


def test_closing_wakes_everybody_and_gives_back_the_rest(eventually: Eventually) -> None:
    backlog = Backlog()
    threads = [_taker(backlog, warm=bool(n % 2)) for n in range(4)]
    assert eventually(lambda: backlog.waiting == 4)
    backlog.close()
    assert [thread.result(10) for thread in threads] == [None] * 4
    assert backlog.closed
    with pytest.raises(RuntimeError, match="stopped"):
        backlog.put(Urgency.LIVE, _nothing)

    other = Backlog()
    future = other.put(Urgency.BACKFILL, _nothing)
    assert [task.future for task in other.close()] == [future]
