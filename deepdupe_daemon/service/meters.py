"""What the stages measure of themselves while they work."""

from __future__ import annotations

from deepdupe_daemon.act import Record
from deepdupe_daemon.service.sinks import Sink

__all__ = ["MeteredSink", "Meters"]


class Meters:
    """Measures nothing: what a stage is given where nobody looks. Any thread; nothing here may block or raise."""

    def took(self, stage: str, seconds: float) -> None:
        """A step of `stage` (decode, forward, judge, alert) took `seconds`, its waiting included."""

    def batch(self, images: int) -> None:
        """A batch of so many images went through the models."""

    def told(self, record: Record) -> None:
        """A record was handed to the journal."""


class MeteredSink:
    """Hands each record on, and then to the meters."""

    def __init__(self, sink: Sink, meters: Meters) -> None:
        self._sink = sink
        self._meters = meters

    def emit(self, record: Record) -> None:
        self._sink.emit(record)
        self._meters.told(record)
