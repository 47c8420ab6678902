"""Normalised scores as a rule of a space: the same from either side, the same for good, and the raw value is kept."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from deepdupe_daemon.clock import ManualClock
from deepdupe_daemon.ledger import Ledger
from deepdupe_daemon.model import F32Array, SpaceKey
from deepdupe_daemon.service import background
from deepdupe_daemon.service.background import Background, load_background, take_background
from tests.ledger.build import SPACE, add

ROWS = 20


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    monkeypatch.setattr(background, "BACKGROUND_ROWS", ROWS)
    with Ledger.open(tmp_path / "state", ManualClock()) as opened:
        yield opened


def unit(*row: float) -> F32Array:
    found = np.array(row, np.float32)
    return found / np.linalg.norm(found)


def test_a_pair_that_is_like_anything_scores_less_than_one_that_stands_out() -> None:
    crowd = np.stack([unit(1, 0.1 * step, 0) for step in range(10)])
    rule = Background(np.arange(10), crowd)
    common, other = unit(1, 0.3, 0), unit(1, 0.5, 0)
    rare, copy = unit(0, 0, 1), unit(0.15, 0, 1)
    ids = (100, 101)
    assert float(common @ other) > 0.95
    assert rule.score(float(common @ other), common, other, ids) < 0.2
    assert rule.score(float(rare @ copy), rare, copy, ids) > 0.8


def test_the_score_is_the_same_from_either_side_and_leaves_the_two_out() -> None:
    rows = np.stack([unit(1, 0.2 * step, step % 3) for step in range(12)])
    rule = Background(np.arange(12), rows)
    forth = rule.score(0.9, rows[3], rows[7], (3, 7))
    assert forth == pytest.approx(rule.score(0.9, rows[7], rows[3], (7, 3)))
    without = Background(np.delete(np.arange(12), [3, 7]), np.delete(rows, [3, 7], axis=0))
    assert forth == pytest.approx(without.score(0.9, rows[3], rows[7], (3, 7)))


def test_a_background_is_taken_once_and_for_good(ledger: Ledger) -> None:
    add(ledger, [f"{number:03}" for number in range(ROWS - 1)])
    take_background(ledger, SPACE.name)
    assert load_background(ledger, SPACE.name) is None, "too few yet"
    add(ledger, ["last"])
    take_background(ledger, SPACE.name)
    first = load_background(ledger, SPACE.name)
    assert first is not None
    add(ledger, [f"later {number}" for number in range(30)])
    again = load_background(ledger, SPACE.name)
    assert again is not None
    one, other = unit(*range(1, 9)), unit(*range(8, 0, -1))
    assert again.score(0.5, one, other, (None, None)) == first.score(0.5, one, other, (None, None))


def test_other_weights_have_a_background_of_their_own(ledger: Ledger) -> None:
    add(ledger, [f"{number:03}" for number in range(ROWS)])
    take_background(ledger, SPACE.name)
    newer = SpaceKey(SPACE.model, SPACE.embedding, SPACE.dim, weights="v2")
    ledger.begin_building(newer)
    ledger.mark_complete(f"{newer.name}~{newer.fingerprint()}")
    ledger.switch_to(newer)
    assert load_background(ledger, SPACE.name) is None
