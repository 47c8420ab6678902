"""Image rows: what is known of bytes, whichever files hold them."""
# ruff: noqa: S608 - only names of ours and "?" marks are put into SQL, never a value

from __future__ import annotations

from typing import Any

import numpy as np

from deepdupe_daemon.ledger.connection import Opened
from deepdupe_daemon.ledger.files import tree_range
from deepdupe_daemon.ledger.rows import I64Array, ImageRow, SeenRecord
from deepdupe_daemon.ledger.schema import LIVING
from deepdupe_daemon.model import ImageFacts, PdqHash

__all__ = ["Images"]

_COLUMNS = "image_id, digest, pixel_digest, facts, pdq, pdq_quality, pdq_variants, first_seen_at_ns"
_PDQ_BYTES = 32


class Images(Opened):
    """Looking images up, and writing them."""

    def image(self, image_id: int) -> ImageRow | None:
        row = self._db.one(f"SELECT {_COLUMNS} FROM images WHERE image_id = ?", (image_id,))
        return _image_row(row) if row else None

    def image_by_digest(self, digest: bytes) -> ImageRow | None:
        row = self._db.one(f"SELECT {_COLUMNS} FROM images WHERE digest = ?", (digest,))
        return _image_row(row) if row else None

    def living_images(self) -> I64Array:
        """The ids of images that rest in at least one file (states seen and indexed), ascending."""
        rows = self._db.rows(f"SELECT DISTINCT image_id FROM files WHERE {LIVING} ORDER BY image_id")
        return np.array([row[0] for row in rows], dtype=np.int64)

    def facts_in(self, folder: bytes) -> dict[bytes, ImageFacts]:
        """What is known of the pictures that rest in a folder itself, by path."""
        low, high = tree_range(folder)
        rows = self._db.rows(
            "SELECT f.path, i.facts FROM files f JOIN images i ON i.image_id = f.image_id"
            f" WHERE f.path >= ? AND f.path < ? AND f.former = 0 AND f.{LIVING}"
            " AND instr(substr(f.path, ?), x'2f') = 0",
            (low, high, len(low) + 1),
        )
        return {path: ImageFacts.from_json(facts) for path, facts in rows}

    def _put_image(self, record: SeenRecord) -> int:
        """Insert the image, or renew what a newer decoder says of known bytes; gives its id. Inside a transaction."""
        facts, variants = record.facts.to_json(), b"".join(record.pdq_variants)
        seen = (record.pdq.bits, record.pdq.quality, variants, facts)
        row = self._db.one(
            "SELECT image_id, pdq, pdq_quality, pdq_variants, facts FROM images WHERE digest = ?", (record.digest,)
        )
        if row is None:
            return self._db.insert(
                "INSERT INTO images (digest, pdq, pdq_quality, pdq_variants, facts, first_seen_at_ns)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (record.digest, *seen, self._clock.now_ns()),
            )
        if row[1:] != seen:
            self._db.run(
                "UPDATE images SET pdq = ?, pdq_quality = ?, pdq_variants = ?, facts = ? WHERE image_id = ?",
                (*seen, row[0]),
            )
        image_id: int = row[0]
        return image_id


def _image_row(row: tuple[Any, ...]) -> ImageRow:
    variants: bytes = row[6]
    return ImageRow(
        image_id=row[0],
        digest=row[1],
        pixel_digest=row[2],
        facts=ImageFacts.from_json(row[3]),
        pdq=PdqHash(row[4], row[5]),
        pdq_variants=tuple(variants[at : at + _PDQ_BYTES] for at in range(0, len(variants), _PDQ_BYTES)),
        first_seen_at_ns=row[7],
    )
