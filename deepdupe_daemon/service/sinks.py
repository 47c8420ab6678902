"""Where records go: the systemd journal, or one readable line each on stderr."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Protocol, TextIO

from deepdupe_daemon.act import Priority, Record
from deepdupe_daemon.clock import Clock
from deepdupe_daemon.errors import ConfigError

__all__ = ["CallbackSink", "JournalSink", "LevelSink", "Sink", "StderrSink", "TeeSink", "choose_sink"]

#: where journald listens; fixed inside libsystemd, so this is only asked whether it is there
JOURNAL_SOCKET = "/run/systemd/journal/socket"


class Sink(Protocol):
    """Takes records from any thread; raises OSError when a record could not be handed over."""

    def emit(self, record: Record) -> None: ...


class StderrSink:
    """One line a record: time, level, message. The lock keeps lines of different threads apart."""

    def __init__(self, stream: TextIO, clock: Clock) -> None:
        self._stream = stream
        self._clock = clock
        self._lock = threading.Lock()

    def emit(self, record: Record) -> None:
        moment = datetime.fromtimestamp(self._clock.now_ns() / 1e9, tz=UTC).astimezone()
        line = f"{moment:%Y-%m-%d %H:%M:%S} {record.level.name.lower()}: {record.message}\n"
        with self._lock:
            self._stream.write(line)
            self._stream.flush()


class JournalSink:
    """The journal, through systemd-python's `sendv`.

    Not its `JournalHandler`: that one loses a record whose path is not UTF-8 and adds 21 stray fields (measured).
    """

    def __init__(self, send: Callable[..., None] | None = None) -> None:
        """`send` takes `NAME=value` as bytes, one argument a field. Raises ImportError without systemd-python."""
        if send is None:
            from systemd import journal

            send = journal.sendv
        self._send = send

    def emit(self, record: Record) -> None:
        self._send(*(name.encode("ascii") + b"=" + value for name, value in record.journal_fields().items()))


class CallbackSink:
    """Hands each record to a function: how the command line shows alerts between the steps of a progress bar."""

    def __init__(self, take: Callable[[Record], None]) -> None:
        self._take = take

    def emit(self, record: Record) -> None:
        self._take(record)


class LevelSink:
    """Hands on what is at least as important as `least`, which may be set anew at any time; the rest is dropped."""

    def __init__(self, sink: Sink, least: Priority) -> None:
        self._sink = sink
        self.least = least

    def emit(self, record: Record) -> None:
        if record.level <= self.least:
            self._sink.emit(record)


class TeeSink:
    """Hands each record to several sinks, in order."""

    def __init__(self, sinks: Iterable[Sink]) -> None:
        self._sinks: Sequence[Sink] = tuple(sinks)

    def emit(self, record: Record) -> None:
        for sink in self._sinks:
            sink.emit(record)


def choose_sink(
    to: str, *, stream: TextIO, clock: Clock, journal_socket: str = JOURNAL_SOCKET
) -> tuple[Sink, str | None]:
    """The sink for `to` ("auto", "journal", "stderr"), and a sentence for people where it is not what they expect.

    "auto" is the journal where a journal listens, else stderr. Raises ConfigError when "journal" cannot be had.
    """
    if to == "stderr":
        return StderrSink(stream, clock), None
    listens = os.path.exists(journal_socket)
    if not listens and to == "auto":
        return StderrSink(stream, clock), None
    remedy = "install libsystemd-dev and pkg-config, then systemd-python into this environment; `make setup` does both"
    try:
        sink = JournalSink()
    except ImportError as missing:
        if to == "journal":
            raise ConfigError(
                "the journal was asked for, but systemd-python is not installed", where="alerts.to", hint=remedy
            ) from missing
        return StderrSink(
            stream, clock
        ), f"a journal is there, but systemd-python is not: alerts go to stderr ({remedy})"
    if not listens:
        raise ConfigError(
            f"the journal was asked for, but nothing listens at {journal_socket}",
            where="alerts.to",
            hint="use `auto` or `stderr` where systemd-journald does not run",
        )
    return sink, None
