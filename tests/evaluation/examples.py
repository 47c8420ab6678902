"""The pairs that are measured: labelled ones, ladders of copies, pictures that differ at one place."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from tests.evaluation.documents import document_pair
from tests.evaluation.ladder import BETWEEN, EDITED, RE_ENCODED, encoded, grainy
from tests.evaluation.local_edits import LOCAL_EDITS
from tests.evaluation.sources import Source, Workshop, document_sources, drawn, photo_sources

__all__ = ["Example", "Expect", "labelled", "ladders", "local_edits", "picked_sources"]

Expect = str  # "same" | "found" | "edited" | "not automatic" | a label of pairs.json


@dataclass(frozen=True, slots=True)
class Example:
    """Two files and what they are to each other."""

    expect: Expect
    op: str
    name: str
    a: bytes
    b: bytes
    held_out: bool = False


def labelled(folder: Path) -> Iterator[Example]:
    """pairs.json."""
    for pair in json.loads((folder / "pairs.json").read_text()):
        a, b = (folder / pair[side] for side in "ab")
        yield Example(pair["expect"], pair["op"], f"{pair['a']} {pair['b']}", a.read_bytes(), b.read_bytes())


#: of each set so many photos in a hundred
_SHARES = {"caltech101": 50, "boofcv": 28, "kodak": 8, "budgie": 6, "perception": 6, "opensfm": 2}


def picked_sources(folder: Path, count: int, *, held_out: bool, seed: int = 5) -> list[Source]:
    """About `count` photos of one half, in fixed shares of the sets, and a fifth as many drawn pages."""
    rng = random.Random(seed)
    photos = [source for source in photo_sources(folder) if source.held_out == held_out]
    chosen: list[Source] = []
    for name, share in _SHARES.items():
        of_set = [source for source in photos if source.name.startswith(name)]
        rng.shuffle(of_set)
        chosen += of_set[: max(1, round(count * share / 100))]
    pages = [source for source in document_sources(40) if source.held_out == held_out]
    rng.shuffle(pages)
    return chosen + pages[: max(1, count // 5)]


def ladders(sources: list[Source], folder: Path, workshop: Workshop) -> Iterator[Example]:
    """Each source against each of its copies."""
    for source in sources:
        image = drawn(source, folder, workshop)
        base = _original(source, image)
        for expect, steps in (("same", RE_ENCODED), ("found", BETWEEN), ("edited", EDITED)):
            for op, step in steps.items():
                yield Example(expect, op, source.name, base, step(image), source.held_out)
        if not source.name.startswith("drawn:"):
            noisy = grainy(image, 3 + source.seed % 6, source.seed)
            for op in _GRAIN_OPS:
                name = f"grain, {op}"
                files = encoded(noisy, quality=92), RE_ENCODED[op](noisy)
                yield Example("same", name, source.name, *files, source.held_out)


#: what takes the grain of a picture away
_GRAIN_OPS = ("jpeg 75", "jpeg 50", "jpeg 30", "resize 1/2")

#: compressions under which a person can still tell what was changed
_SOFT = [name for name in RE_ENCODED if name not in ("resize 1/8", "resize 1/4", "resize 1/3 jpeg 40", "grey")]


def local_edits(sources: list[Source], folder: Path, workshop: Workshop, *, each: int = 2) -> Iterator[Example]:
    """Pictures that differ at one place, each side compressed in its own way; of each kind `each` a source."""
    for source in sources:
        rng = random.Random(source.seed)
        if source.name.startswith("drawn:"):
            _, kind, seed = source.name.split(":")
            first, second = document_pair(kind, int(seed))
            for _ in range(4 * each):
                yield _compressed(source, f"another {kind}", first, second, rng)
            continue
        image = drawn(source, folder, workshop)
        for op, edit in LOCAL_EDITS.items():
            for number in range(each):
                first, second = edit(image, np.random.default_rng(source.seed + number))
                yield _compressed(source, op, first, second, rng)


def _compressed(source: Source, op: str, a: Image.Image, b: Image.Image, rng: random.Random) -> Example:
    how = rng.choice(("jpeg 95", rng.choice(_SOFT))), rng.choice(_SOFT)
    files = RE_ENCODED[how[0]](a), RE_ENCODED[how[1]](b)
    return Example("not automatic", op, f"{source.name} {how[0]} / {how[1]}", *files, source.held_out)


def _original(source: Source, image: Image.Image) -> bytes:
    """As a camera or a program would have written it."""
    return encoded(image, "PNG") if source.name.startswith("drawn:") else encoded(image, quality=92)
