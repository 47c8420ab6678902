"""What came of seeing a file. Guarded: it applies only while the file is still the one that was seen."""
# ruff: noqa: S608 - only names of ours and "?" marks are put into SQL, never a value

from __future__ import annotations

from collections.abc import Sequence

from deepdupe_daemon.ledger.files import identity_columns
from deepdupe_daemon.ledger.images import Images
from deepdupe_daemon.ledger.rows import F16Array, SeenRecord
from deepdupe_daemon.ledger.schema import LIVING
from deepdupe_daemon.ledger.spaces import Spaces
from deepdupe_daemon.model import FileKey

__all__ = ["Results"]

_LOOKUP_IDS = 200


class Results(Spaces, Images):
    """The pipeline's side of the ledger."""

    def record_seen(self, batch: Sequence[SeenRecord]) -> list[int | None]:
        """Commit images, vectors and states of a batch in ONE transaction; gives the image ids.

        None for a file that changed meanwhile: nothing of it was kept, and it is pending. A file that went meanwhile
        keeps its image, so that its return costs nothing. Repeating a record changes nothing; one that adds a vector in
        another space makes every file with these bytes wait for judgement again. Raises StateError, LookupError for an
        unknown space, ValueError for a vector of another dimension.
        """
        if not batch:
            return []
        with self._db.writing():
            same = self._unchanged([(record.file_id, record.key) for record in batch])
            image_ids: list[int | None] = []
            vectors: list[tuple[str, int, F16Array]] = []
            for record, unchanged in zip(batch, same, strict=True):
                image_id = self._put_image(record) if unchanged else None
                image_ids.append(image_id)
                if image_id is not None:
                    vectors.extend((space, image_id, row) for space, row in record.vectors.items())
            gained = self._insert_vectors(vectors)
            self._db.run_many(
                # LIVING says nothing new here, but lets SQLite use the index: else every new image reads every file
                f"UPDATE files SET state = 'seen' WHERE image_id = ? AND state = 'indexed' AND {LIVING}",
                ((i,) for i in gained),
            )
            for record, image_id in zip(batch, image_ids, strict=True):
                if image_id is not None:
                    self._see(record.file_id, image_id)
        return image_ids

    def attach_known(self, file_id: int, key: FileKey, digest: bytes) -> int | None:
        """The file's bytes are known: it is seen without a decode. Gives the image id; None where the bytes are not
        known, or the file changed meanwhile. Whether the image has every vector is for `has_vectors` to say."""
        with self._db.writing():
            row = self._db.one("SELECT image_id FROM images WHERE digest = ?", (digest,))
            if row is None or not self._unchanged([(file_id, key)])[0]:
                return None
            image_id: int = row[0]
            self._see(file_id, image_id)
        return image_id

    def record_failed(self, file_id: int, key: FileKey, kind: str, reason: str, retry_at_ns: int | None) -> bool:
        """The file could not be seen. False, and nothing is written, where it changed, moved or went meanwhile, and
        where it was seen before and lacks no vector: what is known of these bytes stays."""
        return self._record_error(file_id, key, "failed", kind, reason, retry_at_ns)

    def record_ignored(self, file_id: int, key: FileKey, reason: str) -> bool:
        """The file's bytes are no image. False as for `record_failed`."""
        return self._record_error(file_id, key, "ignored", "not-an-image", reason, None)

    def _record_error(
        self, file_id: int, key: FileKey, state: str, kind: str, reason: str, retry_at_ns: int | None
    ) -> bool:
        """A failure speaks of the path as well: a file that is moved while it is read fails under its old name only."""
        with self._db.writing():
            changed = self._db.run(
                "UPDATE files SET state = ?, error_kind = ?, error = ?, retry_at_ns = ?, attempts = attempts + 1,"
                " image_id = NULL, lacks_vectors = 0"
                " WHERE file_id = ? AND (state IN ('pending', 'failed', 'ignored') OR lacks_vectors = 1) AND path = ?"
                " AND dev = ? AND ino = ? AND size = ? AND mtime_ns = ?",
                (state, kind, reason, retry_at_ns, file_id, key.path, *identity_columns(key.identity)),
            )
        return changed > 0

    def _see(self, file_id: int, image_id: int) -> None:
        """The file holds this image. One that was judged with it stays so."""
        self._db.run(
            "UPDATE files SET image_id = ?1, lacks_vectors = 0, error_kind = NULL, error = NULL, retry_at_ns = NULL,"
            " attempts = 0,"
            " was = CASE state WHEN 'gone' THEN 'seen' END,"
            " state = CASE WHEN state = 'gone' THEN 'gone'"
            "  WHEN state = 'indexed' AND image_id = ?1 THEN 'indexed' ELSE 'seen' END"
            " WHERE file_id = ?2",
            (image_id, file_id),
        )

    def _unchanged(self, files: Sequence[tuple[int, FileKey]]) -> list[bool]:
        """Whether each file's row still has the identity of its key."""
        identities: dict[int, tuple[object, ...]] = {}
        for start in range(0, len(files), _LOOKUP_IDS):
            some = [file_id for file_id, _ in files[start : start + _LOOKUP_IDS]]
            marks = ",".join("?" * len(some))
            for row in self._db.rows(
                f"SELECT file_id, dev, ino, size, mtime_ns FROM files WHERE file_id IN ({marks})", some
            ):
                identities[row[0]] = row[1:]
        return [identities.get(file_id) == identity_columns(key.identity) for file_id, key in files]
