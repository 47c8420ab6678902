"""One calibration, from folders and models to figures."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

import deepdupe_daemon
from deepdupe_daemon.calibration.bursts import burst_pairs
from deepdupe_daemon.calibration.collected import Collected, Photo, Shelf
from deepdupe_daemon.calibration.collector import COPY_SIDE_PX, Collector
from deepdupe_daemon.calibration.curve import Curve
from deepdupe_daemon.calibration.measure import Pair, measured, nearest_pairs, scores_of
from deepdupe_daemon.calibration.result import Calibration
from deepdupe_daemon.calibration.rows import SpaceRows
from deepdupe_daemon.calibration.scores import Scores
from deepdupe_daemon.calibration.stored import folder_of
from deepdupe_daemon.clock import Clock
from deepdupe_daemon.config import DecoderConfig, ModelConfig
from deepdupe_daemon.errors import FileFailed, StateError
from deepdupe_daemon.judge import PICTURE_SIDE_PX, compare_pictures
from deepdupe_daemon.model import Relation, SpaceKey
from deepdupe_daemon.vision import DecoderPool, Embedder, load_embedder
from deepdupe_daemon.vision.copies import EDITED, RE_ENCODED

__all__ = ["FEWEST_PHOTOS", "CalibrationRun", "Outcome", "Step", "calibrate"]

#: files between two writes: what a kill can cost
_CHUNK = 8
#: of the pairs that a space finds most alike, so many are looked at for real copies among the photos
_MOST_COMPARED = 200
#: fewer say nothing
FEWEST_PHOTOS = 20
_STOP_S = 5.0
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Step:
    """How far it is: models are loaded, photos are copied, pairs are compared."""

    phase: Literal["loading", "copying", "comparing"]
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """A space's calibration with what it was worked out from, for plots."""

    calibration: Calibration
    scores: Scores
    normalised: Scores
    curve: Curve
    normalised_curve: Curve


@dataclass(frozen=True, slots=True)
class CalibrationRun:
    """What a run came to. `outcomes` is empty where it was stopped before the end."""

    outcomes: tuple[Outcome, ...]
    photos: int
    complete: bool


def calibrate(
    candidates: Sequence[bytes],
    models: Sequence[ModelConfig],
    *,
    state_dir: Path,
    decoder: DecoderConfig,
    wanted: float,
    photos: int,
    seed: int,
    clock: Clock,
    environ: Mapping[str, str],
    on_step: Callable[[Step], None] = lambda _step: None,
    stop: threading.Event | None = None,
    load: Callable[[ModelConfig], Embedder] | None = None,
) -> CalibrationRun:
    """Calibrate every space of `models` on the first `photos` good ones of `candidates`.

    What was collected rests in the state dir until the run is complete, so that the same call goes on after a stop or a
    kill. `load` makes the embedder of a model. Raises ModelError, and StateError where there are too few photos.
    """
    on_step(Step("loading", 0, len(models)))
    embedders: dict[str, Embedder] = {}
    memory: dict[str, int] = {}
    pool: DecoderPool | None = None
    try:
        for model in models:
            before = _resident_bytes()
            embedders[model.name] = (load or (lambda each: load_embedder(each, environ=environ)))(model)
            memory[model.name] = max(0, _resident_bytes() - before)
            on_step(Step("loading", len(embedders), len(models)))
        specs = [embedder.spec for embedder in embedders.values()]
        pool = DecoderPool(decoder, specs, clock=clock, claim=lambda *_: True)
        pool.start()
        run = _Run(pool, embedders, memory, wanted=wanted, photos=photos, seed=seed, clock=clock, on_step=on_step)
        return run.carry_out(candidates, folder_of(state_dir), stop or threading.Event())
    finally:
        if pool is not None:
            pool.stop(_STOP_S)
        for embedder in embedders.values():
            embedder.close()


class _Run:
    """Owned by the calling thread."""

    def __init__(
        self,
        pool: DecoderPool,
        embedders: Mapping[str, Embedder],
        memory: Mapping[str, int],
        *,
        wanted: float,
        photos: int,
        seed: int,
        clock: Clock,
        on_step: Callable[[Step], None],
    ) -> None:
        self._pool = pool
        self._embedders = embedders
        self._memory = memory
        self._wanted = wanted
        self._photos = photos
        self._seed = seed
        self._clock = clock
        self._on_step = on_step

    def carry_out(self, candidates: Sequence[bytes], folder: Path, stop: threading.Event) -> CalibrationRun:
        shelf = Shelf(folder / f"unfinished-{self._identity()}")
        parts: list[Collected] = []
        have = 0
        for part in self._collect(candidates, shelf, stop):
            parts.append(part)
            have += len(part.photos)
            self._on_step(Step("copying", min(have, self._photos), self._photos))
        if stop.is_set():
            return CalibrationRun((), min(have, self._photos), complete=False)
        if have < FEWEST_PHOTOS:
            raise StateError(
                f"found {have} different photos; at least {FEWEST_PHOTOS} are needed, and some hundreds say something",
                hint="name a folder with more photos",
            )
        outcomes = self._outcomes(parts, len(candidates), stop)
        if outcomes is None:
            return CalibrationRun((), min(have, self._photos), complete=False)
        shelf.clear()
        return CalibrationRun(outcomes, min(have, self._photos), complete=True)

    def _collect(self, candidates: Sequence[bytes], shelf: Shelf, stop: threading.Event) -> Iterator[Collected]:
        collector = Collector(self._pool, self._embedders, self._clock, seed=self._seed)
        known: set[bytes] = set()
        have = 0
        for number, first in enumerate(range(0, len(candidates), _CHUNK)):
            if have >= self._photos or stop.is_set():
                return
            offered = candidates[first : first + _CHUNK]
            part = shelf.get(number, offered)
            if part is None:
                part = collector.collect(offered, known)
                shelf.put(number, part)
            known.update(photo.digest for photo in part.photos)
            have += len(part.photos)
            yield part

    def _outcomes(self, parts: Sequence[Collected], library: int, stop: threading.Event) -> tuple[Outcome, ...] | None:
        """None where it was stopped."""
        photos = [photo for part in parts for photo in part.photos][: self._photos]
        spaces = {space.name: (model, space) for model, each in self._embedders.items() for space in each.spaces}
        rows = {name: _rows_of(parts, name, len(photos)) for name in spaces}
        copies = self._copies_among(photos, rows, stop)
        if copies is None:
            return None
        bursts = burst_pairs(photos)
        return tuple(
            self._outcome(parts, model, space, rows[name], copies, bursts, library)
            for name, (model, space) in spaces.items()
        )

    def _outcome(
        self,
        parts: Sequence[Collected],
        model: str,
        space: SpaceKey,
        rows: SpaceRows,
        copies: Sequence[Pair],
        bursts: Sequence[Pair],
        library: int,
    ) -> Outcome:
        plain, normal = scores_of(rows, copies=copies, bursts=bursts)
        raw, curve = measured(plain, wanted=self._wanted, library=library)
        normalised, normalised_curve = measured(normal, wanted=self._wanted, library=library)
        seen_s = sum(part.seen_s for part in parts) / max(1, sum(len(part.offered) for part in parts))
        embedded_s = sum(part.embedded_s[model] for part in parts) / max(1, sum(part.embedded for part in parts))
        return Outcome(
            Calibration(
                space=space,
                wanted=self._wanted,
                photos=rows.photos,
                library=library,
                seed=self._seed,
                made_at_ns=self._clock.now_ns(),
                version=deepdupe_daemon.__version__,
                raw=raw,
                normalised=normalised,
                images_per_s=1 / (seen_s + embedded_s) if seen_s + embedded_s > 0 else 0.0,
                memory_bytes=self._memory[model],
                row_bytes=space.dim // 8 if rows.originals.dtype == np.uint8 else 2 * space.dim,
                copies_left_out=len(copies),
            ),
            plain,
            normal,
            curve,
            normalised_curve,
        )

    def _copies_among(
        self, photos: Sequence[Photo], rows: Mapping[str, SpaceRows], stop: threading.Event
    ) -> list[Pair] | None:
        """Pairs of the sample that are copies of each other, as the verifier sees it, among those most alike."""
        limit = min(_MOST_COMPARED, 2 * len(photos))
        pairs = sorted({pair for each in rows.values() for pair in nearest_pairs(each, limit)})
        futures = [
            self._pool.compare(
                (photos[one].path, photos[one].digest),
                (photos[other].path, photos[other].digest),
                compare_pictures,
                PICTURE_SIDE_PX,
            )
            for one, other in pairs
        ]
        found = []
        for done, (pair, future) in enumerate(zip(pairs, futures, strict=True)):
            if stop.is_set():
                for each in futures:
                    each.cancel()
                return None
            self._on_step(Step("comparing", done, len(pairs)))
            try:
                if future.result().relation in (Relation.SAME, Relation.EDITED):
                    found.append(pair)
            except FileFailed:
                continue  # it went away, or cannot be compared: the pair stays what it is taken for, two photos
        return found

    def _identity(self) -> str:
        """Equal for runs that collect the same: what one left unfinished another may go on with."""
        spaces = sorted(space.fingerprint() for each in self._embedders.values() for space in each.spaces)
        canonical = json.dumps([_FORMAT, self._seed, COPY_SIDE_PX, RE_ENCODED, EDITED, spaces])
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def _rows_of(parts: Sequence[Collected], space: str, photos: int) -> SpaceRows:
    def joined(name: str) -> np.ndarray[tuple[int, ...], np.dtype[np.generic]]:
        return np.concatenate([part.rows[space, name] for part in parts if part.photos])[:photos]

    return SpaceRows(joined(""), {name: joined(name) for name in (*RE_ENCODED, *EDITED)})


def _resident_bytes() -> int:
    """Of this process; 0 where the system does not say."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * 4096
    except (OSError, ValueError, IndexError):
        return 0
