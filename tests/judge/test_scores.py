"""Normalised scores compare queries with each other and keep each query's order."""

from __future__ import annotations

import numpy as np
import pytest

from deepdupe_daemon.judge import normalised


def test_a_query_that_is_like_everything_loses_what_it_is_like_anything() -> None:
    candidates = np.array([0.9, 0.7], np.float32)
    crowded = normalised(candidates, np.full(100, 0.8, np.float32))
    lonely = normalised(candidates, np.full(100, 0.1, np.float32))
    np.testing.assert_allclose(crowded, [0.1, -0.1], atol=1e-6)
    np.testing.assert_allclose(lonely, [0.8, 0.6], atol=1e-6)


def test_only_the_nearest_of_the_background_count_in_any_order() -> None:
    background = np.array([0.1, 0.9, 0.2, 0.7], np.float32)
    found = normalised(np.array([1.0], np.float32), background, neighbours=2)
    np.testing.assert_allclose(found, [0.2], atol=1e-6)
    np.testing.assert_allclose(found, normalised(np.array([1.0], np.float32), background[::-1], neighbours=2))


def test_without_a_background_nothing_is_taken_off() -> None:
    candidates = np.array([0.4, 0.3], np.float32)
    np.testing.assert_array_equal(normalised(candidates, np.empty(0, np.float32)), candidates)


def test_no_neighbours_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        normalised(np.ones(1, np.float32), np.ones(1, np.float32), neighbours=0)
