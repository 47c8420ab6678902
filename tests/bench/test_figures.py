"""The arithmetic of a benchmark: percentiles, rates of rooms, what is called the bottleneck."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepdupe_daemon.bench import Room, Stage, find_bottleneck, percentile, room_rates
from deepdupe_daemon.bench.stage import StageName, stage_of
from deepdupe_daemon.bench.whole import Point, span_of


def stage(name: StageName, room: Room, images_per_s: float | None, subject: str = "") -> Stage:
    return Stage(name, room, subject, 10, "images", 1.0, images_per_s, None, None)


def test_percentiles_are_values_that_were_measured() -> None:
    hundred = [float(n) for n in range(1, 101)]
    assert percentile(hundred, 0.5) == 50
    assert percentile(hundred, 0.99) == 99
    assert percentile(hundred[::-1], 1.0) == 100
    assert percentile([3.0], 0.99) == 3
    assert percentile([1.0, 9.0], 0.5) == 1
    with pytest.raises(ValueError, match="no values"):
        percentile([], 0.5)


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0.01, 1))
def test_at_least_the_share_lies_at_or_below_and_no_smaller_value_does(values: list[float], share: float) -> None:
    found = percentile(values, share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values) - 1e-9
    assert sum(value < found for value in values) < share * len(values) + 1e-9


def test_a_stage_counts_what_its_items_carry() -> None:
    pairs = stage_of("verify", Room.WORKERS, [0.1, 0.3], items=2, unit="pairs", took_s=0.4, images_per_item=4.0)
    assert (pairs.per_s, pairs.images_per_s) == (5.0, 20.0)
    assert (pairs.p50_ms, pairs.p99_ms) == (100.0, 300.0)
    unneeded = stage_of("verify", Room.WORKERS, [0.1], items=1, unit="pairs", took_s=0.1, images_per_item=None)
    assert unneeded.images_per_s is None
    assert stage_of("whole", Room.ALL, (), items=1, took_s=0.0).per_s == math.inf


def test_stages_of_one_room_take_turns() -> None:
    rates = room_rates(
        [
            stage("forward", Room.FORWARD, 60.0, "one"),
            stage("forward", Room.FORWARD, 30.0, "two"),
            stage("verify", Room.WORKERS, None),
            stage("see", Room.WORKERS, 50.0),
            stage("decode", Room.STEP, 1.0),
            stage("upsert", Room.CHROMA, 0.5),
        ]
    )
    assert rates == pytest.approx({Room.FORWARD: 20.0, Room.WORKERS: 50.0})


def test_the_bottleneck_is_the_slowest_room_and_its_costliest_stage() -> None:
    stages = [
        stage("see", Room.WORKERS, 40.0),
        stage("hash", Room.STEP, 900.0),
        stage("decode", Room.STEP, 60.0),
        stage("preprocess", Room.STEP, 130.0),
        stage("forward", Room.FORWARD, 60.0, "one"),
        stage("forward", Room.FORWARD, 90.0, "two"),
        stage("upsert", Room.CHROMA, 1.0),
        stage("whole", Room.ALL, 0.1),
    ]
    found = find_bottleneck(stages)
    assert (found.room, found.stage.subject) == (Room.FORWARD, "one"), "two models at 60 and 90 are 36 together"
    assert found.images_per_s == pytest.approx(36.0)
    without = [each for each in stages if each.subject != "two"]
    assert (find_bottleneck(without).room, find_bottleneck(without).stage.name) == (Room.WORKERS, "decode")
    busy = [*without, stage("verify", Room.WORKERS, 10.0)]
    assert find_bottleneck(busy).stage.name == "verify"
    assert find_bottleneck(busy).images_per_s == pytest.approx(8.0)
    with pytest.raises(ValueError, match="no stage"):
        find_bottleneck([stage("upsert", Room.CHROMA, 1.0)])


def test_the_span_of_a_scan_is_free_of_its_start() -> None:
    assert span_of([Point(0.0, 0), Point(5.0, 10), Point(6.0, 40), Point(7.0, 110)]) == (100, 2.0)
    assert span_of([Point(0.0, 0), Point(5.0, 10)]) == (10, 5.0)
    assert span_of([Point(0.0, 0)]) == (0, 0.0)
    assert span_of([]) == (0, 0.0)
