"""The rooms, wired: the one place where they meet.

Threads and what each owns: intake (settling, walks), feeder (the window of files in flight), one per decoding worker,
forward (models and devices), judging (the exact index), alerting, carrying (the quarantine), Chroma's writer, control.
Each has its own connection to the ledger; what passes between them is frozen.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence

from deepdupe_daemon.act import Kind, notice_record
from deepdupe_daemon.clock import Clock
from deepdupe_daemon.config import Config
from deepdupe_daemon.errors import ControlError
from deepdupe_daemon.index import ShardedWriter
from deepdupe_daemon.intake import Intake
from deepdupe_daemon.ledger import Ledger
from deepdupe_daemon.model import F32Array, FileKey, SpaceKey, VerdictClass
from deepdupe_daemon.service.alerter import Alerter
from deepdupe_daemon.service.carrying import Carrying
from deepdupe_daemon.service.claims import Claims, Follower
from deepdupe_daemon.service.desk import LedgerDesk
from deepdupe_daemon.service.examiner import Examiner
from deepdupe_daemon.service.feeder import Feeder
from deepdupe_daemon.service.inbox import Inbox, Known, Question
from deepdupe_daemon.service.judging import Judging
from deepdupe_daemon.service.live_check import LiveCheck
from deepdupe_daemon.service.membership import Membership
from deepdupe_daemon.service.meters import Meters
from deepdupe_daemon.service.policy import policy_of
from deepdupe_daemon.service.recalling import exact_index
from deepdupe_daemon.service.resident import ResidentModels
from deepdupe_daemon.service.sinks import Sink
from deepdupe_daemon.service.switches import Switches
from deepdupe_daemon.service.threads import OnFatal, start_thread
from deepdupe_daemon.vision import DecoderPool, ForwardThread, Job

__all__ = ["Pipeline"]

#: files in flight at least, so that the workers never wait for the feeder; a device batch may want more
LEAST_WINDOW = 64

#: files in flight at most: each holds its decoded inputs, 150 kB at 224 x 224
MOST_WINDOW = 1024

#: how long a reload waits for the old watches' threads: one that hangs on a dead mount ends by itself, later
_INTAKE_SWAP_S = 10.0


class Pipeline:
    """Everything between the folders and the alerts. Started and stopped by the supervising thread, once."""

    def __init__(
        self,
        config: Config,
        *,
        clock: Clock,
        sink: Sink,
        models: ResidentModels,
        watch: bool,
        on_fatal: OnFatal,
        meters: Meters | None = None,
    ) -> None:
        self.config = config
        self.clock = clock
        self.models = models
        self._sink = sink
        self._on_fatal = on_fatal
        self.inbox = Inbox()
        self.judging_ready = threading.Event()
        self._changed = threading.Event()
        self.desk = LedgerDesk(self.open_ledger, "ledger-desk")
        self._claims_desk = LedgerDesk(self.open_ledger, "ledger-claims")
        self.claims = Claims(self._is_known, self._known)
        self.switches = Switches(config.roots, clock, acting=watch)  # a scan looks, and moves nothing
        self._meters = meters or Meters()
        self.alerter = Alerter(
            open_ledger=self.open_ledger,
            emit=sink.emit,
            classes=_told_classes(config),
            clock=clock,
            wants=self.switches.wants,
            on_orders=lambda: self.carrying.poke(),
            meters=self._meters,
        )
        self.carrying = Carrying(
            config,
            open_ledger=self.open_ledger,
            emit=sink.emit,
            clock=clock,
            on_settled=self.alerter.poke,
            away=lambda: self.intake.status().offline,
        )
        self.store = ShardedWriter(config.state_dir, config.chroma, self.open_ledger, clock, self._notice)
        self._watch = watch
        self.intake = self._intake(config)
        self.forward = ForwardThread(
            models.load,
            clock=clock,
            linger_s=max(model.linger_ms for model in config.models) / 1000,
            on_done=self._embedded,
            on_ready=self._models_ready,
            on_failed=lambda error: on_fatal("forward", error),
            on_notice=self._notice,
        )
        self.pool: DecoderPool | None = None
        self._feeder: Feeder | None = None
        self._judging: threading.Thread | None = None
        self._carrying: threading.Thread | None = None
        self._retune: Callable[[Config], None] = lambda _config: None
        self._threads: list[threading.Thread] = []

    @property
    def feeder(self) -> Feeder:
        if self._feeder is None:
            raise RuntimeError("the pipeline feeds once its models are resident")
        return self._feeder

    @property
    def ready(self) -> bool:
        """Whether arrivals are judged and acted on from now on, and nothing that a stop cut off is left as it was."""
        return self.judging_ready.is_set() and self.carrying.recovered.is_set() and self.intake.status().armed

    def open_ledger(self) -> Ledger:
        return Ledger.open(self.config.state_dir, self.clock)

    def start(self) -> None:
        """What a stop cut off is put right, watching and walking begin at once, and the models load meanwhile; `go`
        follows once they are resident."""
        (self.config.state_dir / "canary").mkdir(mode=0o700, exist_ok=True)
        self.desk.ask(self.switches.note)
        self._carrying = start_thread("carrying", self.carrying.run, self._on_fatal)
        self.intake.start()
        self.forward.start()

    def go(self) -> None:
        """Feed, judge, alert and store. The models are resident."""
        resident = self.models.described
        self.pool = DecoderPool(
            self.config.decoder,
            resident.specs,
            clock=self.clock,
            claim=self._claim,
            max_file_bytes=self.config.intake.max_file_bytes,
        )
        self.pool.start()
        self.live_check = LiveCheck(
            pool=self.pool, submit=self.forward.submit, inbox=self.inbox, examiner=lambda: self.examiner
        )
        self._feeder = Feeder(
            open_ledger=self.open_ledger,
            pool=self.pool,
            submit=self.forward.submit,
            inbox=self.inbox,
            clock=self.clock,
            window=min(max(LEAST_WINDOW, 2 * resident.batch_ceiling), MOST_WINDOW),
            meters=self._meters,
        )
        self._judging = start_thread("judging", self._judge, self._on_fatal)
        self._threads = [
            start_thread("feeder", self._feeder.run, self._on_fatal),
            start_thread("alerting", self.alerter.run, self._on_fatal),
        ]
        self.store.start()

    def reload(self, config: Config) -> None:
        """Take over what of `config` needs no restart (`reloading.plan_reload`). Supervising thread, after `go`.

        The judging thread follows with its next batch. Other folders or filters mean other watches and a walk, which
        finds whatever happens meanwhile.
        """
        before, self.config = self.config, config
        self.models.retune(config)
        self.alerter.tell_of(_told_classes(config))
        self.switches.take(config.roots)
        self.desk.ask(self.switches.note)
        self.carrying.take(config)
        self.inbox.put(Question(lambda: self._retune(config)))
        if (before.roots, before.intake) != (config.roots, config.intake):
            self.intake.stop(_INTAKE_SWAP_S)
            self.intake = self._intake(config)
            self.intake.start()

    def _intake(self, config: Config) -> Intake:
        return Intake(
            config.roots,
            config.intake,
            self.open_ledger,
            self.clock,
            self._pending,
            self._notice,
            watch=self._watch,
            canary_dir=config.state_dir / "canary" if self._watch else None,
        )

    def stop(self, timeout_s: float) -> None:
        """Take no more in, finish what is in flight until `timeout_s` from now, tell what was found, end.

        What is not finished stays pending in the ledger.
        """
        deadline_s = self.clock.monotonic_s() + timeout_s
        self.intake.stop(self._left(deadline_s))
        if self._feeder is not None:
            self._feeder.stop()
            idle = threading.Event()
            while self._feeder.in_flight and self.clock.monotonic_s() < deadline_s and not self._forward_ended():
                self.clock.wait(idle, 0.02)
        self.inbox.close()
        if self._judging is not None and not self._feeder_busy():
            self._judging.join(self._left(deadline_s))
        if self.judging_ready.is_set():
            self._judge_no_more()
        if self.pool is not None:
            self.pool.stop(self._left(deadline_s))
        self.forward.stop(self._left(deadline_s))
        if self._judging is not None:
            self._judging.join(self._left(deadline_s))
        self.carrying.stop()
        if self._carrying is not None:
            self._carrying.join(self._left(deadline_s))
        self.alerter.stop()
        self.store.stop(self._left(deadline_s))
        for thread in self._threads:
            thread.join(self._left(deadline_s))
        self._claims_desk.close()
        self.desk.close()

    def _forward_ended(self) -> bool:
        return self.forward.status().state == "failed"  # what is in flight will not be embedded

    def _left(self, deadline_s: float) -> float:
        # At least a moment: whoever stops needs one to see that it shall.
        return max(1.0, deadline_s - self.clock.monotonic_s())

    def _feeder_busy(self) -> bool:
        return self._feeder is not None and self._feeder.in_flight > 0

    def _judge(self) -> None:
        resident = self.models.described
        assert self.pool is not None
        with self.open_ledger() as ledger:
            index = exact_index(self.config, resident.spaces, self.clock)
            for space in resident.spaces:
                index.load(space.name, ledger.vectors(space.name))
            examiner = Examiner(
                index=index,
                ledger=ledger,
                pool=self.pool,
                policy=policy_of(self.config),
                thresholds=resident.thresholds,
                max_candidates=self.config.judge.max_candidates,
                normalised=resident.normalised,
            )
            self.examiner, self._judging_ledger = examiner, ledger
            judging = Judging(
                inbox=self.inbox,
                ledger=ledger,
                examiner=examiner,
                claims=self.claims,
                clock=self.clock,
                spaces=resident.space_names,
                membership=Membership(self.config),
                on_settled=self.feeder.settled,
                on_verdicts=self.alerter.poke,
                on_vectors=self.store.poke,
                emit=self._sink.emit,
                meters=self._meters,
            )
            self._judge_no_more = judging.stop
            self.judging_pulse = judging.pulse

            def retune(config: Config) -> None:
                examiner.retune(
                    policy=policy_of(config),
                    thresholds=self.models.described.thresholds,
                    max_candidates=config.judge.max_candidates,
                    normalised=self.models.described.normalised,
                )
                judging.keep_by(Membership(config))

            self._retune = retune
            self.judging_ready.set()
            judging.run()

    def _models_ready(self, spaces: tuple[SpaceKey, ...]) -> None:
        with self.open_ledger() as ledger:
            for space in ledger.switch_to(*spaces):
                text = f"space {space.name}: switched to the build of {space.weights or 'its model'}"
                self.report(Kind.NOTICE, text)
            for space in spaces:
                ledger.ensure_space(space)
            ledger.requeue_missing([space.name for space in spaces])

    def _known(self, follower: Follower) -> None:
        self.inbox.put(Known(*follower))

    def _claim(self, file_id: int, key: FileKey, digest: bytes) -> bool:
        return file_id < 0 or self.claims.claim(file_id, key, digest)

    def _embedded(self, done: Sequence[tuple[Job, dict[str, F32Array] | Exception]]) -> None:
        self._meters.batch(len(done))
        for job, outcome in done:
            if job.file_id < 0:
                self.live_check.embedded(job, outcome)
        self.feeder.embedded([each for each in done if each[0].file_id >= 0])

    def _is_known(self, digest: bytes) -> bool:
        names = self.models.described.space_names
        return self._claims_desk.ask(lambda ledger: ledger.has_vectors(digest, names))

    def tidy(self) -> None:
        """Judge again whose keeper is gone; note which roots were walked whole since they were switched to quarantine.
        Called by the supervising thread every few seconds; cheap when idle."""
        self._note_walked()
        if self._changed.is_set() and self.judging_ready.is_set():
            self._changed.clear()
            self.inbox.put(Question(self._follow_changes))

    def _note_walked(self) -> None:
        if not self.switches.any:
            return
        status = self.intake.status()
        if status.first_walk_done and not status.walking and not status.settling:
            self.desk.ask(lambda ledger: self.switches.note_walked(ledger, status.offline))

    def choose_keeper(self, verdict_id: int) -> bool:
        """See `Ledger.choose_keeper`; the group is judged again at once. Any thread. Raises ControlError."""
        if not self.judging_ready.is_set():
            raise ControlError("the daemon is still loading its models", hint="ask again in a moment")
        question = Question(lambda: self._judging_ledger.choose_keeper(verdict_id))
        if not self.inbox.put(question):
            raise ControlError("the daemon is stopping", hint="ask again when it runs")
        return bool(question.answer.result())

    def _follow_changes(self) -> None:
        """What intake changed, in the judging thread: keepers that are gone, pictures that nobody has any longer."""
        self._judging_ledger.judge_orphans_again()
        self.examiner.forget_gone()

    def _pending(self) -> None:
        """Intake changed the ledger: rows wait to be seen, or came back and wait to be judged, or are gone."""
        self._changed.set()
        if self._feeder is not None:
            self._feeder.poke()
        self.inbox.poke()

    def _notice(self, notice: object) -> None:
        """A room has something to tell. Rooms have notice types of their own, alike in `kind` and `text`."""
        path = getattr(notice, "path", None) or getattr(notice, "root", None)
        self._sink.emit(
            notice_record(
                str(getattr(notice, "kind", "notice")),
                str(getattr(notice, "text", notice)),
                path=os.fsencode(path) if path else None,
            )
        )

    def store_lag(self) -> int:
        """Rows that the ledger holds and Chroma does not yet; 0 where Chroma is off or cannot be used."""
        return self.store.lag_rows()

    def spaces(self) -> dict[str, dict[str, object]]:
        """The active spaces with their thresholds and sizes, for `status`."""
        if not self.judging_ready.is_set():
            return {}
        resident = self.models.described
        index = self.examiner.index
        return {
            space.name: {
                "dim": space.dim,
                "threshold": resident.thresholds[space.name],
                "rows": index.size(space.name),
                "searched": index.describe(space.name),
                "weights": space.weights,
                "fingerprint": space.fingerprint(),
            }
            for space in resident.spaces
        }

    def report(self, kind: Kind, text: str) -> None:
        self._sink.emit(notice_record(kind, text))


def _told_classes(config: Config) -> frozenset[VerdictClass]:
    related = {VerdictClass.RELATED, VerdictClass.SERIES} if config.judge.related_alerts else set()
    return frozenset(config.alerts.classes) | related
