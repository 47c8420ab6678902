"""The ways to run the service: for good, or once over what is there now."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from deepdupe_daemon.act import Kind, Priority, Record, notice_record
from deepdupe_daemon.clock import Clock, SystemClock
from deepdupe_daemon.config import Config
from deepdupe_daemon.ledger import Ledger
from deepdupe_daemon.model import FileState
from deepdupe_daemon.service.bounded import BoundedSink
from deepdupe_daemon.service.hooks import Hooks
from deepdupe_daemon.service.loading import resident_models
from deepdupe_daemon.service.notify import Notifier
from deepdupe_daemon.service.progress import Progress
from deepdupe_daemon.service.sinks import CallbackSink, JournalSink, LevelSink, Sink, TeeSink, choose_sink
from deepdupe_daemon.service.supervisor import Supervisor

__all__ = ["ScanResult", "run_daemon", "run_scan"]


@dataclass(frozen=True, slots=True)
class ScanResult:
    """What is known after a scan. `duplicates` counts files with a proven verdict whose keeper is there too."""

    files: int
    indexed: int
    failed: int
    ignored: int
    duplicates: int
    told: int  # alerts that this run gave: duplicates that no earlier run had told of
    seconds: float
    complete: bool  # False when it was stopped before the end


def run_daemon(
    config: Config,
    *,
    read_config: Callable[[], Config] | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    on_record: Callable[[Record], None] | None = None,
    clock: Clock | None = None,
) -> int:
    """Watch, index, judge and alert until SIGTERM or SIGINT; returns 0 after an orderly stop.

    `read_config` reads the configuration again when SIGHUP or the control socket asks; without one SIGHUP, which a
    terminal sends when it closes, ends the run too.
    Records go to the journal or stderr as `config.alerts.to` says, and to `on_record` too where it is given; with it,
    stderr is left alone. Raises DeepDupeError (AlreadyRunning, StateError, ModelError, SpaceMismatch, ...).
    """
    _run(
        config,
        watch=True,
        on_progress=on_progress,
        on_record=on_record,
        clock=clock or SystemClock(),
        read_config=read_config,
    )
    return 0


def run_scan(
    config: Config,
    *,
    on_progress: Callable[[Progress], None] | None = None,
    on_record: Callable[[Record], None] | None = None,
    clock: Clock | None = None,
) -> ScanResult:
    """Index and judge what is there now, then end. Raises as `run_daemon` does."""
    the_clock = clock or SystemClock()
    began_s = the_clock.monotonic_s()
    supervisor = _run(config, watch=False, on_progress=on_progress, on_record=on_record, clock=the_clock)
    with Ledger.open(config.state_dir, the_clock) as ledger:
        counts = ledger.counts()
        duplicates = sum(1 for row in ledger.duplicates() if row.verdict.verdict_class.proven)
    return ScanResult(
        files=sum(count for state, count in counts.items() if state is not FileState.GONE),
        indexed=counts.get(FileState.INDEXED, 0),
        failed=counts.get(FileState.FAILED, 0),
        ignored=counts.get(FileState.IGNORED, 0),
        duplicates=duplicates,
        told=supervisor.told,
        seconds=the_clock.monotonic_s() - began_s,
        complete=not supervisor.stopped_early,
    )


def _run(
    config: Config,
    *,
    watch: bool,
    on_progress: Callable[[Progress], None] | None,
    on_record: Callable[[Record], None] | None,
    clock: Clock,
    read_config: Callable[[], Config] | None = None,
) -> Supervisor:
    level, sink = _sink(config, clock, on_record)
    hooks = Hooks(config.hooks, environ=os.environ, report=sink.emit) if config.hooks else None
    supervisor = Supervisor(
        config,
        clock=clock,
        sink=sink if hooks is None else TeeSink([sink, hooks]),
        notifier=Notifier.from_environment(os.environ, os.getpid()),
        models=resident_models(config, os.environ, lambda notice: sink.emit(notice_record(notice.kind, notice.text))),
        watch=watch,
        hooks=hooks,
        on_progress=on_progress,
        read_config=read_config,
        on_reload=lambda config: setattr(level, "least", Priority[config.log_level.upper()]),
    )
    with _signals(supervisor, reloads=read_config is not None):
        supervisor.run()
    return supervisor


def _sink(config: Config, clock: Clock, on_record: Callable[[Record], None] | None) -> tuple[LevelSink, Sink]:
    """What keeps the records that are important enough, and where the service is to send them."""
    sink, remark = choose_sink(config.alerts.to, stream=sys.stderr, clock=clock)
    if remark is not None:
        sink.emit(notice_record(Kind.NOTICE, remark))
    kept = LevelSink(BoundedSink(sink, clock), Priority[config.log_level.upper()])
    if on_record is None:
        return kept, kept
    shown = CallbackSink(on_record)
    return kept, TeeSink([kept, shown]) if isinstance(sink, JournalSink) else shown


@contextmanager
def _signals(supervisor: Supervisor, *, reloads: bool) -> Iterator[None]:
    def stop(_signal: int, _frame: FrameType | None) -> None:
        supervisor.stop()

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}

    def reload(_signal: int, _frame: FrameType | None) -> None:
        supervisor.reload()

    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN or reloads:  # nohup(1) ignores it, and means it
        before[signal.SIGHUP] = signal.signal(signal.SIGHUP, reload if reloads else stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
