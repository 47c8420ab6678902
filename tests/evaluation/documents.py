"""Receipts, letters, tables, chats and windows, drawn: pictures of which one digit makes another document.

Each function draws from a random generator; `changed=True` draws the same page but for one small thing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from PIL import Image, ImageDraw

from tests.evaluation.ladder import font

__all__ = ["DOCUMENTS", "document_pair"]

_Draw = Callable[[np.random.Generator, bool], Image.Image]

_WORDS = [
    "the",
    "invoice",
    "for",
    "order",
    "sum",
    "total",
    "paid",
    "cash",
    "table",
    "garden",
    "evening",
    "train",
    "to",
    "from",
    "please",
    "number",
    "window",
    "account",
    "market",
    "week",
    "open",
    "letter",
    "report",
    "paper",
    "water",
    "light",
    "sound",
    "north",
    "small",
    "large",
    "under",
    "between",
    "seven",
    "first",
    "second",
    "closed",
    "delivery",
]


def _digits(rng: np.random.Generator, count: int) -> str:
    return "".join(str(d) for d in rng.integers(0, 10, count))


def _other_digit(text: str, at: int) -> str:
    return text[:at] + str((int(text[at]) + 3) % 10) + text[at + 1 :]


def _sentence(rng: np.random.Generator, words: int) -> str:
    return " ".join(rng.choice(_WORDS, words))


def _receipt(rng: np.random.Generator, changed: bool) -> Image.Image:
    page = Image.new("RGB", (620, 1100), (250, 249, 244))
    draw = ImageDraw.Draw(page)
    draw.text((180, 40), "CORNER MARKET", "black", font(32))
    number = _digits(rng, 8)
    draw.text((60, 110), f"Receipt no. {_other_digit(number, 6) if changed else number}", "black", font(22))
    y = 180
    for _ in range(18):
        draw.text((60, y), _sentence(rng, 2), (30, 30, 30), font(22))
        draw.text((470, y), f"{rng.integers(1, 99)}.{_digits(rng, 2)}", (30, 30, 30), font(22))
        y += 42
    draw.text((60, y + 20), "TOTAL", "black", font(30))
    draw.text((440, y + 20), f"{rng.integers(100, 999)}.{_digits(rng, 2)}", "black", font(30))
    return page


def _letter(rng: np.random.Generator, changed: bool) -> Image.Image:
    page = Image.new("RGB", (1240, 1754), "white")  # A4 at 150 dpi
    draw = ImageDraw.Draw(page)
    draw.text((120, 130), _sentence(rng, 3).title(), "black", font(40))
    for line in range(42):
        text = _sentence(rng, 11)
        if changed and line == 20:
            text = text.rsplit(" ", 1)[0] + " nothing"
        draw.text((120, 260 + line * 32), text, (20, 20, 20), font(24))
    return page


def _table(rng: np.random.Generator, changed: bool) -> Image.Image:
    page = Image.new("RGB", (1440, 900), (246, 247, 249))
    draw = ImageDraw.Draw(page)
    draw.rectangle((0, 0, 1440, 60), (35, 70, 120))
    draw.text((24, 16), "Budget - sheet 2", "white", font(26))
    hit = (int(rng.integers(4, 22)), int(rng.integers(1, 9)))
    for row in range(25):
        for column in range(10):
            left, top = 10 + column * 142, 70 + row * 32
            draw.rectangle((left, top, left + 142, top + 32), "white", (205, 208, 212))
            value = f"{rng.integers(10, 99)},{_digits(rng, 3)}"
            if changed and (row, column) == hit:
                value = value[:-1] + str((int(value[-1]) + 3) % 10)
            draw.text((left + 60, top + 8), value, (25, 25, 25), font(18))
    return page


def _chat(rng: np.random.Generator, changed: bool) -> Image.Image:
    page = Image.new("RGB", (750, 1334), (236, 229, 221))
    draw = ImageDraw.Draw(page)
    draw.rectangle((0, 0, 750, 90), (7, 94, 84))
    draw.text((90, 28), "Family", "white", font(32))
    y = 120
    for line in range(11):
        mine = bool(rng.integers(0, 2))
        text = _sentence(rng, int(rng.integers(2, 6)))
        if changed and line == 7:
            text = "ok " + text.split(" ", 1)[1]
        left = 220 if mine else 30
        draw.rounded_rectangle((left, y, left + 500, y + 78), 14, (220, 248, 198) if mine else "white")
        draw.text((left + 20, y + 18), text, (20, 20, 20), font(26))
        draw.text((left + 430, y + 50), f"1{rng.integers(0, 10)}:{rng.integers(10, 60)}", (120, 120, 120), font(18))
        y += 104
    return page


def _window(rng: np.random.Generator, changed: bool) -> Image.Image:
    page = Image.new("RGB", (1280, 800), (240, 240, 240))
    draw = ImageDraw.Draw(page)
    draw.rectangle((0, 0, 1280, 44), (60, 60, 64))
    draw.text((16, 10), "Settings", "white", font(22))
    ticked = [bool(rng.integers(0, 2)) for _ in range(14)]
    if changed:
        ticked[9] = not ticked[9]
    for index, on in enumerate(ticked):
        top = 90 + index * 48
        draw.rectangle((60, top, 84, top + 24), "white", (110, 110, 110), 2)
        if on:
            draw.line((64, top + 12, 71, top + 20, 81, top + 4), (20, 110, 200), 4)
        draw.text((104, top), _sentence(rng, 5), (30, 30, 30), font(22))
    draw.rectangle((900, 700, 1040, 744), (20, 110, 200))
    draw.text((930, 708), "Apply", "white", font(24))
    return page


def _chart(rng: np.random.Generator, changed: bool) -> Image.Image:
    page = Image.new("RGB", (1000, 700), "white")
    draw = ImageDraw.Draw(page)
    draw.text((60, 20), _sentence(rng, 4), "black", font(28))
    heights = rng.integers(60, 520, 12)
    if changed:
        heights[5] = heights[5] + (40 if heights[5] < 400 else -40)
    for index, height in enumerate(heights):
        left = 70 + index * 75
        draw.rectangle((left, 640 - int(height), left + 50, 640), (70, 130, 180))
        draw.text((left + 8, 650), str(2010 + index), "black", font(18))
    draw.line((60, 80, 60, 640, 980, 640), "black", 2)
    return page


_PURE = ("#ff0000", "#00ff00", "#ffff00", "#ff00ff", "#00ffff", "#ffffff")


def _listing(rng: np.random.Generator, changed: bool) -> Image.Image:
    """Source text in an editor with a dark ground, its words in pure colours."""
    page = Image.new("RGB", (1100, 760), (24, 24, 28))
    draw = ImageDraw.Draw(page)
    for line in range(27):
        x = 40.0 + 30 * int(rng.integers(0, 4))
        for place in range(5):
            word, ink = str(rng.choice(_WORDS)) + _digits(rng, 2), str(rng.choice(_PURE))
            if changed and (line, place) == (12, 1):
                word = _other_digit(word, len(word) - 1)
            draw.text((x, 12 + 27 * line), word, ink, font(18))
            x += draw.textlength(word, font(18)) + 12
    return page


def _panel(rng: np.random.Generator, changed: bool) -> Image.Image:
    """A page of grey print with one lamp that is green, or red."""
    page = Image.new("RGB", (900, 640), "white")
    draw = ImageDraw.Draw(page)
    for line in range(16):
        draw.text((90, 24 + 37 * line), _sentence(rng, 6), (60, 60, 60), font(22))
    top = 28 + 37 * int(rng.integers(0, 16))
    draw.ellipse((40, top, 62, top + 22), (210, 40, 40) if changed else (40, 160, 60))
    return page


DOCUMENTS: Mapping[str, _Draw] = {
    "receipt": _receipt,
    "letter": _letter,
    "table": _table,
    "chat": _chat,
    "window": _window,
    "chart": _chart,
    "listing": _listing,
    "panel": _panel,
}


def document_pair(kind: str, seed: int) -> tuple[Image.Image, Image.Image]:
    """A page, and the page that differs from it in one small thing."""
    draw = DOCUMENTS[kind]
    return draw(np.random.default_rng(seed), False), draw(np.random.default_rng(seed), True)
