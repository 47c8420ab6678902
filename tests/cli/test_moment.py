"""Moments and durations."""

from __future__ import annotations

from datetime import datetime

import pytest

from deepdupe_daemon.cli.moment import duration_text, iso_moment, local_moment, since_ns
from deepdupe_daemon.errors import ConfigError

NOW_NS = 1_700_000_000_000_000_000


@pytest.mark.parametrize(
    ("text", "ago_s"), [("90s", 90), ("30m", 1800), ("2h", 7200), ("1.5 d", 129_600), ("1w", 604_800)]
)
def test_ago(text: str, ago_s: int) -> None:
    assert since_ns(text, now_ns=NOW_NS) == NOW_NS - ago_s * 1_000_000_000


def test_dates_are_local_unless_they_say_otherwise() -> None:
    assert since_ns("2026-03-01", now_ns=NOW_NS) == int(datetime(2026, 3, 1).astimezone().timestamp() * 1e9)
    assert since_ns("2026-03-01T00:00Z", now_ns=NOW_NS) == 1_772_323_200_000_000_000


@pytest.mark.parametrize("text", ["", "soon", "3", "3y", "2026-13-01", "99999999999999w"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="allowed: 90s, 30m"):
        since_ns(text, now_ns=NOW_NS)


def test_moments_and_durations_are_shown() -> None:
    assert iso_moment(NOW_NS) == "2023-11-14T22:13:20+00:00"
    assert datetime.fromisoformat(local_moment(NOW_NS)).astimezone().timestamp() == NOW_NS / 1e9
    assert [duration_text(s) for s in (0.4, 59, 61, 7500)] == ["0 s", "59 s", "1 min 1 s", "2 h 5 min"]
