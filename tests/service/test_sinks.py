"""Records reach the journal as bytes, or stderr as one line; what cannot be had is said."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from deepdupe_daemon.act import Kind, Priority, Record, notice_record
from deepdupe_daemon.clock import ManualClock
from deepdupe_daemon.errors import ConfigError
from deepdupe_daemon.service.sinks import CallbackSink, JournalSink, LevelSink, StderrSink, TeeSink, choose_sink

RECORD = Record(Kind.DUPLICATE_FOUND, "duplicate (re-encoded): /a is a copy of /b", {"PATH": b"/caf\xe9\nX=1"})


def test_stderr_gets_one_line_a_record() -> None:
    stream = io.StringIO()
    sink = StderrSink(stream, ManualClock())
    sink.emit(RECORD)
    sink.emit(notice_record("root-offline", "two\nlines"))
    first, second = stream.getvalue().splitlines()
    assert first.endswith(" notice: duplicate (re-encoded): /a is a copy of /b")
    assert second.endswith(" warning: two lines")


def test_the_journal_gets_bytes_that_no_file_name_can_break_out_of() -> None:
    sent: list[tuple[bytes, ...]] = []
    JournalSink(lambda *fields: sent.append(fields)).emit(RECORD)
    assert b"DEEPDUPE_PATH=/caf\xe9\nX=1" in sent[0]
    assert b"MESSAGE_ID=" + Kind.DUPLICATE_FOUND.message_id.encode() in sent[0]
    assert len(sent[0]) == len({field.split(b"=")[0] for field in sent[0]})


def test_where_no_journal_listens_auto_is_stderr(tmp_path: Path) -> None:
    sink, remark = choose_sink("auto", stream=io.StringIO(), clock=ManualClock(), journal_socket=str(tmp_path / "none"))
    assert isinstance(sink, StderrSink)
    assert remark is None


def test_a_journal_without_its_library_is_said_once_and_goes_to_stderr(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "systemd", None)
    (tmp_path / "socket").touch()
    stream = io.StringIO()
    sink, remark = choose_sink("auto", stream=stream, clock=ManualClock(), journal_socket=str(tmp_path / "socket"))
    assert isinstance(sink, StderrSink)
    assert remark is not None
    assert "systemd-python" in remark
    with pytest.raises(ConfigError, match="systemd-python is not installed"):
        choose_sink("journal", stream=stream, clock=ManualClock(), journal_socket=str(tmp_path / "socket"))


def test_the_journal_that_was_asked_for_and_does_not_listen_is_an_error(tmp_path: Path) -> None:
    pytest.importorskip("systemd.journal", reason="systemd-python is not installed")
    with pytest.raises(ConfigError, match="nothing listens"):
        choose_sink("journal", stream=io.StringIO(), clock=ManualClock(), journal_socket=str(tmp_path / "none"))


def test_what_is_less_important_than_the_configured_level_is_dropped() -> None:
    seen: list[Record] = []
    sink = LevelSink(CallbackSink(seen.append), Priority.WARNING)
    for kind in ("rescan-done", "root-offline", "fatal"):
        sink.emit(notice_record(kind, kind))
    assert [record.kind for record in seen] == [Kind.ROOT_OFFLINE, Kind.FATAL]


def test_a_tee_hands_on_in_order() -> None:
    seen: list[str] = []
    TeeSink([CallbackSink(lambda r: seen.append("a")), CallbackSink(lambda r: seen.append("b"))]).emit(RECORD)
    assert seen == ["a", "b"]
