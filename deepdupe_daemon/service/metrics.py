"""The figures of a running service as Prometheus reads them. Imports prometheus_client, which is an extra."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

import deepdupe_daemon
from deepdupe_daemon.act import Kind, Record
from deepdupe_daemon.service.meters import Meters
from deepdupe_daemon.service.pipeline import Pipeline
from deepdupe_daemon.vision import device_bytes

__all__ = ["PipelineCollector", "PrometheusMeters", "make_registry"]

_SECONDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300)
_IMAGES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


class PrometheusMeters(Meters):
    """Histograms and counters; prometheus_client locks them itself."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._seconds = Histogram(
            "deepdupe_stage_seconds",
            "Time of one step of a stage, its waiting included.",
            ["stage"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._images = Histogram(
            "deepdupe_batch_images", "Images in one batch through the models.", buckets=_IMAGES, registry=registry
        )
        self._records = Counter(
            "deepdupe_records", "Records handed to the journal, by kind.", ["kind"], registry=registry
        )
        self._verdicts = Counter(
            "deepdupe_verdicts",
            "Verdicts that were told, by class and by what was done.",
            ["verdict", "action"],
            registry=registry,
        )
        for stage in ("decode", "forward", "judge", "alert"):
            self._seconds.labels(stage)
        for kind in Kind:
            self._records.labels(kind.slug)

    def took(self, stage: str, seconds: float) -> None:
        self._seconds.labels(stage).observe(seconds)

    def batch(self, images: int) -> None:
        self._images.observe(images)

    def told(self, record: Record) -> None:
        self._records.labels(record.kind.slug).inc()
        if record.kind in (Kind.DUPLICATE_FOUND, Kind.RELATED_FOUND):
            self._verdicts.labels(str(record.fields.get("VERDICT")), str(record.fields.get("ACTION"))).inc()


class PipelineCollector(Collector):
    """Reads the snapshots that the stages publish anyway, when Prometheus asks; in the metrics thread."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline

    def collect(self) -> Iterator[Metric]:
        pipeline = self._pipeline
        counts = pipeline.desk.ask(lambda ledger: ledger.counts())
        live, backfill = pipeline.desk.ask(lambda ledger: ledger.pending_counts())
        yield _gauge("deepdupe_build_info", "1, with the version.", {deepdupe_daemon.__version__: 1}, "version")
        yield _gauge("deepdupe_files", "Known files, by state.", {str(k): v for k, v in counts.items()}, "state")
        forward, store = pipeline.forward.status(), pipeline.store.status()
        decoder = pipeline.pool.status() if pipeline.pool is not None else None
        queues = {
            "pending-live": live,
            "pending-backfill": backfill,
            "in-flight": pipeline.feeder.in_flight if pipeline.judging_ready.is_set() else 0,
            "decode": decoder.queued if decoder is not None else 0,
            "forward": forward.waiting_live + forward.waiting_backfill,
            "judge": len(pipeline.inbox),
            "store": store.lag_rows,
        }
        yield _gauge("deepdupe_queue_files", "What waits before each stage.", queues, "queue")
        yield _gauge("deepdupe_space_rows", "Vectors in memory, by space.", _rows(pipeline), "space")
        intake = pipeline.intake.status()
        yield _gauge("deepdupe_folders_away", "Watched folders that are away.", {"": len(intake.offline)})
        yield _gauge("deepdupe_watched_directories", "Directories with a watch.", {"": intake.watched_directories})
        yield _counter("deepdupe_events", "Events of the kernel that were handled.", {"": intake.events})
        yield _counter(
            "deepdupe_events_lost", "Times that events were lost; a walk made it good.", {"": intake.events_lost}
        )
        yield _counter("deepdupe_walks", "Walks through a watched folder that ended.", {"": intake.walks})
        embedded = {"done": forward.done, "failed": forward.failed}
        yield _counter("deepdupe_embedded", "Images that went through the models.", embedded, "outcome")
        if decoder is not None:
            yield _gauge("deepdupe_decoders", "Decoding processes that run.", {"": decoder.workers})
            yield _counter("deepdupe_decoded", "Files that the decoding processes were asked for.", {"": decoder.done})
            ended = {"crashed": decoder.crashed, "late": decoder.late, "recycled": decoder.recycled}
            yield _counter("deepdupe_decoders_ended", "Decoding processes that ended, by reason.", ended, "reason")
        yield _gauge("deepdupe_disk_bytes", "Size at rest.", _sizes(pipeline.config.state_dir), "what")
        yield _gauge("deepdupe_device_bytes", "Memory of the devices in use.", device_bytes(), "device")


def make_registry(pipeline: Pipeline, registry: CollectorRegistry) -> CollectorRegistry:
    """`registry`, which holds the meters, with all that is read on request."""
    registry.register(PipelineCollector(pipeline))
    ProcessCollector(registry=registry)
    return registry


def _gauge(name: str, text: str, values: Mapping[str, float], label: str | None = None) -> Metric:
    return _filled(GaugeMetricFamily(name, text, labels=[label] if label else None), values, label)


def _counter(name: str, text: str, values: Mapping[str, float], label: str | None = None) -> Metric:
    return _filled(CounterMetricFamily(name, text, labels=[label] if label else None), values, label)


def _filled(family: GaugeMetricFamily | CounterMetricFamily, values: Mapping[str, float], label: str | None) -> Metric:
    for key, value in values.items():
        family.add_metric([key] if label else [], value)
    return family


def _rows(pipeline: Pipeline) -> dict[str, float]:
    return {name: float(str(facts["rows"])) for name, facts in pipeline.spaces().items()}


def _sizes(state_dir: Path) -> dict[str, float]:
    """Bytes of the ledger, of its log, and of Chroma's folder."""
    sizes = {"ledger": 0.0, "ledger-wal": 0.0, "chroma": 0.0}
    for key, name in (("ledger", "ledger.sqlite"), ("ledger-wal", "ledger.sqlite-wal")):
        sizes[key] = float(_size(os.path.join(state_dir, name)))
    for folder, _, files in os.walk(state_dir / "chroma"):
        sizes["chroma"] += sum(_size(os.path.join(folder, name)) for name in files)
    return sizes


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:  # replaced or removed at this moment
        return 0
