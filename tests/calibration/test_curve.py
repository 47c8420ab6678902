"""The arithmetic, held against scikit-learn and against direct counting."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import precision_recall_curve

from deepdupe_daemon.calibration import Curve, Scores, wilson

NAMES = ("jpeg", "webp", "smaller")


def made_scores(seed: int = 0, photos: int = 300, gap: float = 0.3) -> Scores:
    """Copies around 0.9 and other photos `gap` below, overlapping; some copies could not be made."""
    chance = np.random.default_rng(seed)
    copies = {name: np.clip(chance.normal(0.9, 0.06, photos), -1, 1) for name in NAMES}
    copies["webp"][chance.random(photos) < 0.1] = np.nan
    neighbours = -np.sort(-chance.normal(0.9 - gap, 0.12, (photos, 5)), axis=1)
    return Scores(copies, np.clip(neighbours, -1, 1), np.array([0.7, 0.95]))


@pytest.mark.parametrize("seed", range(5))
def test_precision_and_recall_are_those_of_scikit_learn(seed: int) -> None:
    scores = made_scores(seed)
    curve = Curve(scores, NAMES)
    labels, values, weights = scores.arrivals(NAMES)
    precision, recall, thresholds = precision_recall_curve(labels, values, sample_weight=weights)
    assert len(thresholds) > 500
    np.testing.assert_allclose(curve.precision(thresholds), precision[:-1], atol=1e-12)
    np.testing.assert_allclose(curve.recall(thresholds), recall[:-1], atol=1e-12)


def test_each_photo_arrives_once_as_itself_and_once_as_its_copies() -> None:
    scores = made_scores()
    labels, values, weights = scores.arrivals(NAMES)
    assert len(labels) == len(values) == len(weights)
    assert weights[~labels].sum() == pytest.approx(scores.photos)
    assert weights[labels].sum() == pytest.approx(scores.photos)
    assert np.isfinite(values).all()


def test_the_shares_are_what_counting_gives() -> None:
    nan = np.nan
    copies = {"jpeg": np.array([0.9, 0.5, 0.8]), "webp": np.array([0.7, nan, 0.9])}
    scores = Scores(copies, np.array([[0.6], [0.4], [0.75]]), np.array([]))
    curve = Curve(scores, ("jpeg", "webp"))
    # photo 1: both copies above 0.7; photo 2: its one copy below; photo 3: both above; one photo proposed wrongly
    assert float(curve.recall(0.7)) == pytest.approx((1 + 0 + 1) / 3)
    assert float(curve.false_share(0.7)) == pytest.approx(1 / 3)
    assert float(curve.precision(0.7)) == pytest.approx(2 / 3)
    assert float(curve.recall(0.71)) == pytest.approx((0.5 + 0 + 1) / 3)
    assert float(curve.precision(0.99)) == 1.0


@pytest.mark.parametrize("wanted", [0.9, 0.95, 0.99])
def test_the_threshold_is_the_lowest_that_reaches_the_precision(wanted: float) -> None:
    curve = Curve(made_scores(photos=2000, gap=0.5), NAMES)
    found = curve.threshold_for(wanted)
    assert found.estimate is not None
    assert float(curve.precision(found.estimate)) >= wanted
    assert (curve.precision(curve.thresholds[curve.thresholds < found.estimate]) < wanted).all()
    assert found.low is not None
    assert found.high is not None
    assert found.low <= found.estimate <= found.high
    assert curve.precision_interval(found.high).low >= wanted
    assert curve.precision_interval(found.low).high >= wanted


def test_a_small_sample_proves_little_and_says_so() -> None:
    perfect = Scores({"jpeg": np.full(50, 0.99)}, np.full((50, 1), 0.2), np.array([]))
    found = Curve(perfect, ("jpeg",)).threshold_for(0.99)
    assert found.estimate == pytest.approx(0.99)
    assert not found.proven
    assert Curve(perfect, ("jpeg",)).safest() == pytest.approx(0.99)


def test_where_nothing_is_proven_the_threshold_is_one_that_the_sample_itself_reaches() -> None:
    """A space that hardly tells copies from others: the interval is narrowest, and its lower end highest, where every
    photo is proposed."""
    chance = np.random.default_rng(2)
    copies = {"jpeg": np.clip(chance.normal(0.85, 0.03, 60), -1, 1)}
    others = np.clip(chance.normal(0.93, 0.02, (60, 1)), -1, 0.99)
    copies["jpeg"][:2] = 0.999
    curve = Curve(Scores(copies, others, np.array([])), ("jpeg",))
    assert not curve.threshold_for(0.9).proven
    everything = curve.safest()
    assert everything is not None
    assert float(curve.precision(everything)) < 0.6
    chosen = curve.safest(0.9)
    assert chosen is not None
    assert float(curve.precision(chosen)) >= 0.9


@pytest.mark.parametrize("wanted", [0.9, 0.99, 0.995])
def test_so_many_photos_prove_it_and_fewer_do_not(wanted: float) -> None:
    needed = Curve.photos_needed(wanted)
    for photos, proven in ((needed, True), (needed - 1, False)):
        perfect = Scores({"jpeg": np.full(photos, 0.99)}, np.full((photos, 1), 0.2), np.array([]))
        assert Curve(perfect, ("jpeg",)).threshold_for(wanted).proven is proven


def test_where_no_copy_could_be_made_there_is_no_threshold() -> None:
    nothing = Scores({"jpeg": np.full(30, np.nan)}, np.full((30, 1), 0.2), np.array([]))
    curve = Curve(nothing, ("jpeg",))
    assert curve.threshold_for(0.9).estimate is None
    assert curve.safest() is None


@pytest.mark.parametrize(
    ("hits", "units", "low", "high"),
    # Brown, Cai and DasGupta's formula worked out by hand for 0, and published examples (Newcombe 1998, table I)
    [(0, 20, 0.0, 0.1611), (81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (1, 29, 0.0061, 0.1718)],
)
def test_wilsons_interval_is_the_published_one(hits: int, units: int, low: float, high: float) -> None:
    found = wilson(hits / units, units)
    assert (round(found.low, 4), round(found.high, 4)) == (low, high)


@given(st.integers(1, 5000), st.data())
def test_an_interval_holds_its_share_and_narrows(units: int, data: st.DataObject) -> None:
    share = data.draw(st.integers(0, units)) / units
    found, wider = wilson(share, units), wilson(share, max(1, units // 2))
    assert 0 <= found.low <= share + 1e-12
    assert share - 1e-12 <= found.high <= 1
    assert wider.high - wider.low >= found.high - found.low - 1e-12


def test_an_interval_of_nothing_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="at least one trial"):
        wilson(0.5, 0)
