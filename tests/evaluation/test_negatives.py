"""The nearest neighbours among distinct photos are no copies of each other."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.evaluation.negatives import hard_negatives
from tests.evaluation.proving import judged
from tests.evaluation.sources import Workshop, photo_sources

pytestmark = pytest.mark.evaluation


def wrong(folder: Path, count: int, photos: int | None) -> list[str]:
    """The hardest `count` pairs among so many photos, by a fixed seed, that came to an automatic class."""
    sources = photo_sources(folder)
    chosen = sources if photos is None else random.Random(11).sample(sources, photos)
    workshop = Workshop()
    pairs = hard_negatives(folder, count, sources=sorted(chosen, key=lambda source: source.name))
    assert len(pairs) == count
    found = []
    for pair in pairs:
        files = [(folder / source.name).read_bytes() for source in (pair.a, pair.b)]
        verdict = judged(*files, workshop).ruling.verdict_class
        if verdict is not None and verdict.proven:
            found.append(f"{pair.a.name} {pair.b.name} {verdict}")
    return found


def test_look_alikes_of_a_sample_are_no_copies(data_dir: Path) -> None:
    assert wrong(data_dir, count=60, photos=160) == []


@pytest.mark.nightly
def test_two_thousand_look_alikes_are_no_copies(data_dir: Path) -> None:
    """`python -m tests.evaluation --scale full --only negatives` takes 10,500."""
    assert wrong(data_dir, count=2_000, photos=None) == []
