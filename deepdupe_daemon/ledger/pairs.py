"""What was found of two images: each pair of pictures is compared once, and remembered for as long as both are."""
# ruff: noqa: S608 - only names of ours and "?" marks are put into SQL, never a value

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from deepdupe_daemon.ledger.connection import Opened
from deepdupe_daemon.ledger.rows import PairRow
from deepdupe_daemon.model import Comparison

__all__ = ["Pairs"]

_COLUMNS = "low_image_id, high_image_id, proposed, similarities, normalised, same_pixels, comparison, verifier"


class Pairs(Opened):
    """Pairs of images. The one with the lower id comes first, and `comparison` is told from it to the other."""

    def pair(self, one: int, other: int) -> PairRow | None:
        """What was found of two images, in whichever order they are named."""
        ends = (min(one, other), max(one, other))
        row = self._db.one(f"SELECT {_COLUMNS} FROM pairs WHERE low_image_id = ? AND high_image_id = ?", ends)
        return _pair_row(row) if row else None

    def pairs_of(self, image_id: int) -> list[PairRow]:
        """Every pair that the image is an end of, by the id of the other end."""
        rows = self._db.rows(
            f"SELECT {_COLUMNS} FROM pairs WHERE low_image_id = ?1"
            f" UNION ALL SELECT {_COLUMNS} FROM pairs WHERE high_image_id = ?1",
            (image_id,),
        )
        pairs = [_pair_row(row) for row in rows]
        return sorted(pairs, key=lambda pair: pair.other(image_id))

    def record_proofs(self, pairs: Iterable[PairRow], pixel_digests: Mapping[int, bytes]) -> None:
        """Commit what was found, in ONE transaction: pairs (a row that is there gives way), pixel digests by image."""
        rows = [_columns(pair) for pair in pairs]
        if not rows and not pixel_digests:
            return
        with self._db.writing():
            self._db.run_many(f"INSERT OR REPLACE INTO pairs ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
            self._db.run_many(
                "UPDATE images SET pixel_digest = ? WHERE image_id = ?",
                ((digest, image_id) for image_id, digest in pixel_digests.items()),
            )


def _columns(pair: PairRow) -> tuple[Any, ...]:
    comparison = json.dumps(pair.comparison.to_dict(), sort_keys=True) if pair.comparison is not None else None
    return (
        pair.low_image_id,
        pair.high_image_id,
        int(pair.proposed),
        json.dumps(dict(pair.similarities), sort_keys=True),
        json.dumps(dict(pair.normalised), sort_keys=True),
        None if pair.same_pixels is None else int(pair.same_pixels),
        comparison,
        pair.verifier,
    )


def _pair_row(row: tuple[Any, ...]) -> PairRow:
    return PairRow(
        low_image_id=row[0],
        high_image_id=row[1],
        proposed=bool(row[2]),
        similarities=json.loads(row[3]),
        normalised=json.loads(row[4]),
        same_pixels=None if row[5] is None else bool(row[5]),
        comparison=None if row[6] is None else Comparison.from_dict(json.loads(row[6])),
        verifier=row[7],
    )
