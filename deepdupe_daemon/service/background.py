"""How like anything a picture is: what a space with normalised scores takes off a similarity."""

from __future__ import annotations

import json

import numpy as np

from deepdupe_daemon.judge import normalised
from deepdupe_daemon.ledger import I64Array, Ledger
from deepdupe_daemon.model import F32Array

__all__ = ["BACKGROUND_ROWS", "Background", "load_background", "take_background"]

#: pictures that a background holds, and that a space must hold before it gets one
BACKGROUND_ROWS = 1000


class Background:
    """Pictures that have nothing to do with each other: ids (n,) and their rows (n, dim). Any thread may use it.

    The score of a pair is its cosine less the mean of both pictures' mean cosine to their nearest background rows: the
    same from either side, so that it does not depend on which of the two came last.
    """

    def __init__(self, ids: I64Array, rows: F32Array) -> None:
        self._ids = ids
        self._rows = rows

    def score(self, similarity: float, one: F32Array, other: F32Array, ids: tuple[int | None, int | None]) -> float:
        """`one` and `other`: the rows (dim,) of the two pictures; `ids`: theirs, which do not count as background."""
        unrelated = ~np.isin(self._ids, [image_id for image_id in ids if image_id is not None])
        raw = np.array([similarity], np.float32)
        from_either = [float(normalised(raw, (self._rows @ row)[unrelated])[0]) for row in (one, other)]
        return sum(from_either) / 2


def load_background(ledger: Ledger, space: str) -> Background | None:
    """The background that was taken for a space, with these weights; None where none was yet."""
    kept = ledger.meta(_key(ledger, space))
    if kept is None:
        return None
    found = {image_id: ledger.image_vectors(image_id, [space]).get(space) for image_id in json.loads(kept)}
    rows = {image_id: row.astype(np.float32) for image_id, row in found.items() if row is not None}
    return Background(np.array(list(rows), np.int64), np.stack(list(rows.values()))) if rows else None


def take_background(ledger: Ledger, space: str) -> None:
    """Choose the background of a space for good: the first pictures that nothing earlier was compared with.

    For good, because the same pair shall get the same score today and next year. Nothing happens where there are too
    few yet.
    """
    chosen: list[int] = []
    for ids, _ in ledger.vectors(space):
        for image_id in ids.tolist():
            earlier = [pair.other(image_id) for pair in ledger.pairs_of(image_id) if pair.comparison is not None]
            if not any(other < image_id for other in earlier):
                chosen.append(image_id)
            if len(chosen) == BACKGROUND_ROWS:
                ledger.set_meta(_key(ledger, space), json.dumps(chosen))
                return


def _key(ledger: Ledger, space: str) -> str:
    fingerprint = next((key.fingerprint() for key in ledger.spaces() if key.name == space), "")
    return f"background {space} {fingerprint}"
