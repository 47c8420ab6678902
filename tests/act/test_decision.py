"""What is acted on without a person's word, and when the breaker says that it was too much."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepdupe_daemon.act import BreakerState, Switch, trip, wanted
from deepdupe_daemon.config import BreakerConfig, RootConfig
from deepdupe_daemon.ledger import FileRow, VerdictRow
from deepdupe_daemon.model import FileIdentity, FileKey, FileState, Verdict, VerdictClass

ROOT = RootConfig(path=Path("/photos"), action="quarantine")
KEY = FileKey(b"/photos/new.jpg", FileIdentity(1, 2, 3, 4))
FILE = FileRow(7, KEY, b"/photos", FileState.INDEXED, 1, b"d" * 32, True, 0, None, None, 100, None)
SWITCH = Switch(since_ns=50, walked_at_ns=60)


def row(
    verdict_class: VerdictClass = VerdictClass.IDENTICAL_BYTES, *, first: bool = True, living: bool = True
) -> VerdictRow:
    verdict = Verdict(verdict_class, KEY, KEY, b"d" * 32, b"k" * 32, {}, None, (), "first", 200)
    here = KEY.path if living else None
    return VerdictRow(1, verdict, 7, 8, first, None, None, None, None, here, here)


def test_a_proven_copy_that_arrives_in_a_quarantined_root_is_acted_on() -> None:
    assert wanted(row(), FILE, ROOT, SWITCH, inherits=False)


@pytest.mark.parametrize("action", ["observe", "protected"])
def test_no_other_root_is_touched(action: str) -> None:
    root = ROOT.model_copy(update={"action": action})
    assert not wanted(row(), FILE, root, SWITCH, inherits=True)


@pytest.mark.parametrize("verdict_class", list(VerdictClass))
def test_only_the_classes_that_were_chosen(verdict_class: VerdictClass) -> None:
    assert wanted(row(verdict_class), FILE, ROOT, SWITCH, inherits=False) == verdict_class.proven
    edited = RootConfig(path=Path("/photos"), action="quarantine", quarantine_classes=(VerdictClass.EDITED,))
    assert wanted(row(verdict_class), FILE, edited, SWITCH, inherits=False) == (verdict_class is VerdictClass.EDITED)


@pytest.mark.parametrize(
    ("live", "arrived_at_ns", "switch", "expected"),
    [
        (True, 49, SWITCH, False),
        (True, 50, SWITCH, True),
        (True, 50, Switch(50), True),
        (False, 55, SWITCH, False),
        (False, 60, SWITCH, True),
        (False, 999, Switch(50), False),
        (True, 999, None, False),
    ],
)
def test_what_was_there_before_the_switch_is_left_alone(
    live: bool, arrived_at_ns: int, switch: Switch | None, expected: bool
) -> None:
    file = replace(FILE, live=live, arrived_at_ns=arrived_at_ns)
    assert wanted(row(), file, ROOT, switch, inherits=False) == expected


def test_a_verdict_that_is_no_news_is_acted_on_only_in_place_of_one_that_was_to_be() -> None:
    assert not wanted(row(first=False), FILE, ROOT, SWITCH, inherits=False)
    assert wanted(row(first=False), FILE, ROOT, SWITCH, inherits=True)
    assert not wanted(row(living=False), FILE, ROOT, SWITCH, inherits=True)


LIMITS = BreakerConfig(most=100, most_share=0.1, always_allowed=10)


@pytest.mark.parametrize(
    ("recent", "in_root", "files", "expected"),
    [
        (99, 0, 0, None),
        (100, 0, 0, "100 files were quarantined within the last hour (quarantine.breaker.most)"),
        (9, 9, 10, None),
        (10, 10, 10, "10 of the folder's 10 files (100 %)"),
        (10, 10, 109, "10 of the folder's 109 files (9 %)"),
        (10, 10, 110, None),
    ],
)
def test_the_limits_of_the_breaker(recent: int, in_root: int, files: int, expected: str | None) -> None:
    reason = trip(LIMITS, recent=recent, recent_in_root=in_root, files_in_root=files)
    assert (reason is None) == (expected is None)
    assert expected is None or expected in str(reason)


@given(st.integers(1, 500), st.integers(0, 50), st.floats(0.01, 1.0), st.integers(0, 2000))
def test_no_run_of_actions_goes_beyond_the_limits(most: int, allowed: int, share: float, files: int) -> None:
    limits = BreakerConfig(most=most, most_share=share, always_allowed=allowed)
    done = 0
    while done < files and trip(limits, recent=done, recent_in_root=done, files_in_root=files) is None:
        done += 1
    assert done <= most
    assert done <= max(allowed, share * files)
    assert done in (files, most) or done + 1 > share * files


def test_the_breakers_state_comes_back_as_it_was() -> None:
    state = BreakerState(True, 5, "too much", "/a.jpg", 3)
    assert BreakerState.from_json(state.to_json()) == state
    assert BreakerState.from_json(None) == BreakerState()
