"""How often a root is walked."""

from __future__ import annotations

from deepdupe_daemon.intake.pace import Pace


def test_with_events_the_interval_is_the_configured_one_give_or_take_a_quarter() -> None:
    pace = Pace(3600, 10, seed=1)
    waits = [pace.after_walk(took_s=1, found_some=False, polling=False) for _ in range(500)]
    assert 2700 <= min(waits) < 2800
    assert 4400 < max(waits) <= 4500


def test_polling_slows_down_while_nothing_happens_and_hurries_when_something_does() -> None:
    pace = Pace(3600, 10, seed=1)
    quiet = [pace.after_walk(took_s=0.1, found_some=False, polling=True) for _ in range(20)]
    assert quiet[0] < 17
    assert quiet[-1] > 3000
    assert pace.polling_s == 3600
    for _ in range(20):
        pace.after_walk(took_s=0.1, found_some=True, polling=True)
    assert pace.polling_s == 10


def test_polling_leaves_the_disk_alone_for_19_of_20_parts_of_the_time() -> None:
    pace = Pace(3600, 10, seed=1)
    for _ in range(20):
        wait_s = pace.after_walk(took_s=30, found_some=True, polling=True)
        assert wait_s >= 30 * 20 * 0.9


def test_a_configured_interval_below_the_floor_holds() -> None:
    pace = Pace(5, 10, seed=1)
    assert pace.after_walk(took_s=0, found_some=True, polling=True) <= 5.5
