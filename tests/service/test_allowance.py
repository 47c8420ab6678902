"""A token bucket, moment by moment."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepdupe_daemon.service.allowance import Allowance


def test_a_burst_goes_at_once_and_then_one_waits() -> None:
    allowance = Allowance(10.0, 3.0, 0.0)
    for _ in range(3):
        assert allowance.wait_s(0.0) == 0.0
        allowance.spend(1.0)
    assert allowance.wait_s(0.0) == pytest.approx(0.1)
    assert allowance.wait_s(0.05) == pytest.approx(0.05)
    assert allowance.wait_s(0.1) == pytest.approx(0.0)


def test_a_debt_is_waited_for_and_a_pause_saves_no_more_than_the_burst() -> None:
    allowance = Allowance(10.0, 3.0, 0.0)
    allowance.spend(103.0)
    assert allowance.wait_s(0.0) == pytest.approx(10.1)
    assert allowance.wait_s(1000.0) == 0.0
    allowance.spend(3.0)
    assert allowance.wait_s(1000.0) == pytest.approx(0.1)


@given(st.lists(st.tuples(st.floats(0, 2), st.floats(0, 5)), min_size=1, max_size=50))
def test_never_more_is_begun_than_burst_and_rate_allow(steps: list[tuple[float, float]]) -> None:
    """However askers come: what was spent before the last one began is within burst and time."""
    allowance, now_s, spent = Allowance(4.0, 6.0, 0.0), 0.0, 0.0
    for pause_s, much in steps:
        now_s += pause_s
        while (wait_s := allowance.wait_s(now_s)) > 1e-9:
            now_s += wait_s
        assert spent + 1.0 <= 6.0 + 4.0 * now_s + 1e-6
        allowance.spend(1.0 + much)
        spent += 1.0 + much
