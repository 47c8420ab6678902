"""The judging thread's share, and what lies behind it: the exact index, the ledger, Chroma."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from deepdupe_daemon.bench.stage import Room, Stage, stage_of
from deepdupe_daemon.clock import Clock
from deepdupe_daemon.config import Config
from deepdupe_daemon.index import ExactIndex
from deepdupe_daemon.index.store import Store
from deepdupe_daemon.ledger import Ledger, SeenRecord
from deepdupe_daemon.model import Arrival, F32Array, Sighting, SpaceKey
from deepdupe_daemon.vision import PDQ_SPACE

__all__ = ["Rows", "commit", "fill", "recall", "upsert"]

#: space name -> (n, dim) float32 rows of the pictures, in their order
Rows = Mapping[str, F32Array]
#: queries of one call, as many as a batch of a large device brings
_BATCH = 400
_COMMIT_BATCH = 64
_PIECE = 5_000
_MOST_UPSERT_ROWS = 2_000
_END_S = 30.0


def known_rows(space: SpaceKey, count: int, seed: int) -> npt.NDArray[np.float16]:
    """(count, dim) rows of pictures that are like no other: signs for PDQ, random directions else."""
    rng = np.random.default_rng(seed)
    if space == PDQ_SPACE:
        signs = rng.integers(0, 2, (count, space.dim), dtype=np.int8) * 2 - 1
        return np.divide(signs, np.sqrt(space.dim), dtype=np.float32).astype(np.float16)
    rows = rng.standard_normal((count, space.dim), dtype=np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows.astype(np.float16)


def fill(index: ExactIndex, spaces: Sequence[SpaceKey], known: int) -> None:
    """`known` rows a space; the pictures' own get the numbers from 0 on, these the ones below it."""
    for space in spaces:
        for first in range(0, known, _PIECE):
            count = min(_PIECE, known - first)
            index.add(space.name, -1 - np.arange(first, first + count), known_rows(space, count, first))


def recall(
    index: ExactIndex, rows: Rows, thresholds: Mapping[str, float], limit: int, clock: Clock
) -> tuple[list[Stage], set[tuple[int, int]]]:
    """A stage a space, and the pairs of pictures that any of them proposes, by number."""
    stages: list[Stage] = []
    pairs: set[tuple[int, int]] = set()
    for name, queries in rows.items():
        known = index.size(name)
        index.add(name, np.arange(len(queries)), queries.astype(np.float16))
        singles_s: list[float] = []
        for number, query in enumerate(queries):
            began_s = clock.monotonic_s()
            found = index.search(name, query[None], thresholds[name], limit)[0]
            singles_s.append(clock.monotonic_s() - began_s)
            others = [each.image_id for each in found if each.image_id >= 0 and each.image_id != number]
            pairs |= {(min(number, other), max(number, other)) for other in others}
        many = np.resize(queries, (_BATCH, queries.shape[1]))
        index.search(name, many, thresholds[name], limit)
        began_s = clock.monotonic_s()
        index.search(name, many, thresholds[name], limit)
        took_s = clock.monotonic_s() - began_s
        subject = f"{name}, {known:,} known"
        stages.append(stage_of("recall", Room.JUDGING, singles_s, subject=subject, items=_BATCH, took_s=took_s))
    return stages, pairs


def records(ledger: Ledger, sightings: Sequence[Sighting], rows: Rows, root: bytes) -> list[SeenRecord]:
    """Note the files, and what is to be committed of them."""
    ledger.note_arrivals([Arrival(sighting.key, root, False) for sighting in sightings])
    made = []
    for number, sighting in enumerate(sightings):
        file = ledger.file_by_path(sighting.key.path)
        assert file is not None, "just noted"
        vectors = {name: block[number].astype(np.float16) for name, block in rows.items()}
        made.append(
            SeenRecord(
                file.file_id,
                sighting.key,
                sighting.digest,
                sighting.facts,
                sighting.pdq,
                sighting.pdq_variants,
                vectors,
            )
        )
    return made


def commit(
    state_dir: Path, sightings: Sequence[Sighting], rows: Rows, spaces: Sequence[SpaceKey], root: bytes, clock: Clock
) -> Stage:
    """Into two ledgers in `state_dir`: one image a transaction, then 64."""
    singles_s: list[float] = []
    with Ledger.open(state_dir / "single", clock) as ledger:
        for space in spaces:
            ledger.ensure_space(space)
        for record in records(ledger, sightings, rows, root)[:_COMMIT_BATCH]:
            began_s = clock.monotonic_s()
            ledger.record_seen([record])
            singles_s.append(clock.monotonic_s() - began_s)
    with Ledger.open(state_dir / "batches", clock) as ledger:
        for space in spaces:
            ledger.ensure_space(space)
        every = records(ledger, sightings, rows, root)
        began_s = clock.monotonic_s()
        for first in range(0, len(every), _COMMIT_BATCH):
            ledger.record_seen(every[first : first + _COMMIT_BATCH])
        took_s = clock.monotonic_s() - began_s
    return stage_of("commit", Room.JUDGING, singles_s, items=len(every), took_s=took_s)


def upsert(
    state_dir: Path,
    spaces: Sequence[SpaceKey],
    config: Config,
    environ: Mapping[str, str],
    seconds: float,
    clock: Clock,
) -> list[Stage]:
    """A stage a space: rows into an embedded Chroma in `state_dir`, in its configured batches, after a first one."""
    batch = config.chroma.batch_rows
    store = Store(state_dir, config.chroma, environ)
    store.open()
    stages = []
    try:
        for space in spaces:
            store.ensure(space, 0)
            calls_s: list[float] = []
            rows = 0
            for number in range(1 + max(1, _MOST_UPSERT_ROWS // batch)):
                part = known_rows(space, batch, number)
                ids = [f"{number * batch + k:032x}" for k in range(batch)]
                began_s = clock.monotonic_s()
                store.put(space.name, ids, [{"image": number * batch + k} for k in range(batch)], part)
                took_s = clock.monotonic_s() - began_s
                if number:  # the first call also makes the index
                    calls_s.append(took_s)
                    rows += batch
                if sum(calls_s) > seconds:
                    break
            stages.append(
                stage_of(
                    "upsert",
                    Room.CHROMA,
                    calls_s,
                    subject=space.name,
                    items=rows,
                    unit="rows",
                    took_s=sum(calls_s),
                    batch=batch,
                )
            )
    finally:
        store.end(_END_S)
    return stages
