"""Spaces and their vectors: the truth that a collection is filled from."""
# ruff: noqa: S608 - only names of ours and "?" marks are put into SQL, never a value

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import NamedTuple

import numpy as np

from deepdupe_daemon.clock import Clock
from deepdupe_daemon.errors import SpaceMismatch
from deepdupe_daemon.ledger.connection import Database, Lstat
from deepdupe_daemon.ledger.files import FILE_COLUMNS, Files, file_row
from deepdupe_daemon.ledger.rows import F16Array, FileRow, I64Array
from deepdupe_daemon.ledger.schema import vectors_table
from deepdupe_daemon.model import SpaceKey

__all__ = ["Spaces"]

#: little-endian whatever the machine: a ledger may move
_F16 = np.dtype("<f2")


class _Space(NamedTuple):
    space_id: int
    key: SpaceKey

    @property
    def table(self) -> str:
        return vectors_table(self.space_id)


class Spaces(Files):
    """One table of float16 vectors per space, and a mark per vector that says whether the collection has it."""

    def __init__(self, database: Database, clock: Clock, lstat: Lstat) -> None:
        super().__init__(database, clock, lstat)
        self._spaces: dict[str, _Space] = {}

    def ensure_space(self, key: SpaceKey) -> None:
        """Make room for the vectors of `key`. Raises SpaceMismatch where its name holds vectors of another origin."""
        if self._matches(key):
            return
        with self._db.writing():
            if self._matches(key):
                return
            space_id = self._db.insert(
                "INSERT INTO spaces (name, fingerprint, key, created_at_ns) VALUES (?, ?, ?, ?)",
                (key.name, key.fingerprint(), json.dumps(asdict(key), sort_keys=True), self._clock.now_ns()),
            )
            self._make_table(space_id, key)

    def spaces(self) -> list[SpaceKey]:
        """Every space that serves, in the order in which they came. (`spare_spaces` are those that do not.)"""
        rows = self._db.rows("SELECT key FROM spaces WHERE instr(name, '~') = 0 ORDER BY space_id")
        return [SpaceKey(**json.loads(key)) for (key,) in rows]

    def has_vectors(self, digest: bytes, spaces: Collection[str]) -> bool:
        """Whether the image with this digest is known and has a vector in each of the spaces named."""
        row = self._db.one("SELECT image_id FROM images WHERE digest = ?", (digest,))
        return row is not None and self._has_vectors(row[0], spaces)

    def vectors(self, space: str, chunk_rows: int = 10_000) -> Iterator[tuple[I64Array, F16Array]]:
        """Every vector of an image that has a living file, by image id, as (ids (n,), read-only rows (n, dim)).

        Each chunk is a read of its own: what is committed meanwhile may or may not be among them.
        """
        found = self._space(space)
        after = 0
        while True:
            rows = self._db.rows(
                f"SELECT v.image_id, v.vector FROM marks m JOIN {found.table} v ON v.image_id = m.image_id"
                " WHERE m.space_id = ? AND m.image_id > ? AND m.stored < 2 ORDER BY m.image_id LIMIT ?",
                (found.space_id, after, chunk_rows),
            )
            if rows:
                after = rows[-1][0]
                yield _ids(rows), _matrix([row[1] for row in rows], found.key.dim)
            if len(rows) < chunk_rows:
                return

    def missing_vectors(self, space: str, limit: int, *, after_image_id: int = 0) -> list[FileRow]:
        """One living file of each image that lacks a vector in `space`, by image id from `after_image_id` on."""
        rows = self._db.rows(
            f"SELECT {FILE_COLUMNS} FROM files f JOIN images i ON i.image_id = f.image_id WHERE f.file_id IN ("
            " SELECT min(l.file_id) FROM files l"
            " WHERE l.state IN ('seen', 'indexed') AND l.image_id > ? AND NOT EXISTS ("
            "  SELECT 1 FROM marks m WHERE m.space_id = ? AND m.image_id = l.image_id)"
            " GROUP BY l.image_id ORDER BY l.image_id LIMIT ?) ORDER BY f.image_id",
            (after_image_id, self._space(space).space_id, limit),
        )
        return [file_row(row) for row in rows]

    def image_vectors(self, image_id: int, spaces: Collection[str]) -> dict[str, F16Array]:
        """Space name -> (dim,) row of one image, for those of `spaces` that hold one."""
        found = {}
        for name in spaces:
            space = self._space(name)
            row = self._db.one(f"SELECT vector FROM {space.table} WHERE image_id = ?", (image_id,))
            if row is not None:
                found[name] = np.frombuffer(row[0], _F16).astype(np.float16)
        return found

    def requeue_missing(self, spaces: Collection[str]) -> int:
        """Files whose image lacks a vector in any of `spaces` (a model was added) wait to be seen again; how many.

        They stay seen or indexed meanwhile, so that recall and listings do not forget them.
        """
        requeued = 0
        for name in spaces:
            if not self.missing_vectors(name, 1):
                continue
            with self._db.writing():
                requeued += self._db.run(
                    "UPDATE files SET lacks_vectors = 1"
                    " WHERE state IN ('seen', 'indexed') AND lacks_vectors = 0 AND NOT EXISTS ("
                    " SELECT 1 FROM marks m WHERE m.space_id = ? AND m.image_id = files.image_id)",
                    (self._space(name).space_id,),
                )
        return requeued

    def check_space(self, key: SpaceKey) -> None:
        """Raises SpaceMismatch where the name of `key` holds vectors of another origin; writes nothing."""
        self._matches(key)

    # -- the collection's side -------------------------------------------------------------------------------------

    # `digests`: the first digest of a range and the first one above it, where each of several servers holds a range.

    def unstored(
        self, space: str, limit: int, digests: tuple[bytes, bytes] | None = None
    ) -> tuple[I64Array, list[bytes], F16Array]:
        """Up to `limit` vectors that the collection lacks, as (image ids (n,), digests, rows (n, dim)), by image id."""
        found = self._space(space)
        within, bounds = _within(digests)
        rows = self._db.rows(
            f"SELECT m.image_id, v.vector, i.digest FROM marks m JOIN {found.table} v ON v.image_id = m.image_id"
            " JOIN images i ON i.image_id = m.image_id"
            f" WHERE m.space_id = ? AND m.stored = 0{within} ORDER BY m.image_id LIMIT ?",
            (found.space_id, *bounds, limit),
        )
        return _ids(rows), [row[2] for row in rows], _matrix([row[1] for row in rows], found.key.dim)

    def unwanted(
        self, space: str, limit: int, digests: tuple[bytes, bytes] | None = None
    ) -> tuple[I64Array, list[bytes]]:
        """Up to `limit` images that the collection has although no file holds them any longer, as (ids, digests)."""
        within, bounds = _within(digests)
        rows = self._db.rows(
            "SELECT m.image_id, i.digest FROM marks m JOIN images i ON i.image_id = m.image_id"
            f" WHERE m.space_id = ? AND m.stored = 2{within} ORDER BY m.image_id LIMIT ?",
            (self._space(space).space_id, *bounds, limit),
        )
        return _ids(rows), [row[1] for row in rows]

    def mark_stored(self, space: str, ids: I64Array | Sequence[int]) -> None:
        """The collection has these images now. One that lost its last file meanwhile becomes unwanted."""
        self._mark(space, ids, "CASE stored WHEN 0 THEN 1 WHEN 3 THEN 2 ELSE stored END")

    def mark_removed(self, space: str, ids: I64Array | Sequence[int]) -> None:
        """The collection no longer has these images. One that got a file meanwhile waits to be stored again."""
        self._mark(space, ids, "CASE stored WHEN 1 THEN 0 WHEN 2 THEN 3 ELSE stored END")

    def stored_count(self, space: str, digests: tuple[bytes, bytes] | None = None) -> int:
        """How many rows the collection has, if it has what it acknowledged."""
        within, bounds = _within(digests)
        row = self._db.one(
            "SELECT count(*) FROM marks m JOIN images i ON i.image_id = m.image_id"
            f" WHERE m.space_id = ? AND m.stored IN (1, 2){within}",
            (self._space(space).space_id, *bounds),
        )
        assert row is not None
        return int(row[0])

    def clear_stored(self, space: str, digests: tuple[bytes, bytes] | None = None) -> None:
        """The collection was lost or is made anew: every wanted vector waits to be stored."""
        found = self._space(space)
        within, bounds = _within(digests)
        if within:
            within = f" AND image_id IN (SELECT i.image_id FROM images i WHERE{within.removeprefix(' AND')})"
        with self._db.writing():
            self._db.run(
                "UPDATE marks SET stored = CASE stored WHEN 1 THEN 0 ELSE 3 END"
                f" WHERE space_id = ? AND stored IN (1, 2){within}",
                (found.space_id, *bounds),
            )

    def unstored_counts(self, digests: tuple[bytes, bytes] | None = None) -> dict[str, int]:
        """How many vectors each space's collection lacks."""
        within, bounds = _within(digests)
        joined = " JOIN images i ON i.image_id = m.image_id" if within else ""
        return dict(
            self._db.rows(
                f"SELECT s.name, (SELECT count(*) FROM marks m{joined} WHERE m.space_id = s.space_id AND m.stored = 0"
                f"{within}) FROM spaces s WHERE instr(s.name, '~') = 0 ORDER BY s.space_id",
                bounds,
            )
        )

    def space_generation(self, space: str) -> int:
        """Which generation of its collection the space is stored in, from 0."""
        row = self._db.one("SELECT generation FROM spaces WHERE space_id = ?", (self._space(space).space_id,))
        assert row is not None
        return int(row[0])

    def set_space_generation(self, space: str, generation: int) -> None:
        space_id = self._space(space).space_id
        with self._db.writing():
            self._db.run("UPDATE spaces SET generation = ? WHERE space_id = ?", (generation, space_id))

    # -- inside a transaction --------------------------------------------------------------------------------------

    def _make_table(self, space_id: int, key: SpaceKey) -> None:
        self._db.run(
            f"CREATE TABLE {vectors_table(space_id)} ("
            " image_id INTEGER PRIMARY KEY REFERENCES images, vector BLOB NOT NULL"
            f" CHECK (length(vector) = {2 * int(key.dim)})) STRICT"
        )

    def _insert_vectors(self, rows: Iterable[tuple[str, int, F16Array]]) -> set[int]:
        """Insert (space, image id, row) where they are not there yet; gives the images that gained a vector."""
        gained: set[int] = set()
        for space, image_id, row in rows:
            found = self._space(space)
            if row.shape != (found.key.dim,):
                raise ValueError(f"space {space} has {found.key.dim} dimensions, got {row.shape}")
            added = self._db.run(
                "INSERT INTO marks (space_id, image_id, stored)"
                " SELECT ?, image_id, CASE WHEN living > 0 THEN 0 ELSE 3 END FROM images WHERE image_id = ?"
                " ON CONFLICT DO NOTHING",
                (found.space_id, image_id),
            )
            if added:
                blob = np.ascontiguousarray(row, dtype=_F16).tobytes()
                self._db.run(f"INSERT INTO {found.table} (image_id, vector) VALUES (?, ?)", (image_id, blob))
                gained.add(image_id)
        return gained

    def _has_vectors(self, image_id: int, spaces: Collection[str]) -> bool:
        return all(
            self._db.one(
                "SELECT 1 FROM marks m JOIN spaces s USING (space_id) WHERE s.name = ? AND m.image_id = ?",
                (space, image_id),
            )
            for space in spaces
        )

    def _mark(self, space: str, ids: I64Array | Sequence[int], stored: str) -> None:
        space_id = self._space(space).space_id
        with self._db.writing():
            self._db.run_many(
                f"UPDATE marks SET stored = {stored} WHERE space_id = ? AND image_id = ?",
                ((space_id, int(image_id)) for image_id in ids),
            )

    def _matches(self, key: SpaceKey) -> bool:
        """Whether the space is there. Raises SpaceMismatch where another is there under its name."""
        row = self._db.one("SELECT key FROM spaces WHERE name = ?", (key.name,))
        if row is None:
            return False
        known = SpaceKey(**json.loads(row[0]))
        if known.fingerprint() == key.fingerprint():
            return True
        fields = [name for name, value in asdict(key).items() if getattr(known, name) != value]
        raise SpaceMismatch(
            f"space {key.name} holds vectors of another origin: {_differences(known, key, fields)}",
            where=self._db.path,
            hint=f"deepdupe-daemon reindex --model {key.model}",
        )

    def _space(self, name: str) -> _Space:
        """The space called `name`. Raises LookupError where `ensure_space` never made it."""
        if name not in self._spaces:
            row = self._db.one("SELECT space_id, key FROM spaces WHERE name = ?", (name,))
            if row is None:
                raise LookupError(f"the ledger has no space {name}")
            self._spaces[name] = _Space(row[0], SpaceKey(**json.loads(row[1])))
        return self._spaces[name]


def _differences(known: SpaceKey, wanted: SpaceKey, fields: Sequence[str]) -> str:
    return "; ".join(f"{field} was {getattr(known, field)}, is {getattr(wanted, field)}" for field in fields)


def _within(digests: tuple[bytes, bytes] | None) -> tuple[str, tuple[bytes, ...]]:
    """A condition on `i.digest`, and its values."""
    return (" AND i.digest >= ? AND i.digest < ?", digests) if digests else ("", ())


def _ids(rows: Sequence[tuple[object, ...]]) -> I64Array:
    return np.array([row[0] for row in rows], dtype=np.int64)


def _matrix(blobs: Sequence[bytes], dim: int) -> F16Array:
    return np.frombuffer(b"".join(blobs), dtype=_F16).reshape(len(blobs), dim)
