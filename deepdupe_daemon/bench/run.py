"""One benchmark, from pictures and models to figures."""

from __future__ import annotations

import functools
import itertools
import os
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from deepdupe_daemon.bench.bottleneck import Bottleneck, find_bottleneck, room_rates
from deepdupe_daemon.bench.forwarding import Model
from deepdupe_daemon.bench.pictures import Pictures, borrow, keep_only, make
from deepdupe_daemon.bench.recalling import Rows, commit, fill, recall, records, upsert
from deepdupe_daemon.bench.seeing import Pair, see_all, verify_pairs
from deepdupe_daemon.bench.stage import Room, Stage, stage_of
from deepdupe_daemon.bench.whole import scan_stage
from deepdupe_daemon.clock import Clock
from deepdupe_daemon.config import Config, config_for_folders, validated
from deepdupe_daemon.errors import StateError
from deepdupe_daemon.index import ExactIndex
from deepdupe_daemon.ledger import Ledger
from deepdupe_daemon.model import F32Array, Sighting
from deepdupe_daemon.service.loading import configured_thresholds
from deepdupe_daemon.service.recalling import exact_index
from deepdupe_daemon.vision import DecoderPool, load_embedder

__all__ = ["BenchResult", "BenchStep", "bench"]

_STOP_S = 5.0
_MOST_ALONE = 32
_MOST_PAIRS = 64
_UNLIKE_PAIRS = 8


@dataclass(frozen=True, slots=True)
class BenchStep:
    """How far it is: `done` of `total` of what `phase` says."""

    phase: str
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class BenchResult:
    """What came of it. `complete` is False where the scan was stopped: then `whole` is missing among the stages."""

    source: str
    images: int
    not_pictures: int
    megapixels: float  # a picture, on average
    megabytes: float  # a file, on average
    processors: int
    workers: int
    models: tuple[str, ...]
    stages: tuple[Stage, ...]
    bottleneck: Bottleneck
    rooms: Mapping[Room, float]
    complete: bool

    @property
    def whole_share(self) -> float | None:
        """The rate as a whole, of what its slowest room carries alone."""
        whole = next((stage for stage in self.stages if stage.name == "whole"), None)
        return None if whole is None else whole.per_s / self.bottleneck.images_per_s


def bench(
    folder: Path | None,
    models: Sequence[str],
    *,
    device: str,
    images: int,
    known: int,
    workers: int,
    seed: int,
    seconds: float,
    clock: Clock,
    environ: Mapping[str, str],
    on_step: Callable[[BenchStep], None] = lambda _step: None,
) -> BenchResult:
    """Measure every stage on up to `images` files of `folder`, or on pictures of our own, with `models`.

    `known`: rows that the index holds already. `seconds`: how long each stage that can be repeated is. Raises
    ConfigError, StateError for a folder without a picture, ModelError, DeepDupeError.
    """
    with tempfile.TemporaryDirectory(prefix="deepdupe-bench-") as name:
        place = Path(os.path.realpath(name))
        config = _config(place, models, device, workers, environ)

        def step(phase: str) -> Callable[[int, int], None]:
            return lambda done, total: on_step(BenchStep(phase, done, total))

        photos = place / "photos"
        if folder is None:
            pictures = make(photos, images, clock=clock, on_step=step("making pictures"))
        else:
            pictures = borrow(folder, photos, images, seed=seed, clock=clock, on_step=step("reading"))
        run = _Run(place, config, pictures, clock=clock, environ=environ, step=step)
        return run.carry_out(known, seconds)


def _config(place: Path, models: Sequence[str], device: str, workers: int, environ: Mapping[str, str]) -> Config:
    """The defaults for the temporary folder. Raises ConfigError for an unknown model or device."""
    (place / "photos").mkdir()
    found = config_for_folders([place / "photos"], state_dir=place / "state", models=models, environ=environ)
    (place / "photos").rmdir()
    values = found.model_dump()
    values["models"] = [{"name": model.name, "weights": model.weights, "device": device} for model in found.models]
    values["decoder"]["workers"] = workers
    values["chroma"]["free_space_floor_bytes"] = 1  # what it fills here is small, and is gone in a moment
    return validated(values)


class _Run:
    """Owned by the calling thread."""

    def __init__(
        self,
        place: Path,
        config: Config,
        pictures: Pictures,
        *,
        clock: Clock,
        environ: Mapping[str, str],
        step: Callable[[str], Callable[[int, int], None]],
    ) -> None:
        self._place = place
        self._config = config
        self._pictures = pictures
        self._clock = clock
        self._environ = environ
        self._step = step
        self._root = os.fsencode(pictures.folder)

    def carry_out(self, known: int, seconds: float) -> BenchResult:
        pictures = self._pictures
        read_s = pictures.read_s
        stages = [stage_of("read", Room.DISK, read_s, items=len(read_s), took_s=sum(read_s))]
        models: list[Model] = []
        pool: DecoderPool | None = None
        try:
            for number, model in enumerate(self._config.models):
                self._step(f"loading {model.name}")(number, len(self._config.models))
                load = functools.partial(load_embedder, model, environ=self._environ)
                models.append(Model(load, self._clock))
            pool = DecoderPool(
                self._config.decoder, [model.spec for model in models], clock=self._clock, claim=lambda *_: True
            )
            pool.start()
            workers = pool.status().size
            seen = see_all(pool, pictures.keys, self._clock, self._step("decoding"))
            if not seen.sightings:
                raise StateError(
                    "there is no picture in it that can be decoded",
                    where=pictures.source,
                    hint="name a folder with photos",
                )
            stages += seen.stages
            keep_only(pictures, [sighting.key for sighting in seen.sightings])
            stages += self._apart(pool, models, seen.sightings, known, seconds)
        finally:
            for each in models:
                each.close()
            if pool is not None:
                pool.stop(_STOP_S)
        whole = scan_stage(self._config, self._clock, self._step("all together"))
        if whole is not None:
            stages.append(whole)
        described = tuple(model.description for model in models)
        return self._result(seen.sightings, workers, described, stages, whole is not None)

    def _apart(
        self, pool: DecoderPool, models: Sequence[Model], sightings: Sequence[Sighting], known: int, seconds: float
    ) -> list[Stage]:
        """Every stage behind decoding, one after another."""
        stages: list[Stage] = []
        rows: dict[str, list[F32Array]] = {}
        for number, model in enumerate(models):
            self._step(f"forward {model.description}")(number, len(models))
            stage, found = model.measure([sighting.inputs[model.spec] for sighting in sightings], seconds)
            stages.append(stage)
            for each in found:
                for name, row in each.items():
                    rows.setdefault(name, []).append(row)
        count = min(len(each) for each in rows.values())  # slow models do not come round to all of them
        matrices: Rows = {name: np.stack(each[:count]) for name, each in rows.items()}
        spaces = [space for model in models for space in model.spaces]
        index = exact_index(self._config, spaces, self._clock)
        self._step("recall")(0, len(spaces))
        fill(index, spaces, known)
        thresholds = configured_thresholds(self._config)
        limit = self._config.judge.max_candidates
        recalled, pairs = recall(index, matrices, thresholds, limit, self._clock)
        stages += recalled
        self._step("commit")(0, 1)
        stages.append(commit(self._place / "apart", sightings[:count], matrices, spaces, self._root, self._clock))
        verified = verify_pairs(
            pool,
            _chosen(pairs, sightings),
            self._clock,
            pairs_per_image=len(pairs) / count,
            on_step=self._step("verify"),
        )
        if verified is not None:
            stages.append(verified)
        self._step("upsert")(0, len(spaces))
        stages += upsert(self._place / "apart", spaces, self._config, self._environ, seconds, self._clock)
        stages.append(self._alone(pool, models, sightings[: min(count, _MOST_ALONE)], index, thresholds))
        return stages

    def _alone(
        self,
        pool: DecoderPool,
        models: Sequence[Model],
        sightings: Sequence[Sighting],
        index: ExactIndex,
        thresholds: Mapping[str, float],
    ) -> Stage:
        """One picture after another through the rooms, as on an idle machine: from its bytes to its candidates."""
        calls_s: list[float] = []
        step = self._step("one at a time")
        with Ledger.open(self._place / "alone", self._clock) as ledger:
            for model in models:
                for space in model.spaces:
                    ledger.ensure_space(space)
            noted = records(ledger, sightings, {}, self._root)
            for number, record in enumerate(noted):
                began_s = self._clock.monotonic_s()
                sighting = pool.see(record.file_id, record.key, live=True).result()
                assert sighting is not None, "every claim is granted"
                rows = {name: row for model in models for name, row in model.embed(sighting.inputs[model.spec]).items()}
                vectors = {name: row.astype(np.float16) for name, row in rows.items()}
                ledger.record_seen([replace(record, vectors=vectors)])
                for name, row in rows.items():
                    index.search(name, row[None], thresholds[name], self._config.judge.max_candidates)
                calls_s.append(self._clock.monotonic_s() - began_s)
                step(number + 1, len(noted))
        return stage_of("alone", Room.ALL, calls_s, items=len(calls_s), took_s=sum(calls_s))

    def _result(
        self, sightings: Sequence[Sighting], workers: int, models: tuple[str, ...], stages: Sequence[Stage], whole: bool
    ) -> BenchResult:
        pixels = [sighting.facts.width_px * sighting.facts.height_px for sighting in sightings]
        sizes = [sighting.key.identity.size for sighting in sightings]
        return BenchResult(
            source=self._pictures.source,
            images=len(sightings),
            not_pictures=len(self._pictures.keys) - len(sightings),
            megapixels=sum(pixels) / len(pixels) / 1e6,
            megabytes=sum(sizes) / len(sizes) / 1e6,
            processors=len(os.sched_getaffinity(0)),
            workers=workers,
            models=models,
            stages=tuple(stages),
            bottleneck=find_bottleneck(stages),
            rooms=room_rates(stages),
            complete=whole,
        )


def _chosen(pairs: Collection[tuple[int, int]], sightings: Sequence[Sighting]) -> list[Pair]:
    """What recall proposes, else each picture with its neighbour, so that there is a figure at all."""
    numbers = sorted(pairs)[:_MOST_PAIRS] or list(itertools.pairwise(range(min(len(sightings), _UNLIKE_PAIRS + 1))))

    def party(number: int) -> tuple[bytes, bytes]:
        return sightings[number].key.path, sightings[number].digest

    return [(party(a), party(b)) for a, b in numbers]
