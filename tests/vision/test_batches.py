"""A batch through one embedder: one bad image never fails it, and memory teaches the ceiling."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepdupe_daemon.clock import ManualClock
from deepdupe_daemon.errors import FileFailed, ModelError, ModelUnavailable
from deepdupe_daemon.vision import FakeEmbedder, Job
from deepdupe_daemon.vision.batches import BatchRunner, Ceiling
from deepdupe_daemon.vision.embedder import VisionNotice
from tests.vision.faulty import DEAD, POISON, SICK, Faulty, Staged, job


def runner(embedder: Faulty) -> tuple[BatchRunner, list[VisionNotice], ManualClock]:
    notices: list[VisionNotice] = []
    clock = ManualClock()
    return BatchRunner(embedder, clock, notices.append), notices, clock


@pytest.mark.parametrize("kind", [Faulty, Staged])
@given(st.lists(st.sampled_from([None, POISON, SICK, DEAD]), min_size=1, max_size=16), st.integers(1, 16))
@settings(max_examples=60, deadline=None)
def test_each_image_gets_its_own_outcome(kind: type[Faulty], fates: list[int | None], fits: int) -> None:
    """Whatever mixture of good, poisonous and non-finite images and memory: the good ones get exactly their row."""
    embedder = kind(fits=fits)
    run, _, _ = runner(embedder)
    jobs = [job(at, embedder, first=fate) for at, fate in enumerate(fates)]
    for item, fate, outcome in zip(jobs, fates, run.begin(jobs)(), strict=True):
        if fate in (POISON, DEAD):
            assert isinstance(outcome, FileFailed)
            assert outcome.kind == ("embedding" if fate == POISON else "not-finite")
            assert not outcome.retry
        else:
            want = FakeEmbedder().embed(item.inputs[embedder.spec][None])["fake.final"][0]
            assert isinstance(outcome, dict)
            assert np.array_equal(outcome["fake.final"], want)


def test_out_of_memory_halves_the_ceiling_once_and_says_so_once() -> None:
    embedder = Faulty(fits=5)
    run, notices, clock = runner(embedder)
    jobs = [job(at, embedder) for at in range(16)]
    assert all(isinstance(outcome, dict) for outcome in run.begin(jobs)())
    assert run.ceiling.now == 4
    assert embedder.sizes == [16, 8, 4, 4, 8, 4, 4]
    assert [notice.kind for notice in notices] == ["ceiling-lowered"]
    embedder.sizes.clear()
    run.begin(jobs)()
    assert embedder.sizes == [4, 4, 4, 4], "the learned ceiling is kept"
    embedder.fits = 100
    clock.advance(3600)
    assert run.ceiling.now == 8, "an hour later a larger batch is tried again"
    clock.advance(7200)
    assert run.ceiling.now == 16
    clock.advance(7200)
    assert run.ceiling.now == 16, "never above what is configured"
    assert len(notices) == 1


def test_no_memory_for_one_image_is_the_devices_failure_not_the_images() -> None:
    embedder = Faulty(fits=0)
    run, _, _ = runner(embedder)
    with pytest.raises(ModelUnavailable, match="one image"):
        run.begin([job(1, embedder)])()


def test_a_broken_device_fails_no_image() -> None:
    embedder = Faulty()
    embedder.broken = True
    run, _, _ = runner(embedder)
    with pytest.raises(ModelError, match=r"every input.*device-side assert"):
        run.begin([job(at, embedder) for at in range(4)])()


def test_a_job_without_the_input_fails_alone() -> None:
    embedder = Faulty()
    run, _, _ = runner(embedder)
    wrong_shape = Job(8, {embedder.spec: np.zeros((3, 3, 3), dtype=np.uint8)}, live=False)
    outcomes = run.begin([job(1, embedder), Job(7, {}, live=False), wrong_shape, job(2, embedder)])()
    assert [isinstance(outcome, dict) for outcome in outcomes] == [True, False, False, True]
    assert "no input" in str(outcomes[1])
    assert "(3, 3, 3)" in str(outcomes[2])


def test_recovered_rows_are_told() -> None:
    embedder = Faulty()
    run, notices, _ = runner(embedder)
    run.begin([job(1, embedder, first=SICK), job(2, embedder, first=DEAD), job(3, embedder)])()
    assert [notice.kind for notice in notices] == ["not-finite"]
    assert "2 of 3" in notices[0].text
    assert "1 recovered" in notices[0].text


def test_an_exception_keeps_no_frames_alive() -> None:
    """A stored traceback would hold the device's tensors through the retry."""
    embedder = Faulty()
    run, _, _ = runner(embedder)
    outcome = run.begin([job(1, embedder, first=POISON)])()[0]
    assert isinstance(outcome, FileFailed)
    assert outcome.__traceback__ is None
    assert outcome.__cause__ is None


def test_a_ceiling_starts_at_one_or_more() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Ceiling(0, ManualClock())
    ceiling = Ceiling(3, ManualClock())
    ceiling.lower(3)
    ceiling.lower(1)
    assert ceiling.now == 1
