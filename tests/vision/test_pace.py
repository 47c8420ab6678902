"""A backfill's batches are as large as a second of work, whatever the device."""

from __future__ import annotations

import pytest

from deepdupe_daemon.vision.pace import Pace


def test_a_slow_device_gets_small_batches_of_backfill_and_a_fast_one_its_ceiling() -> None:
    pace = Pace(1.0)
    assert pace.allowed(400) == 400, "nothing is known yet"
    pace.landed(400, taken_s=0.0, now_s=8.0)  # 50 a second
    assert pace.allowed(400) == 50
    pace.landed(50, taken_s=8.0, now_s=8.0 + 50 / 3000)
    assert pace.allowed(400) == 400


def test_a_batch_that_waited_for_another_is_timed_from_when_its_turn_came() -> None:
    pace = Pace(1.0)
    pace.landed(100, taken_s=0.0, now_s=1.0)
    pace.landed(100, taken_s=0.1, now_s=2.0)  # handed over early, computed in one second
    assert pace.allowed(400) == 100


def test_one_image_is_always_allowed() -> None:
    pace = Pace(0.5)
    pace.landed(1, taken_s=0.0, now_s=30.0)
    assert pace.allowed(8) == 1
    pace.landed(1, taken_s=30.0, now_s=30.0)
    assert pace.allowed(8) == 8, "too fast to be measured"
    with pytest.raises(ValueError, match="above 0"):
        Pace(0)
