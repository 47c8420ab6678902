"""Hard negatives: the nearest neighbours of every distractor photo among the others, by PDQ and by thumbnail."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from tests.evaluation.sources import Source, Workshop, photo_sources

__all__ = ["Negative", "hard_negatives"]

_THUMB_PX = 16
_CALTECH = "caltech101/101_ObjectCategories"
_POPCOUNT = np.array([value.bit_count() for value in range(256)], np.uint8)


#: pairs among the distractors that are one picture, as the eye confirms; no label says so
_COPIES = (
    ("boofcv/example/recognition/vacation/image00135.jpg", "boofcv/example/sfm/chair/image008.jpg"),
    (f"{_CALTECH}/scorpion/image_0006.jpg", f"{_CALTECH}/scorpion/image_0072.jpg"),
    (f"{_CALTECH}/scorpion/image_0072.jpg", f"{_CALTECH}/scorpion/image_0078.jpg"),
    (f"{_CALTECH}/scorpion/image_0006.jpg", f"{_CALTECH}/scorpion/image_0078.jpg"),
)


@dataclass(frozen=True, slots=True)
class Negative:
    """Two distinct photos; `rank` is how near: 0 where either is the other's nearest neighbour."""

    a: Source
    b: Source
    rank: int
    pdq: int


def _thumb(picture: np.ndarray) -> np.ndarray:
    small = cv2.resize(picture, (_THUMB_PX, _THUMB_PX), interpolation=cv2.INTER_AREA).astype(np.float32)
    flat = (small - small.mean(axis=(0, 1))).ravel()
    return flat / (np.linalg.norm(flat) + 1e-6)


def hard_negatives(
    folder: Path, count: int, *, neighbours: int = 24, sources: list[Source] | None = None
) -> list[Negative]:
    """The `count` nearest pairs of distinct photos (all, or `sources`), nearest first; labelled pairs are left out.

    Deterministic.
    """
    sources = photo_sources(folder) if sources is None else sources
    workshop = Workshop()
    sights = [workshop.sight((folder / source.name).read_bytes()) for source in sources]
    hashes = [np.frombuffer(b"".join(sight.variants), np.uint8).reshape(-1, 32) for sight in sights]
    thumbs = np.stack([_thumb(sight.pixels) for sight in sights])
    upright = np.stack([bits[0] for bits in hashes])
    labelled = {frozenset((pair["a"], pair["b"])) for pair in json.loads((folder / "pairs.json").read_text())}
    labelled |= {frozenset(pair) for pair in _COPIES}
    best: dict[tuple[int, int], tuple[int, int]] = {}
    for index, bits in enumerate(hashes):
        distance = np.min([_POPCOUNT[upright ^ row].sum(axis=1, dtype=np.int32) for row in bits], axis=0)
        likeness = thumbs @ thumbs[index]
        for order in (np.argsort(distance, kind="stable"), np.argsort(-likeness, kind="stable")):
            near = [int(other) for other in order[: neighbours + 1] if other != index][:neighbours]
            for rank, other in enumerate(near):
                key = (min(index, other), max(index, other))
                best[key] = min(best.get(key, (10**6, 0)), (rank, int(distance[other])))
    found = [
        Negative(sources[a], sources[b], rank, pdq)
        for (a, b), (rank, pdq) in best.items()
        if frozenset((sources[a].name, sources[b].name)) not in labelled
    ]
    found.sort(key=lambda negative: (negative.rank, negative.pdq, negative.a.name, negative.b.name))
    return found[:count]
