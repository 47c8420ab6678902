"""A finding told from the other side is the finding on the pictures in the other order."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from deepdupe_daemon.judge import compare_pictures
from deepdupe_daemon.model import Comparison
from tests.judge.scenes import jpeg, scene


@pytest.mark.parametrize("share", [1.0, 0.7])
def test_a_comparison_turned_round_is_that_of_the_pictures_in_the_other_order(share: float) -> None:
    a = scene(5)
    b = jpeg(np.ascontiguousarray(a[: int(300 * share), : int(400 * share)]), 80)
    forth, back = compare_pictures(a, b), compare_pictures(b, a)
    for found, other in ((forth.turned_round(), back), (back.turned_round(), forth)):
        assert replace(found, measures={}) == replace(other, measures={})
        assert dict(found.measures) == pytest.approx(dict(other.measures))
    assert Comparison.from_dict(forth.to_dict()) == forth
    assert (forth.transform == back.transform) is (share == 1.0)
