"""What a comparison costs: decoding the two pictures, and comparing them, by the size of the originals."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from deepdupe_daemon.judge import compare_pictures
from tests.evaluation.ladder import EDITED, encoded
from tests.evaluation.sources import Workshop

__all__ = ["timing_lines"]

_SIZES_MP = (0.5, 12.0, 24.0)
_REPEATS = 12


def timing_lines(folder: Path) -> Iterator[str]:
    """Processor milliseconds on one thread, p50 and p99, of a copy, a crop and two other pictures."""
    cv2.setNumThreads(1)
    workshop = Workshop()
    photos = [Image.fromarray(workshop.picture(path.read_bytes(), 4096)) for path in _photos(folder)]
    yield f"{'one comparison, ms of one core':42s} {'decode p50':>11s} {'p99':>6s} {'compare p50':>12s} {'p99':>6s}"
    for size_mp in _SIZES_MP:
        for kind in ("copy", "crop", "other"):
            spent = [
                _spent(workshop, _sized(photos[turn % len(photos)], size_mp), photos[(turn + 1) % len(photos)], kind)
                for turn in range(_REPEATS)
            ]
            decode, compare = np.array(spent).T * 1000
            figures = [*np.quantile(decode, (0.5, 0.99)), *np.quantile(compare, (0.5, 0.99))]
            cells = " ".join(f"{figure:{width}.0f}" for figure, width in zip(figures, (11, 6, 12, 6), strict=True))
            yield f"{size_mp:g} MP, {kind:36s} {cells}"
    yield f"peak memory of this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MiB"


def _photos(folder: Path) -> list[Path]:
    return sorted((folder / "budgie").rglob("*.jpg"))[:4]


def _sized(image: Image.Image, size_mp: float) -> Image.Image:
    scale = (size_mp * 1e6 / (image.width * image.height)) ** 0.5
    return image.resize((round(image.width * scale), round(image.height * scale)))


def _spent(workshop: Workshop, image: Image.Image, other: Image.Image, kind: str) -> tuple[float, float]:
    first = encoded(image, quality=92)
    if kind == "copy":
        second = encoded(image, quality=70)
    elif kind == "crop":
        second = EDITED["crop 50 %"](image)
    else:
        second = encoded(other.resize(image.size), quality=92)
    began = time.thread_time()
    pictures = workshop.picture(first), workshop.picture(second)
    decoded = time.thread_time()
    compare_pictures(*pictures)
    return decoded - began, time.thread_time() - decoded
