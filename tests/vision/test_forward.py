"""The forward thread: greedy batches, live first, back-pressure, ordered shutdown, failures that surface."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from deepdupe_daemon.clock import ManualClock, SystemClock
from deepdupe_daemon.errors import DeepDupeError, FileFailed, ModelError, SpaceMismatch
from deepdupe_daemon.model import F32Array, SpaceKey, U8Array
from deepdupe_daemon.vision import FakeEmbedder, ForwardThread, Job, PdqEmbedder
from tests.vision.faulty import POISON, Faulty, Staged, job

WAIT_S = 30.0


class Gated(Faulty):
    """Each batch waits until the test lets it through."""

    def __init__(self, **options: int) -> None:
        super().__init__(**options)  # type: ignore[arg-type]
        self.entered = threading.Semaphore(0)
        self.gate = threading.Semaphore(0)

    def embed(self, batch: U8Array) -> dict[str, F32Array]:
        self.entered.release()
        assert self.gate.acquire(timeout=WAIT_S)
        return super().embed(batch)


class Results:
    """What `on_done` was told, and how to wait for it."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.outcomes: dict[int, dict[str, F32Array] | Exception] = {}
        self.threads: set[str] = set()
        self._changed = threading.Condition()

    def __call__(self, done: Sequence[tuple[Job, dict[str, F32Array] | Exception]]) -> None:
        with self._changed:
            self.batches.append([item.file_id for item, _ in done])
            self.outcomes.update({item.file_id: outcome for item, outcome in done})
            self.threads.add(threading.current_thread().name)
            self._changed.notify_all()

    def wait(self, count: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.outcomes) >= count, WAIT_S), (
                f"{len(self.outcomes)} of {count}"
            )


@pytest.fixture
def forward() -> object:
    started: list[ForwardThread] = []

    def make(
        embedders: Sequence[FakeEmbedder | PdqEmbedder] | Callable[[], Sequence[FakeEmbedder]],
        results: Callable[..., None],
        **options: object,
    ) -> ForwardThread:
        settings = {"clock": SystemClock(), "on_done": results, **options}
        thread = ForwardThread(embedders, **settings)  # type: ignore[arg-type]
        started.append(thread)
        thread.start()
        return thread

    yield make
    for thread in started:
        assert thread.stop(WAIT_S)


Make = Callable[..., ForwardThread]


def test_every_embedder_sees_every_image(forward: Make) -> None:
    """Several models, one batch: each image comes back once with the rows of all spaces, computed in one thread."""
    one, two, results = Faulty("one"), Faulty("two", side_px=64), Results()
    thread = forward([one, two], results)
    for at in range(50):
        assert thread.submit(job(at, one, two))
    results.wait(50)
    assert set(results.outcomes) == set(range(50))
    for at, outcome in results.outcomes.items():
        given = job(at, one, two)
        assert isinstance(outcome, dict)
        for embedder in (one, two):
            name = embedder.spaces[0].name
            fresh = FakeEmbedder(embedder.spaces[0].model, side_px=embedder.spec.side_px)
            assert np.array_equal(outcome[name], fresh.embed(given.inputs[embedder.spec][None])[name][0])
    assert one.sizes == two.sizes
    assert one.threads == results.threads == {"forward"}


def test_batches_are_greedy_and_live_goes_first(forward: Make) -> None:
    """While a batch computes the next one gathers; live jobs pass the backfill and are not mixed with it."""
    embedder, results = Gated(batch_ceiling=4), Results()
    thread = forward([embedder], results)
    thread.submit(job(0, embedder))
    embedder.entered.acquire()
    for at in range(1, 7):
        thread.submit(job(at, embedder))
    for at in (100, 101):
        thread.submit(job(at, embedder, live=True))
    status = thread.status()
    assert (status.state, status.in_flight, status.waiting_live, status.waiting_backfill) == ("ready", 1, 2, 6)
    assert status.busy_since_s is not None
    for _ in range(4):
        embedder.gate.release()
    results.wait(9)
    assert results.batches == [[0], [100, 101], [1, 2, 3, 4], [5, 6]]


def test_a_long_backfill_goes_in_batches_of_a_seconds_work(forward: Make) -> None:
    """The first batch takes 8 seconds of the clock for 4 images: from then on one at a time, but live ones together."""
    clock = ManualClock()

    class Slow(Gated):
        def embed(self, batch: U8Array) -> dict[str, F32Array]:
            rows = super().embed(batch)
            clock.advance(2.0 * len(batch))
            return rows

    embedder, results = Slow(batch_ceiling=4), Results()
    thread = forward([embedder], results, clock=clock)
    assert thread.wait_ready(WAIT_S)
    for at in range(4):
        thread.submit(job(at, embedder))
    embedder.entered.acquire()
    for at in range(4, 7):
        thread.submit(job(at, embedder))
    for _ in range(7):
        embedder.gate.release()
    results.wait(7)
    assert [len(batch) for batch in results.batches[-2:]] == [1, 1]
    # how many of the seven releases were used depends on how the first seven fell into batches
    embedder.entered, embedder.gate = threading.Semaphore(0), threading.Semaphore(0)
    thread.submit(job(50, embedder))
    embedder.entered.acquire()
    for at in range(100, 104):
        thread.submit(job(at, embedder, live=True))
    for _ in range(2):
        embedder.gate.release()
    results.wait(12)
    assert results.batches[-1] == [100, 101, 102, 103]


def test_an_idle_device_that_lingers_takes_a_full_batch_at_once(forward: Make) -> None:
    """An hour is never waited out: the lane is full before, here by its third job."""
    embedder, results = FakeEmbedder(batch_ceiling=3), Results()
    thread = forward([embedder], results, linger_s=3600.0)
    assert thread.wait_ready(WAIT_S)
    for at in range(6):
        thread.submit(job(at, embedder))
    results.wait(6)
    assert results.batches == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize("live", [True, False])
def test_lingering_ends_with_its_time_and_with_a_stop(live: bool, forward: Make) -> None:
    embedder, results = FakeEmbedder(batch_ceiling=3), Results()
    thread = forward([embedder], results, linger_s=0.05)
    thread.submit(job(0, embedder, live=live))
    results.wait(1)
    patient, drained = FakeEmbedder(batch_ceiling=3), Results()
    thread = forward([patient], drained, linger_s=3600.0)
    assert thread.wait_ready(WAIT_S)
    thread.submit(job(1, patient, live=live))
    assert thread.stop(WAIT_S)
    assert drained.batches == [[1]]


def test_a_full_lane_blocks_its_submitter_and_not_the_other_lane(forward: Make) -> None:
    embedder, results = Gated(), Results()
    thread = forward([embedder], results, max_waiting=2)
    thread.submit(job(0, embedder))
    embedder.entered.acquire()
    thread.submit(job(1, embedder))
    thread.submit(job(2, embedder))
    passed = threading.Event()
    blocked = threading.Thread(target=lambda: (thread.submit(job(3, embedder)), passed.set()))
    blocked.start()
    thread.submit(job(9, embedder, live=True))  # its lane has room
    assert not passed.is_set()
    assert thread.status().waiting_backfill == 2
    for _ in range(4):
        embedder.gate.release()
    blocked.join(WAIT_S)
    assert passed.is_set()
    results.wait(5)


def test_staged_embedders_get_the_next_batch_while_one_computes(forward: Make) -> None:
    embedder, results = Staged(batch_ceiling=3, fits=2), Results()
    gate = threading.Event()

    def load() -> list[Staged]:
        gate.wait(WAIT_S)
        return [embedder]

    thread = forward(load, results)
    for at in range(40):
        thread.submit(job(at, embedder, first=POISON if at % 10 == 7 else None))
    gate.set()
    results.wait(40)
    assert embedder.most_flying == 2
    assert embedder.flying == 0
    assert [at for at in range(40) if isinstance(results.outcomes[at], FileFailed)] == [7, 17, 27, 37]
    assert thread.status().embedders[0].batch_ceiling == 1
    assert thread.status().embedders[0].configured_ceiling == 3


def test_a_bad_item_fails_for_all_spaces_and_alone(forward: Make) -> None:
    one, two, results = Faulty("one"), Faulty("two", side_px=64), Results()
    thread = forward([one, two], results)
    bad = Job(1, {**job(1, two).inputs, **job(1, one, first=POISON).inputs}, live=False)
    for item in (job(0, one, two), bad, job(2, one, two)):
        thread.submit(item)
    results.wait(3)
    assert isinstance(results.outcomes[1], FileFailed)
    assert isinstance(results.outcomes[0], dict)
    assert isinstance(results.outcomes[2], dict)
    assert thread.stop(WAIT_S)
    status = thread.status()
    assert (status.done, status.failed, status.in_flight, status.busy_since_s) == (2, 1, 0, None)


def test_stop_drains_what_waits(forward: Make) -> None:
    embedder, results = Gated(batch_ceiling=2), Results()
    thread = forward([embedder], results)
    for at in range(5):
        thread.submit(job(at, embedder))
    for _ in range(5):
        embedder.gate.release()
    assert thread.stop(WAIT_S)
    assert sorted(results.outcomes) == [0, 1, 2, 3, 4]
    assert embedder.closed
    assert thread.status().state == "stopped"
    assert not thread.submit(job(9, embedder)), "a stopped thread takes nothing"


def test_stop_at_its_deadline_leaves_the_rest_undone(forward: Make) -> None:
    """Out of time: the batch in flight goes on, those that wait get no outcome, blocked submitters return."""
    embedder, results = Gated(batch_ceiling=1), Results()
    thread = forward([embedder], results, max_waiting=2)
    thread.submit(job(0, embedder))
    embedder.entered.acquire()
    thread.submit(job(1, embedder))
    thread.submit(job(2, embedder))
    answers: list[bool] = []
    blocked = threading.Thread(target=lambda: answers.append(thread.submit(job(3, embedder))))
    blocked.start()
    assert not thread.stop(0.0)
    blocked.join(WAIT_S)
    assert answers == [False]
    embedder.gate.release()
    assert thread.stop(WAIT_S)
    assert sorted(results.outcomes) == [0]


def test_start_returns_before_the_models_are_loaded(forward: Make) -> None:
    gate = threading.Event()
    spaces: list[tuple[SpaceKey, ...]] = []
    embedder, results = Faulty(), Results()

    def load() -> list[Faulty]:
        assert threading.current_thread().name == "forward"
        assert gate.wait(WAIT_S)
        return [embedder]

    thread = forward(load, results, on_ready=spaces.append)
    assert thread.status().state == "loading"
    assert not thread.wait_ready(0.0)
    thread.submit(job(1, embedder))
    gate.set()
    assert thread.wait_ready(WAIT_S)
    assert spaces == [embedder.spaces]
    results.wait(1)


def test_a_model_that_cannot_load_surfaces_everywhere(forward: Make) -> None:
    def load() -> list[Faulty]:
        raise ModelError("the weights file is truncated", where="clip-vit-b-32", hint="fetch it again")

    failures: list[DeepDupeError] = []
    thread = forward(load, Results(), on_failed=failures.append)
    with pytest.raises(ModelError, match="truncated"):
        thread.wait_ready(WAIT_S)
    with pytest.raises(ModelError, match="truncated"):
        thread.submit(job(1, Faulty()))
    assert thread.stop(WAIT_S)
    assert [str(error) for error in failures] == ["clip-vit-b-32: the weights file is truncated (fetch it again)"]
    assert thread.status().state == "failed"


def test_a_space_refused_at_ready_ends_the_thread_before_any_batch(forward: Make) -> None:
    embedder, results = Faulty(), Results()

    def refuse(_spaces: tuple[SpaceKey, ...]) -> None:
        raise SpaceMismatch("other weights", where="fake.final")

    thread = forward([embedder], results, on_ready=refuse)
    with pytest.raises(SpaceMismatch):
        thread.wait_ready(WAIT_S)
    assert thread.stop(WAIT_S)
    assert not embedder.sizes
    assert embedder.closed


def test_a_device_that_breaks_ends_the_thread_and_blames_no_file(forward: Make) -> None:
    embedder, results = Gated(), Results()
    failures: list[DeepDupeError] = []
    thread = forward([embedder], results, on_failed=failures.append)
    assert thread.wait_ready(WAIT_S)
    embedder.broken = True
    thread.submit(job(1, embedder))
    for _ in range(4):
        embedder.gate.release()
    assert thread.stop(WAIT_S)
    assert not results.outcomes
    assert "every input" in str(failures[0])


def test_an_on_done_that_fails_is_not_swallowed(forward: Make) -> None:
    embedder = Faulty()
    failures: list[DeepDupeError] = []

    def explode(_done: object) -> None:
        raise OSError(28, "No space left on device")

    thread = forward([embedder], explode, on_failed=failures.append)
    thread.submit(job(1, embedder))
    thread.stop(WAIT_S)
    assert "No space left" in str(failures[0])


def test_two_models_for_one_space_are_refused(forward: Make) -> None:
    thread = forward([Faulty(), Faulty()], Results())
    with pytest.raises(ModelError, match="same space"):
        thread.wait_ready(WAIT_S)


def test_no_model_is_refused(forward: Make) -> None:
    with pytest.raises(ModelError, match="no model"):
        forward([], Results()).wait_ready(WAIT_S)


def test_stop_without_start() -> None:
    thread = ForwardThread([FakeEmbedder()], clock=SystemClock(), on_done=Results())
    assert thread.stop(0.0)
    assert thread.status().state == "stopped"
    assert not thread.wait_ready(0.0)


def test_pdq_goes_the_same_way(forward: Make) -> None:
    embedder, results = PdqEmbedder(), Results()
    thread = forward([embedder], results)
    thread.submit(Job(1, {embedder.spec: np.zeros(32, dtype=np.uint8)}, live=True))
    results.wait(1)
    outcome = results.outcomes[1]
    assert isinstance(outcome, dict)
    assert outcome["pdq.hash"].shape == (256,)
