"""From files to the rows of their pictures and copies, a few files at a time."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

import numpy as np
import numpy.typing as npt

from deepdupe_daemon.calibration.collected import Collected, Photo
from deepdupe_daemon.clock import Clock
from deepdupe_daemon.errors import FileFailed
from deepdupe_daemon.model import FileIdentity, FileKey, Sighting
from deepdupe_daemon.vision import PDQ_SPACE, DecoderPool, Embedder
from deepdupe_daemon.vision.copies import EDITED, RE_ENCODED

__all__ = ["COPY_SIDE_PX", "Collector"]

#: copies are made of the picture at this size: as large as what messengers send, and as what the verifier compares
COPY_SIDE_PX = 1024
#: below this quality of PDQ's (Meta's value) a picture holds too little to be told from another
_LEAST_QUALITY = 50
_NAMES = (*RE_ENCODED, *EDITED)


class Collector:
    """Owned by the calibrating thread, which also owns the embedders."""

    def __init__(self, pool: DecoderPool, embedders: Mapping[str, Embedder], clock: Clock, *, seed: int) -> None:
        """`embedders` by the name of the model."""
        self._pool = pool
        self._embedders = embedders
        self._clock = clock
        self._seed = seed

    def collect(self, paths: Sequence[bytes], known: set[bytes]) -> Collected:
        """See and copy these files. Files that are no photos, hold next to nothing, or hold bytes whose digest is
        `known`, are passed over."""
        began_s = self._clock.monotonic_s()
        seen = list(self._seen(paths, known))
        seen_s = self._clock.monotonic_s() - began_s
        copies = [self._copies(sighting) for sighting in seen]
        made = [{name: _result(future) for name, future in each.items()} for each in copies]
        rows: dict[tuple[str, str], npt.NDArray[Any]] = {}
        embedded_s: dict[str, float] = {}
        for model, embedder in self._embedders.items():
            began_s = self._clock.monotonic_s()
            for space in embedder.spaces:
                rows[space.name, ""] = self._rows(embedder, space.name, seen)
            for name in _NAMES:
                for space_name, part in self._rows_of(embedder, [each[name] for each in made]).items():
                    rows[space_name, name] = part
            embedded_s[model] = self._clock.monotonic_s() - began_s
        photos = tuple(Photo(each.key.path, each.digest, each.facts) for each in seen)
        count = len(seen) + sum(sighting is not None for each in made for sighting in each.values())
        return Collected(tuple(paths), photos, rows, seen_s, embedded_s, count)

    def _seen(self, paths: Sequence[bytes], known: set[bytes]) -> Iterator[Sighting]:
        futures = []
        for path in paths:
            key = _key(path)
            if key is not None:
                futures.append(self._pool.see(0, key, live=False))
        for future in futures:
            sighting = _result(future)
            if sighting is None or sighting.digest in known or sighting.pdq.quality < _LEAST_QUALITY:
                continue
            known.add(sighting.digest)
            yield sighting

    def _copies(self, sighting: Sighting) -> dict[str, Future[Sighting]]:
        chance = hashlib.sha256(b"%d\0%b" % (self._seed, sighting.digest)).digest()
        seed = int.from_bytes(chance[:4])
        return {
            name: self._pool.copy(sighting.key, sighting.digest, name, seed, side_px=COPY_SIDE_PX) for name in _NAMES
        }

    def _rows(self, embedder: Embedder, space: str, sightings: Sequence[Sighting | None]) -> npt.NDArray[Any]:
        return self._rows_of(embedder, sightings)[space]

    def _rows_of(self, embedder: Embedder, sightings: Sequence[Sighting | None]) -> dict[str, npt.NDArray[Any]]:
        """Space name -> rows as `SpaceRows` holds them."""
        if embedder.spaces == (PDQ_SPACE,):
            return {PDQ_SPACE.name: _hashes(sightings)}
        found: dict[str, npt.NDArray[Any]] = {
            space.name: np.full((len(sightings), 1, space.dim), np.nan, np.float16) for space in embedder.spaces
        }
        there = [(place, sighting) for place, sighting in enumerate(sightings) if sighting is not None]
        for first in range(0, len(there), embedder.batch_ceiling):
            part = there[first : first + embedder.batch_ceiling]
            batch = np.stack([sighting.inputs[embedder.spec] for _, sighting in part])
            places = [place for place, _ in part]
            for name, rows in embedder.embed(batch).items():
                found[name][places, 0] = rows.astype(np.float16)
        return found


def _hashes(sightings: Sequence[Sighting | None]) -> npt.NDArray[np.uint8]:
    found = np.zeros((len(sightings), 8, 32), np.uint8)
    for place, sighting in enumerate(sightings):
        if sighting is not None:
            found[place] = [np.frombuffer(variant, np.uint8) for variant in sighting.pdq_variants]
    return found


def _key(path: bytes) -> FileKey | None:
    try:
        found = os.lstat(path)
    except OSError:
        return None  # it went away meanwhile, or may not be looked at: another one is taken
    if not stat.S_ISREG(found.st_mode):
        return None
    return FileKey(path, FileIdentity(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns))


def _result(future: Future[Any]) -> Sighting | None:
    try:
        found: Sighting | None = future.result()
    except FileFailed:
        return None
    return found
