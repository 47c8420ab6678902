"""Print whose colour compression took away: another digit would agree as well, so that nothing is proven there."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from deepdupe_daemon.judge import compare_pictures
from deepdupe_daemon.model import Relation
from tests.judge.test_verifier_graphics import numbers, stored

#: ink and ground, and the size in pixels of the print
FAINT = (
    ("#0000ff", "#000000", 13),
    ("#ffff00", "#ffffff", 13),
    ("#ff0000", "#000000", 13),
    ("#00ffff", "#ffffff", 13),
)


@pytest.mark.parametrize(("ink", "ground", "size_px"), FAINT)
def test_another_digit_in_a_faint_colour_is_never_proven_a_copy(ink: str, ground: str, size_px: int) -> None:
    for seed in (0, 1):
        first = numbers(seed, ink, ground, size_px, changed=False)
        second = numbers(seed, ink, ground, size_px, changed=True)
        found = compare_pictures(np.asarray(first), stored(second, "jpeg 75"))
        assert found.relation is not Relation.SAME, found


def test_a_page_that_could_hide_a_digit_is_an_edit_that_says_so() -> None:
    page = numbers(1, "#0000ff", "#000000", 13, changed=False)
    found = compare_pictures(np.asarray(page), stored(page, "jpeg 75"))
    assert found.relation is Relation.EDITED
    assert found.transform == "strongly compressed"
    assert "another digit" in found.reason
    assert found.measures["hidden"] >= 1


def with_a_label(text: str) -> Image.Image:
    """A page of white print on black, with one line of blue."""
    page = numbers(2, "#ffffff", "#000000", 13, changed=False)
    draw = ImageDraw.Draw(page)
    draw.rectangle((200, 100, 330, 135), fill="#000000")
    draw.text((205, 105), text, "#0000ff", ImageFont.load_default(13))
    return page


def test_one_faint_line_on_a_page_of_clear_print_decides() -> None:
    """What is clear elsewhere vouches for nothing here."""
    page, other = with_a_label("0123 4567"), with_a_label("0128 4567")
    assert compare_pictures(np.asarray(page), stored(other, "jpeg 75")).relation is not Relation.SAME


@pytest.mark.parametrize("how", ["jpeg 95", "jpeg 75"])
def test_clear_print_stays_a_copy(how: str) -> None:
    page = numbers(1, "#000000", "#ffffff", 13, changed=False)
    found = compare_pictures(np.asarray(page), stored(page, how))
    assert found.relation is Relation.SAME
    assert found.measures["hidden"] < 0.5
