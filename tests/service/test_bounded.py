"""A flood of warnings is bounded and counted; nothing else is ever left out."""

from __future__ import annotations

import pytest

from deepdupe_daemon.act import Kind, Priority, Record, failure_record
from deepdupe_daemon.clock import ManualClock
from deepdupe_daemon.service.bounded import BoundedSink
from deepdupe_daemon.service.sinks import CallbackSink


@pytest.fixture
def said() -> list[Record]:
    return []


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def sink(said: list[Record], clock: ManualClock) -> BoundedSink:
    return BoundedSink(CallbackSink(said.append), clock, most=5, window_s=60.0)


def broken(number: int) -> Record:
    return failure_record(b"/%d.jpg" % number, failure="truncated", reason="ends early", retry=False)


def test_a_flood_is_cut_off_with_a_word_and_counted_later(
    sink: BoundedSink, said: list[Record], clock: ManualClock
) -> None:
    for number in range(100):
        sink.emit(broken(number))
    assert [record.kind for record in said] == [Kind.FILE_FAILED] * 5 + [Kind.NOTICE]
    assert "not told one by one" in said[-1].message
    assert "status --failed" in said[-1].message
    said.clear()
    clock.advance(61.0)
    sink.emit(broken(100))
    assert [record.kind for record in said] == [Kind.NOTICE, Kind.FILE_FAILED]
    assert said[0].fields["LEFT_OUT"] == 95
    assert said[0].level is Priority.WARNING


def test_what_comes_slowly_is_told_whole(sink: BoundedSink, said: list[Record], clock: ManualClock) -> None:
    for number in range(50):
        sink.emit(broken(number))
        clock.advance(30.0)
    assert [record.kind for record in said] == [Kind.FILE_FAILED] * 50


def test_kinds_do_not_crowd_each_other_out(sink: BoundedSink, said: list[Record]) -> None:
    for number in range(100):
        sink.emit(broken(number))
    sink.emit(Record(Kind.EVENTS_LOST, "events were lost"))
    assert said[-1].kind is Kind.EVENTS_LOST


@pytest.mark.parametrize("kind", [Kind.DUPLICATE_FOUND, Kind.RELATED_FOUND, Kind.STAGE_HUNG, Kind.READY])
def test_alerts_and_what_is_critical_always_pass(sink: BoundedSink, said: list[Record], kind: Kind) -> None:
    for _ in range(1000):
        sink.emit(Record(kind, "x"))
    assert len(said) == 1000
