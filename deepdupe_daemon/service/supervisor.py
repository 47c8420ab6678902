"""The supervising thread: starts the pipeline, tells systemd and the terminal how it goes, and ends it in order."""

from __future__ import annotations

import os
import threading
import traceback
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from queue import SimpleQueue

from deepdupe_daemon.act import Kind, Priority, notice_record
from deepdupe_daemon.clock import Clock
from deepdupe_daemon.config import Config, remember
from deepdupe_daemon.errors import ConfigError, DeepDupeError
from deepdupe_daemon.ledger import lock_state_dir
from deepdupe_daemon.service.control import ControlServer
from deepdupe_daemon.service.control_client import socket_path
from deepdupe_daemon.service.digest import Digest
from deepdupe_daemon.service.gauge import Gauge
from deepdupe_daemon.service.hooks import Hooks
from deepdupe_daemon.service.measuring import Measuring
from deepdupe_daemon.service.meters import MeteredSink
from deepdupe_daemon.service.notify import Notifier
from deepdupe_daemon.service.operations import operations
from deepdupe_daemon.service.pipeline import Pipeline
from deepdupe_daemon.service.progress import Progress
from deepdupe_daemon.service.reloading import Reload, plan_reload
from deepdupe_daemon.service.resident import ResidentModels
from deepdupe_daemon.service.sinks import Sink
from deepdupe_daemon.service.stages import vitals_of
from deepdupe_daemon.service.starting import EXTENSION_S, long_step
from deepdupe_daemon.service.threads import start_thread
from deepdupe_daemon.service.vitals import Vitals, stack_of

__all__ = ["Supervisor"]

#: how long a stop may take before what is in flight is given up (it stays pending); below systemd's default of 90 s
DRAIN_S = 20.0

#: how long a stop waits for hooks that are under way before they are ended
HOOKS_S = 5.0

#: how long one step of a stage may take at least before it counts as hung
STEP_S = 60.0

#: models may take this long to load, and folders to be watched, before systemd's time limit for a start holds again
STARTING_S = 1800.0

#: between two looks at the stages: while there is work or somebody looks on, and while there is neither
BUSY_TICK_S = 0.5
IDLE_TICK_S = 5.0


@dataclass(slots=True)
class _Fatal:
    """What ended a thread that must not end."""

    thread: str
    error: BaseException


class Supervisor:
    """One run of the service. `run` is called once, in the thread that then supervises; `stop` from anywhere."""

    def __init__(
        self,
        config: Config,
        *,
        clock: Clock,
        sink: Sink,
        notifier: Notifier,
        models: ResidentModels,
        watch: bool,
        hooks: Hooks | None = None,
        on_progress: Callable[[Progress], None] | None = None,
        read_config: Callable[[], Config] | None = None,
        on_reload: Callable[[Config], None] | None = None,
    ) -> None:
        """`watch`: False ends the run once all that is there now has been judged and stored (`scan`). `hooks`: a part
        of `sink` whose thread is started and ended here.

        `read_config` reads the configuration again, and raises ConfigError; None where there is no file. `on_reload` is
        told, in the supervising thread, what is in force from now on.
        """
        self._config = config
        self._clock = clock
        self._sink = sink
        self._notifier = notifier
        self._models = models
        self._watch = watch
        self._hooks = hooks
        self._on_progress = on_progress or (lambda _progress: None)
        self._read_config = read_config
        self._on_reload = on_reload or (lambda _config: None)
        self._reloads: SimpleQueue[Future[Reload]] = SimpleQueue()
        self._vitals = Vitals(clock)
        self._hung: str | None = None
        self._digest: Digest | None = None
        self._wake = threading.Event()
        self._knocks: SimpleQueue[bool] = SimpleQueue()  # reentrant, as no other queue or lock is
        self._stopping = False
        self._fatal: _Fatal | None = None
        self.told = 0  # alerts given, once `run` is over
        self.stopped_early = True  # whether it ended before all was done, once `run` is over

    def stop(self) -> None:
        """Ask `run` to end in order. Safe in a signal handler: no lock is taken that whom it interrupts may hold."""
        self._stopping = True
        self._knocks.put(True)

    def reload(self) -> Future[Reload]:
        """Ask for the configuration file to be read again. Safe in a signal handler.

        The future gives what changed, or raises ConfigError where the file is wrong: then the old one goes on.
        """
        asked: Future[Reload] = Future()
        self._reloads.put(asked)
        self._knocks.put(True)
        return asked

    def run(self) -> None:
        """Until `stop`, or until all is done where `watch` is False.

        Raises AlreadyRunning, StateError, ModelError, SpaceMismatch at start; and whatever ended a thread, after an
        orderly stop.
        """
        with lock_state_dir(self._config.state_dir):
            remember(self._config)
            hooks = start_thread("hooks", self._hooks.run, self._note_fatal) if self._hooks is not None else None
            measuring = Measuring(self._config)
            give_up_s = self._clock.monotonic_s() + STARTING_S
            with long_step(self._notifier, self._clock, "opening the ledger", until_s=give_up_s):
                pipeline = Pipeline(
                    self._config,
                    clock=self._clock,
                    sink=MeteredSink(self._sink, measuring.meters),
                    meters=measuring.meters,
                    models=self._models,
                    watch=self._watch,
                    on_fatal=self._note_fatal,
                )
            copy = pipeline.desk.ask(lambda ledger: ledger.copy_before_upgrade)
            if copy is not None:
                pipeline.report(Kind.NOTICE, f"the ledger was brought up to date; as it was before it lies at {copy}")
            gauge = Gauge(pipeline, self._clock)
            reload = self.reload if self._read_config is not None else None
            control = ControlServer(socket_path(self._config), operations(pipeline, gauge, reload))
            listener = threading.Thread(target=self._listen, name="knocks", daemon=True)
            listener.start()
            try:
                control.start()
                measuring.start(pipeline)
                pipeline.start()
                self._serve(pipeline, gauge, give_up_s)
            finally:
                self._notifier.stopping("finishing what is in flight")
                if self._watch:
                    pipeline.report(
                        Kind.STOPPING, "stopping: finishing what is in flight, the rest waits in the ledger"
                    )
                control.stop()
                measuring.stop()
                pipeline.stop(DRAIN_S)
                self.told = pipeline.alerter.told
                if self._hooks is not None and hooks is not None:
                    self._hooks.stop()
                    hooks.join(HOOKS_S)
                    self._hooks.abandon()
                self._knocks.put(False)
                listener.join()
                while not self._reloads.empty():
                    self._reloads.get().cancel()
        if self._fatal is not None:
            self._tell_fatal(self._fatal)
            raise self._fatal.error

    def _listen(self) -> None:
        """Pass on what was asked for, perhaps in a signal handler: a thread of its own."""
        while self._knocks.get():
            self._wake.set()

    def _serve(self, pipeline: Pipeline, gauge: Gauge, give_up_s: float) -> None:
        if not self._load(pipeline, gauge, give_up_s):
            return
        pipeline.go()
        ready = False
        while not self._over():
            progress = gauge.read()
            self._on_progress(progress)
            if not ready and pipeline.ready:
                ready = True
                pipeline.report(Kind.READY, f"ready: {progress.text}")
                self._notifier.ready(progress.text)
            elif ready:
                self._notifier.status(progress.text)
            if not self._watch and progress.phase in ("idle", "storing") and gauge.quiet() and not pipeline.store_lag():
                self.stopped_early = False
                return
            if not ready:
                self._extend_start(give_up_s)
            else:
                self._prove_life(pipeline)
                self._tell_digest(pipeline)
                self._take_reloads(pipeline, progress)
            pipeline.tidy()
            self._clock.wait(self._wake, self._tick_s(progress))
            if not self._over():
                self._wake.clear()

    def _load(self, pipeline: Pipeline, gauge: Gauge, give_up_s: float) -> bool:
        """Wait for the models; False when the service is to end before they are there. Raises what loading raised."""
        while not self._over():
            if pipeline.forward.wait_ready(BUSY_TICK_S):
                return True
            self._extend_start(give_up_s)
            progress = gauge.read()
            self._notifier.status(progress.text)
            self._on_progress(progress)
        return False

    def _extend_start(self, give_up_s: float) -> None:
        if self._clock.monotonic_s() < give_up_s:
            self._notifier.extend_start(EXTENSION_S)

    def _tell_digest(self, pipeline: Pipeline) -> None:
        if not self._watch or not self._config.alerts.digest:
            return
        if self._digest is None:
            self._digest = Digest(pipeline.desk.ask, self._clock)
        record = self._digest.due()
        if record is not None:
            self._sink.emit(record)

    def _prove_life(self, pipeline: Pipeline) -> None:
        """The watchdog's ping, while every stage moves; else the reason, once, and an end by systemd's hand."""
        interval_s = self._notifier.watchdog_interval_s
        hung = self._vitals.look(list(vitals_of(pipeline, max(interval_s or 0.0, STEP_S))))
        if hung is None:
            self._hung = None
            self._notifier.alive()
        elif self._hung != hung.vital.stage:
            self._hung = hung.vital.stage
            text = f"the {hung.vital.stage} stage hangs: it has work and has not moved for {hung.since_s:.0f} s"
            restart = "; the service is started afresh, nothing is lost" if interval_s is not None else ""
            self._sink.emit(
                notice_record(
                    Kind.STAGE_HUNG,
                    text + restart,
                    stage=hung.vital.stage,
                    traceback=stack_of(hung.vital.thread),
                    pid=os.getpid(),
                )
            )
            self._notifier.hung(text)

    def _take_reloads(self, pipeline: Pipeline, progress: Progress) -> None:
        """Read the file once for all that asked."""
        asked: list[Future[Reload]] = []
        while not self._reloads.empty():
            asked.append(self._reloads.get())
        if not asked or self._read_config is None:
            return
        self._notifier.reloading("reading the configuration again", self._clock.monotonic_s())
        try:
            done = plan_reload(pipeline.config, self._read_config())
        except ConfigError as wrong:
            text = f"the configuration was not taken over, the old one goes on: {'; '.join(wrong.what.splitlines())}"
            pipeline.report(Kind.RELOAD_REFUSED, text)
            for each in asked:
                each.set_exception(wrong)
        else:
            pipeline.reload(done.config)
            self._on_reload(done.config)
            remember(done.config)
            pipeline.report(Kind.RELOADED, f"configuration read again; {done.text}")
            for each in asked:
                each.set_result(done)
        self._notifier.ready(progress.text)

    def _tick_s(self, progress: Progress) -> float:
        tick_s = IDLE_TICK_S if progress.phase == "idle" and self._watch else BUSY_TICK_S
        interval_s = self._notifier.watchdog_interval_s
        return min(tick_s, interval_s / 2) if interval_s is not None else tick_s

    def _over(self) -> bool:
        return self._stopping or self._fatal is not None

    def _note_fatal(self, thread: str, error: BaseException) -> None:
        if self._fatal is None:
            self._fatal = _Fatal(thread, error)
        self._wake.set()

    def _tell_fatal(self, fatal: _Fatal) -> None:
        if isinstance(fatal.error, DeepDupeError):
            return  # a person reads it from the exit of the command, with its hint
        trace = "".join(traceback.format_exception(fatal.error))
        self._sink.emit(
            notice_record(
                Kind.FATAL,
                f"the {fatal.thread} thread ended: {type(fatal.error).__name__}: {fatal.error}; "
                "the service stops so that it can be started afresh, nothing is lost",
                priority=Priority.CRITICAL,
                thread=fatal.thread,
                traceback=trace,
                pid=os.getpid(),
            )
        )
