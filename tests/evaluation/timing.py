"""What a comparison costs, by stage and by the size of the originals."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import cv2
import numpy as np
from PIL import Image

from deepdupe_daemon.judge import compare_pictures
from deepdupe_daemon.judge.verifier import compare
from tests.evaluation.ladder import EDITED, encoded
from tests.evaluation.sources import Workshop

__all__ = ["timing_lines"]

_SIZES_MP = (0.5, 12.0, 24.0)
_REPEATS = 12
#: what is done after which; `whole` and `parts` are stages of one comparison
_STAGES = ("decode two", "whole", "parts")


def timing_lines(folder: Path) -> Iterator[str]:
    """Processor milliseconds on one thread, and the most MiB that were resident; p99 of 12 is the slowest."""
    cv2.setNumThreads(1)
    workshop = Workshop()
    photos = [Image.fromarray(workshop.picture(path.read_bytes(), 4096)) for path in _photos(folder)]
    yield f"{'one comparison':28s}" + "".join(f"{stage + ' ms p50/p99':>24s}{'MiB p50/p99':>14s}" for stage in _STAGES)
    for size_mp in _SIZES_MP:
        for kind in ("copy", "crop", "other"):
            spent = np.array(
                [
                    _spent(
                        workshop, _sized(photos[turn % len(photos)], size_mp), photos[(turn + 1) % len(photos)], kind
                    )
                    for turn in range(_REPEATS)
                ]
            )
            cells = ""
            for stage in range(len(_STAGES)):
                low, high = np.quantile(spent[:, stage, 0] * 1000, (0.5, 0.99))
                least, most = np.quantile(spent[:, stage, 1], (0.5, 0.99))
                cells += f"{low:19.0f}/{high:4.0f}{least:9.0f}/{most:4.0f}"
            yield f"{size_mp:g} MP, {kind:20s}{cells}"


def _photos(folder: Path) -> list[Path]:
    return sorted((folder / "budgie").rglob("*.jpg"))[:4]


def _sized(image: Image.Image, size_mp: float) -> Image.Image:
    scale = (size_mp * 1e6 / (image.width * image.height)) ** 0.5
    return image.resize((round(image.width * scale), round(image.height * scale)))


def _spent(workshop: Workshop, image: Image.Image, other: Image.Image, kind: str) -> list[tuple[float, float]]:
    """(seconds, MiB) of every stage."""
    first = encoded(image, quality=92)
    if kind == "copy":
        second = encoded(image, quality=70)
    elif kind == "crop":
        second = EDITED["crop 50 %"](image)
    else:
        second = encoded(other.resize(image.size), quality=92)
    decode, parts = _Meter(), _Meter()
    pictures = decode(lambda: (workshop.picture(first), workshop.picture(second)))
    with mock.patch.object(compare, "_parts", parts.around(compare._parts)):
        whole = _Meter()
        whole(lambda: compare_pictures(*pictures))
    return [
        (decode.seconds, decode.mib),
        (whole.seconds - parts.seconds, parts.mib_before or whole.mib),
        (parts.seconds, parts.mib),
    ]


class _Meter:
    """Processor time of this thread and the peak of the process's resident memory, of one call."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.mib = 0.0
        self.mib_before = 0.0  # the peak before this call began, where another meter was running

    def __call__(self, call: Callable[[], Any]) -> Any:
        Path("/proc/self/clear_refs").write_text("5")  # forget the peak
        began = time.thread_time()
        try:
            return call()
        finally:
            self.seconds = time.thread_time() - began
            self.mib = _peak_mib()

    def around(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """`call`, measured."""

        def measured(*given: Any) -> Any:
            self.mib_before = _peak_mib()
            return self(lambda: call(*given))

        return measured


def _peak_mib() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:"))
