"""`reindex`: builds a model's spaces anew from the ledger and the files, beside the ones that serve."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

import numpy as np

from deepdupe_daemon.clock import Clock
from deepdupe_daemon.config import Config, ModelConfig
from deepdupe_daemon.errors import AlreadyRunning, ConfigError, FileFailed
from deepdupe_daemon.index import drop_collections
from deepdupe_daemon.ledger import FileRow, Ledger, lock_state_dir
from deepdupe_daemon.model import F32Array, Sighting, SpaceKey
from deepdupe_daemon.service.loading import resident_models
from deepdupe_daemon.vision import BatchRunner, DecoderPool, Job, VisionNotice

__all__ = ["ReindexResult", "drop_old_spaces", "reindex"]

#: images between two commits: what a kill can cost
BATCH = 64

STOP_S = 10.0


@dataclass(frozen=True, slots=True)
class ReindexResult:
    """What a reindex came to. `failed` images could not be read any more; the daemon looks at them again by itself."""

    spaces: tuple[str, ...]  # those that were built; empty where the ones that serve are already of these weights
    embedded: int
    failed: int
    complete: bool  # False: it was stopped, and goes on where it was when it is called again
    switched: bool  # False while a daemon runs: it switches at its next start


def reindex(
    config: Config,
    model_name: str,
    *,
    clock: Clock,
    environ: Mapping[str, str],
    on_progress: Callable[[int, int], None] | None = None,
    on_notice: Callable[[VisionNotice], None] = lambda _notice: None,
    stop: threading.Event | None = None,
) -> ReindexResult:
    """Build the spaces of `model_name` with the weights that `config` names now. Resumable: what was embedded stays.

    A running daemon goes on serving with the model that it has resident. `on_progress(done, total)` counts images.
    Raises ConfigError for a model that is not configured, ModelError, StateError.
    """
    model = next((each for each in config.models if each.name == model_name), None)
    if model is None:
        names = ", ".join(each.name for each in config.models)
        raise ConfigError(
            f"no model {model_name!r} is configured",
            where="models",
            hint=f"configured are {names}; add it, then reindex",
        )
    models = resident_models(_alone(config, model), environ, on_notice)
    (embedder,) = models.load()
    pool = DecoderPool(
        config.decoder,
        [embedder.spec],
        clock=clock,
        claim=lambda *_: True,
        max_file_bytes=config.intake.max_file_bytes,
    )
    pool.start()
    try:
        with Ledger.open(config.state_dir, clock) as ledger:
            runner = BatchRunner(embedder, clock, on_notice)
            build = _Build(ledger, pool, runner, on_progress or (lambda _done, _total: None), stop)
            return build.run(config)
    finally:
        pool.stop(STOP_S)
        embedder.close()


def drop_old_spaces(config: Config, *, clock: Clock, environ: Mapping[str, str]) -> list[str]:
    """Forget every space that was replaced, with its vectors and its collection; gives their names.

    Raises AlreadyRunning, StateError, StoreError.
    """
    with lock_state_dir(config.state_dir), Ledger.open(config.state_dir, clock) as ledger:
        retired = [spare for spare in ledger.spare_spaces() if spare.state == "retired"]
        # the collections first: what is cut off in between is found again by the next call
        collections = [(spare.key, spare.generation) for spare in retired]
        drop_collections(config.state_dir, config.chroma, ledger, collections, environ)
        for spare in retired:
            ledger.drop_spare(spare.alias)
        return [spare.alias for spare in retired]


class _Build:
    """One run over the images that the new spaces lack. Owned by the calling thread."""

    def __init__(
        self,
        ledger: Ledger,
        pool: DecoderPool,
        runner: BatchRunner,
        on_progress: Callable[[int, int], None],
        stop: threading.Event | None,
    ) -> None:
        self._ledger = ledger
        self._pool = pool
        self._runner = runner
        self._on_progress = on_progress
        self._stop = stop or threading.Event()
        self._embedded = 0
        self._failed = 0

    def run(self, config: Config) -> ReindexResult:
        serving = {key.name: key.fingerprint() for key in self._ledger.spaces()}
        wanted = [key for key in self._runner.embedder.spaces if serving.get(key.name) != key.fingerprint()]
        if not wanted:
            return ReindexResult((), 0, 0, complete=True, switched=True)
        aliases = {key.name: self._ledger.begin_building(key) for key in wanted}
        complete = self._fill(aliases)
        if complete:
            self._ledger.mark_complete(*aliases.values())
            self._drop_abandoned(aliases)
        names = tuple(key.name for key in wanted)
        switched = complete and _switch(config, self._ledger, wanted)
        return ReindexResult(names, self._embedded, self._failed, complete=complete, switched=switched)

    def _fill(self, aliases: Mapping[str, str]) -> bool:
        """Embed every image that any of the aliases lacks; False when it was stopped."""
        spares = {spare.alias: spare for spare in self._ledger.spare_spaces()}
        missing = max(spares[alias].missing for alias in aliases.values())
        total = max(spares[alias].rows + spares[alias].missing for alias in aliases.values())
        for rows in self._missing(aliases):
            if self._stop.is_set():
                return False
            self._embed(rows, aliases)
            missing -= len(rows)
            self._on_progress(total - max(0, missing), total)
        return True

    def _missing(self, aliases: Mapping[str, str]) -> Iterator[list[FileRow]]:
        for alias in aliases.values():  # the second of two spaces finds what the first run's kill left behind
            after = 0
            while rows := self._ledger.missing_vectors(alias, BATCH, after_image_id=after):
                after = max(row.image_id or 0 for row in rows)
                yield rows

    def _embed(self, rows: Sequence[FileRow], aliases: Mapping[str, str]) -> None:
        futures: list[tuple[FileRow, Future[Sighting | None]]] = [
            (row, self._pool.see(row.file_id, row.key, live=False)) for row in rows
        ]
        seen: list[tuple[int, Sighting]] = []
        for row, future in futures:
            try:
                sighting = future.result()
            except FileFailed:
                self._failed += 1
                continue
            if sighting is None or row.image_id is None or sighting.digest != row.digest:
                self._failed += 1  # it changed meanwhile: intake offers it anew
                continue
            seen.append((row.image_id, sighting))
        for embedded in self._vectors(seen):
            for name, alias in aliases.items():
                pairs = [(image_id, rows[name].astype(np.float16)) for image_id, rows in embedded]
                self._ledger.add_vectors(alias, pairs)

    def _vectors(self, seen: Sequence[tuple[int, Sighting]]) -> Iterator[list[tuple[int, dict[str, F32Array]]]]:
        """As the daemon embeds: halved where memory is short, in fp32 where a row is not finite, a bad image alone."""
        size = self._runner.ceiling.now
        for start in range(0, len(seen), size):
            part = seen[start : start + size]
            outcomes = self._runner.begin([Job(image_id, sighting.inputs, live=False) for image_id, sighting in part])()
            rows_of = zip((image_id for image_id, _ in part), outcomes, strict=True)
            embedded = [(image_id, rows) for image_id, rows in rows_of if isinstance(rows, dict)]
            self._failed += len(part) - len(embedded)
            self._embedded += len(embedded)
            yield embedded

    def _drop_abandoned(self, aliases: Mapping[str, str]) -> None:
        """Forget unfinished builds of the same spaces, of weights that are no longer the ones asked for."""
        for spare in self._ledger.spare_spaces():
            if spare.key.name in aliases and spare.alias not in aliases.values() and spare.state != "retired":
                self._ledger.drop_spare(spare.alias)


def _switch(config: Config, ledger: Ledger, keys: Sequence[SpaceKey]) -> bool:
    """Switch now where no daemon runs. One that runs keeps what it has resident, and switches at its next start."""
    try:
        with lock_state_dir(config.state_dir):
            return len(ledger.switch_to(*keys)) == len(keys)
    except AlreadyRunning:
        return False


def _alone(config: Config, model: ModelConfig) -> Config:
    return config.model_copy(update={"models": (model,), "match": "any"})
