"""How far the pipeline is: read by the supervising thread, never written by the stages."""

from __future__ import annotations

from deepdupe_daemon.clock import Clock
from deepdupe_daemon.model import FileState
from deepdupe_daemon.service.pipeline import Pipeline
from deepdupe_daemon.service.progress import Phase, Progress, RateMeter

__all__ = ["Gauge"]


class Gauge:
    """`read` and `quiet` belong to the supervising thread; `latest` is anyone's."""

    def __init__(self, pipeline: Pipeline, clock: Clock) -> None:
        self._pipeline = pipeline
        self._clock = clock
        self._meter = RateMeter()
        self._latest = Progress("starting", 0, 0, 0.0, None, 0, 0, "starting")

    def read(self) -> Progress:
        """One look at the ledger and at every stage."""
        pipeline = self._pipeline
        counts = pipeline.desk.ask(lambda ledger: ledger.counts())
        total = sum(count for state, count in counts.items() if state is not FileState.GONE)
        left = counts.get(FileState.PENDING, 0) + counts.get(FileState.SEEN, 0)
        done = total - left
        rate = self._meter.rate_per_s(self._clock.monotonic_s(), done)
        phase = self._phase(left)
        self._latest = Progress(
            phase=phase,
            done=done,
            total=total,
            rate_per_s=rate,
            remaining_s=left / rate if left and rate else None,
            failed=counts.get(FileState.FAILED, 0),
            duplicates=pipeline.alerter.told,
            text=self._text(phase, done, total, rate),
        )
        return self._latest

    def latest(self) -> Progress:
        """What `read` saw last."""
        return self._latest

    def quiet(self) -> bool:
        """Whether everything that was there has been seen, judged and told. Retries that lie ahead do not count."""
        pipeline = self._pipeline
        intake = pipeline.intake.status()
        if not pipeline.judging_ready.is_set() or not intake.first_walk_done or intake.walking or intake.settling:
            return False
        if pipeline.feeder.in_flight or len(pipeline.inbox):
            return False
        live, backfill = pipeline.desk.ask(lambda ledger: ledger.pending_counts())
        if live or backfill:
            return False
        return pipeline.desk.ask(lambda ledger: not ledger.take_seen(1) and not ledger.unalerted(1))

    def _phase(self, left: int) -> Phase:
        pipeline = self._pipeline
        if not pipeline.judging_ready.is_set():
            return "starting"
        if left:
            return "indexing"
        status = pipeline.intake.status()
        if not status.first_walk_done:
            return "walking"
        return "storing" if pipeline.store_lag() else "idle"

    def _text(self, phase: Phase, done: int, total: int, rate: float) -> str:
        models = ", ".join(status.description for status in self._pipeline.forward.status().embedders)
        known = f"{total:,} files known"
        match phase:
            case "starting":
                return f"loading models, {known}"
            case "walking":
                return f"looking through the folders, {known}"
            case "indexing":
                return f"indexing {done:,} of {total:,}, {rate:,.0f}/s, {self._waiting()}{models}"
            case "storing":
                return f"{known}, {self._pipeline.store_lag():,} rows on their way to Chroma, {models}"
            case _:
                return f"watching, {known}, {self._waiting()}{models}"

    def _waiting(self) -> str:
        """`25 left waiting, `: files that are still being written; and folders that are away."""
        intake = self._pipeline.intake.status()
        waiting = f"{intake.settling:,} left waiting, " if intake.settling else ""
        return waiting + (f"{len(intake.offline)} folders away, " if intake.offline else "")
