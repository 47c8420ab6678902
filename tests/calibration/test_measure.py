"""Rows to scores, held against the slow and obvious way."""

from __future__ import annotations

import numpy as np
import pytest

from deepdupe_daemon.calibration.measure import measured, nearest_pairs, scores_of
from deepdupe_daemon.calibration.rows import SpaceRows
from deepdupe_daemon.judge import normalised
from deepdupe_daemon.vision.copies import EDITED, RE_ENCODED

PHOTOS, DIM = 40, 16
NAMES = (*RE_ENCODED, *EDITED)


@pytest.fixture
def rows() -> SpaceRows:
    """A network's rows: copies near their originals, photo 1 a copy of photo 0, two copies that could not be made."""
    chance = np.random.default_rng(3)

    def unit(values: np.ndarray) -> np.ndarray:
        return (values / np.linalg.norm(values, axis=-1, keepdims=True)).astype(np.float16)

    originals = chance.standard_normal((PHOTOS, 1, DIM))
    originals[1] = originals[0] + 0.01
    copies = {name: unit(originals + 0.3 * chance.standard_normal((PHOTOS, 1, DIM))) for name in NAMES}
    copies["jpeg"][[4, 7]] = np.nan
    return SpaceRows(unit(originals), copies)


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a.astype(np.float32) @ b.astype(np.float32))


def test_every_score_is_the_cosine_that_it_says(rows: SpaceRows) -> None:
    plain, _ = scores_of(rows, copies=[], bursts=[(2, 3)])
    for photo in range(PHOTOS):
        others = [
            cosine(rows.originals[photo, 0], rows.originals[other, 0]) for other in range(PHOTOS) if other != photo
        ]
        np.testing.assert_allclose(plain.neighbours[photo], sorted(others, reverse=True)[:32], atol=1e-5)
        for name in NAMES:
            own = cosine(rows.copies[name][photo, 0], rows.originals[photo, 0])
            np.testing.assert_allclose(plain.copies[name][photo], own, atol=1e-5)
    assert np.flatnonzero(np.isnan(plain.copies["jpeg"])).tolist() == [4, 7]
    burst = cosine(rows.originals[2, 0], rows.originals[3, 0])
    np.testing.assert_allclose(plain.bursts, [burst], atol=1e-5)


def test_normalised_scores_are_the_judges(rows: SpaceRows) -> None:
    _, normal = scores_of(rows, copies=[], bursts=[])
    photo, query = 5, rows.copies["webp"][5, 0]
    background = np.array([cosine(query, rows.originals[other, 0]) for other in range(PHOTOS) if other != photo])
    own = np.array([cosine(query, rows.originals[photo, 0])])
    expected = normalised(own, background.astype(np.float32))
    np.testing.assert_allclose(normal.copies["webp"][photo], expected[0], atol=1e-5)
    best = -2.0
    for other in range(PHOTOS):
        if other != photo:
            others = [each for each in range(PHOTOS) if each not in (photo, other)]
            around = np.array([cosine(rows.originals[photo, 0], rows.originals[each, 0]) for each in others])
            own = np.array([cosine(rows.originals[photo, 0], rows.originals[other, 0])])
            best = max(best, float(normalised(own, around.astype(np.float32))[0]))
    np.testing.assert_allclose(normal.nearest[photo], best, atol=1e-5)


def test_photos_that_are_copies_of_each_other_are_no_negatives(rows: SpaceRows) -> None:
    assert nearest_pairs(rows, 1) == [(0, 1)]
    with_them, _ = scores_of(rows, copies=[], bursts=[(0, 1)])
    without, _ = scores_of(rows, copies=[(0, 1)], bursts=[(0, 1)])
    assert with_them.nearest[0] > 0.99
    assert without.nearest[0] < 0.95
    assert without.nearest[0] == pytest.approx(with_them.neighbours[0, 1])
    assert (len(with_them.bursts), len(without.bursts)) == (1, 0)


def test_pdq_is_searched_in_all_its_orientations() -> None:
    chance = np.random.default_rng(1)
    hashes = chance.integers(0, 256, (30, 8, 32), np.uint8)
    turned = hashes[:, ::-1].copy()  # the upright one is the last
    none = np.zeros_like(hashes)
    rows = SpaceRows(hashes, dict.fromkeys(NAMES, turned) | {"heic": none})
    plain, _ = scores_of(rows, copies=[], bursts=[])
    np.testing.assert_allclose(plain.copies["mirrored"], 1.0)
    assert np.isnan(plain.copies["heic"]).all()
    distance = min(int(np.unpackbits(variant ^ hashes[9, 0]).sum()) for variant in hashes[2])
    found = [row for row in plain.neighbours[2] if row == pytest.approx(1 - 2 * distance / 256, abs=1e-6)]
    assert found or plain.neighbours[2, -1] > 1 - 2 * distance / 256


def test_rates_count_pairs_and_grow_with_the_library(rows: SpaceRows) -> None:
    plain, _ = scores_of(rows, copies=[(0, 1)], bursts=[(2, 3)])
    found, curve = measured(plain, wanted=0.9, library=400)
    assert found.rates is not None
    rates = found.rates
    pairs = sum(
        cosine(rows.originals[one, 0], rows.originals[other, 0]) >= rates.threshold
        for one in range(PHOTOS)
        for other in range(PHOTOS)
        if one != other and {one, other} != {0, 1}
    )
    assert rates.false_per_10k == pytest.approx(10_000 * pairs / PHOTOS)
    assert rates.false_per_10k_library == pytest.approx(rates.false_per_10k * 399 / 39)
    assert rates.recall == pytest.approx(float(curve.recall(rates.threshold)))
    assert rates.bursts == 2 - 1
    assert set(rates.by_copy) == set(NAMES)
