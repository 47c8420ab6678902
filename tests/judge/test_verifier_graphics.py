"""Computer graphics: colour kept at half the resolution bleeds at hard edges; a small coloured letter is content."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from deepdupe_daemon.judge import compare_pictures
from deepdupe_daemon.model import Relation, U8Array

PURE = ("#ff0000", "#0000ff", "#00ff00", "#ffff00", "#ff00ff", "#00ffff", "#000000", "#ffffff")
STORED = {
    "jpeg 95": {"format": "JPEG", "quality": 95},
    "jpeg 75": {"format": "JPEG", "quality": 75},
    "jpeg 75, full colour": {"format": "JPEG", "quality": 75, "subsampling": 0},
    "webp 80": {"format": "WEBP", "quality": 80},
    "avif 60": {"format": "AVIF", "quality": 60, "speed": 10},
}


def stored(page: Image.Image, how: str) -> U8Array:
    """The pixels of `page` after it was written and read."""
    out = io.BytesIO()
    page.save(out, **STORED[how])
    return np.asarray(Image.open(out).convert("RGB"))


def blocks(seed: int) -> Image.Image:
    """Rectangles in pure colours."""
    rng = np.random.default_rng(seed)
    page = Image.new("RGB", (480, 360), PURE[rng.integers(8)])
    draw = ImageDraw.Draw(page)
    for _ in range(30):
        left, top = int(rng.integers(0, 440)), int(rng.integers(0, 320))
        width, height = (int(side) for side in rng.integers(10, 120, 2))
        draw.rectangle((left, top, left + width, top + height), PURE[rng.integers(8)])
    return page


def listing(seed: int, ground: str) -> Image.Image:
    """Source text with its words in pure colours."""
    rng = np.random.default_rng(seed)
    page = Image.new("RGB", (600, 400), ground)
    draw = ImageDraw.Draw(page)
    font = ImageFont.load_default(16)
    for line in range(16):
        x = 20.0 + 20 * int(rng.integers(0, 4))
        for _ in range(int(rng.integers(2, 6))):
            word = "".join(rng.choice(list("abcdefghijklmnopqrstuvwxyz0123456789"), int(rng.integers(2, 9))))
            draw.text((x, 10 + 24 * line), word, PURE[rng.integers(6)], font)
            x += draw.textlength(word, font) + 10
    return page


def numbers(seed: int, ink: str, ground: str, size_px: int, *, changed: bool) -> Image.Image:
    """Lines of digits; `changed` puts another one at one place."""
    rng = np.random.default_rng(seed)
    page = Image.new("RGB", (480, 320), ground)
    draw = ImageDraw.Draw(page)
    for line in range(320 // (size_px + 8)):
        text = "".join(rng.choice(list("0123456789 "), 36))
        if line == 5:
            at = int(rng.integers(0, 36))
            other = str(rng.choice([digit for digit in "0123456789" if digit != text[at]]))
            text = text[:at] + other + text[at + 1 :] if changed else text
        draw.text((10, 5 + line * (size_px + 8)), text, ink, ImageFont.load_default(size_px))
    return page


PAGES: dict[str, Callable[[int], Image.Image]] = {
    "blocks": blocks,
    "words on black": lambda seed: listing(seed, "#101010"),
    "words on white": lambda seed: listing(seed, "#ffffff"),
    "words on blue": lambda seed: listing(seed, "#0000a0"),
}


#: of these the blue, or the yellow, is so faint beside its ground that compression could hide another letter
FAINT = frozenset({"words on black", "words on white"})


@pytest.mark.parametrize("kind", PAGES)
def test_pure_colours_survive_compression_with_half_the_colour(kind: str) -> None:
    """All but one in seven: what quantisation rings around a pure colour clips, and is then taken for a change."""
    copies = [(PAGES[kind](seed), how) for seed in (1, 2, 3) for how in STORED]
    found = [compare_pictures(np.asarray(page), stored(page, how)) for page, how in copies]
    agree = [each.relation is Relation.SAME or each.transform == "strongly compressed" for each in found]
    assert sum(agree) >= 0.85 * len(found)
    assert {each.relation for each in found} <= {Relation.SAME, Relation.EDITED}
    if kind not in FAINT:
        assert sum(each.relation is Relation.SAME for each in found) >= 0.85 * len(found)


#: ink, ground, and the size from which a changed digit must show: where luma differs by 29 levels, compression leaves
#: little of small print
INKS = (
    ("#ff0000", "#0000ff", 16),
    ("#0000ff", "#000000", 22),
    ("#ff0000", "#000000", 16),
    ("#ffff00", "#ffffff", 22),
    ("#00ffff", "#ffffff", 16),
    ("#ff0000", "#008000", 13),
    ("#d08000", "#202020", 13),
    ("#2060c0", "#f0f0f0", 13),
)


@pytest.mark.parametrize(("ink", "ground", "size_px"), INKS)
def test_another_coloured_digit_is_another_picture(ink: str, ground: str, size_px: int) -> None:
    """The luma of most of these inks is near that of their ground: what changes is in the colour as well."""
    for number, how in enumerate(STORED):
        first = numbers(number, ink, ground, size_px, changed=False)
        second = numbers(number, ink, ground, size_px, changed=True)
        found = compare_pictures(np.asarray(first), stored(second, how))
        assert found.relation is not Relation.SAME, (how, found)


def test_identical_pages_but_for_one_coloured_digit_are_laid_exactly_over_each_other() -> None:
    """Small print is mush at 96 px, where the registration begins; the page must not end up shifted for it."""
    first = numbers(1, "#0000ff", "#000000", 12, changed=False)
    second = numbers(1, "#0000ff", "#000000", 12, changed=True)
    found = compare_pictures(np.asarray(first), np.asarray(second))
    assert found.relation is not Relation.SAME
    assert found.measures["edge_noise"] < 0.01


def switched(colour: tuple[int, int, int]) -> U8Array:
    """A page of grey print, with one small switch in a colour."""
    page = np.array(numbers(1, "#202020", "#ffffff", 16, changed=False))
    page[200:212, 300:324] = colour
    return page


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((30, 120, 220), (150, 150, 150)),
        ((220, 30, 30), (30, 160, 30)),
        ((150, 150, 150), (90, 90, 90)),
        ((255, 255, 255), (225, 235, 245)),
    ],
    ids=["off", "red to green", "darker", "tinted"],
)
@pytest.mark.parametrize("how", [None, "jpeg 95", "jpeg 75"])
def test_another_state_of_one_switch_is_another_window(
    first: tuple[int, int, int], second: tuple[int, int, int], how: str | None
) -> None:
    """A colour or a brightness at one place alone must not be taken for the tone of the whole."""
    changed = switched(second)
    seen = changed if how is None else stored(Image.fromarray(changed), how)
    assert compare_pictures(switched(first), seen).relation is not Relation.SAME
    if how is not None:
        assert compare_pictures(changed, seen).relation is Relation.SAME
