"""Days of work compressed: many small arrivals, edits and deletions over a real service, with its figures plotted.

`python -m tests.soak.long_run --arrivals 200000 --folder DIR --plot soak.png` runs the long form and prints the slopes.
What grows and never falls is a leak; what grows with the number of known images is not: the slopes are those of the
second half, in which the number of living files stays the same.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import threading
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from deepdupe_daemon.clock import SystemClock
from deepdupe_daemon.ledger import Ledger
from deepdupe_daemon.model import FileState

__all__ = ["Figures", "LongRun", "plot", "slopes"]

_SIDE_PX = 64
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Figures:
    """One moment of the service."""

    seconds: float
    arrivals: int
    rss_bytes: int  # of the daemon itself
    rss_of_children_bytes: int  # of its workers and of the process that holds Chroma
    descriptors: int
    threads: int
    wal_bytes: int
    chroma_queue_rows: int
    disk_bytes: int
    left_files: int  # that wait to be seen or judged


class LongRun:
    """A service in a subprocess, and a storm over the folder that it watches. Owned by one thread."""

    def __init__(self, folder: Path, *, living: int, seed: int, note: Path | None = None) -> None:
        """`living`: how many files there are at a time, once the folder is full. `note`: where each look is written
        down as soon as it was had, one JSON object a line, so that a run that is cut off leaves what it saw.
        """
        self._note = note
        self._photos, self._state = folder / "photos", folder / "state"
        self._photos.mkdir(parents=True)
        self._living = living
        self._random = random.Random(seed)
        self._noise = np.random.default_rng(seed)
        self._files: list[Path] = []
        self._clock = SystemClock()
        self._never = threading.Event()
        self.figures: list[Figures] = []
        self.arrivals = 0

    def run(self, arrivals: int, *, every: int, limit_s: float = math.inf) -> None:
        """Until so many files have arrived, or `limit_s` seconds have passed, and all of them are judged; a look at the
        service after each `every`.
        """
        command = [sys.executable, "-m", "deepdupe_daemon", "watch", str(self._photos), "--state-dir", str(self._state)]
        with (self._state.parent / "log").open("wb") as log:
            service = subprocess.Popen([*command, "--json"], stdout=log, stderr=log)
        try:
            began_s = self._clock.monotonic_s()
            while not (self._state / "ledger.sqlite").exists():
                self._clock.wait(self._never, 0.05)
            while self.arrivals < arrivals and self._clock.monotonic_s() - began_s < limit_s:
                self._step()
                looked = self.figures[-1].arrivals if self.figures else 0
                if self.arrivals % every == 0 and self.arrivals != looked:
                    while self._left() > every:  # the storm waits for the service, as a disk would make it
                        self._clock.wait(self._never, 0.1)
                    self._look(service.pid, self._clock.monotonic_s() - began_s)
            while self._left():
                self._clock.wait(self._never, 0.2)
            self._look(service.pid, self._clock.monotonic_s() - began_s)
        finally:
            service.terminate()
            status = service.wait(120)
        if status != 0:
            raise RuntimeError(f"the service ended with {status}")

    @property
    def known(self) -> dict[FileState, int]:
        with Ledger.open(self._state, self._clock, readonly=True) as ledger:
            return ledger.counts()

    @property
    def living(self) -> int:
        return len(self._files)

    def _step(self) -> None:
        roll = self._random.random()
        if len(self._files) >= self._living and roll < 0.5:
            self._files.pop(self._random.randrange(len(self._files))).unlink()
        elif self._files and roll < 0.6:
            self._random.choice(self._files).write_bytes(self._picture())
        else:
            self.arrivals += 1
            target = self._photos / f"{self.arrivals % 97:02}" / f"{self.arrivals}.jpg"
            target.parent.mkdir(exist_ok=True)
            if self._files and roll > 0.95:
                shutil.copyfile(self._random.choice(self._files), target)
            else:
                target.write_bytes(self._picture())
            self._files.append(target)

    def _picture(self) -> bytes:
        pixels = self._noise.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(pixels).resize((_SIDE_PX, _SIDE_PX), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=90)
        return buffer.getvalue()

    def _left(self) -> int:
        counts = self.known
        return counts[FileState.PENDING] + counts[FileState.SEEN]

    def _look(self, pid: int, seconds: float) -> None:
        figures = Figures(
            seconds=seconds,
            arrivals=self.arrivals,
            rss_bytes=_rss_bytes(pid),
            rss_of_children_bytes=sum(map(_rss_bytes, _descendants(pid))),
            descriptors=len(os.listdir(f"/proc/{pid}/fd")),
            threads=len(os.listdir(f"/proc/{pid}/task")),
            wal_bytes=_size(self._state / "ledger.sqlite-wal"),
            chroma_queue_rows=_queue_rows(self._state / "chroma" / "chroma.sqlite3"),
            disk_bytes=sum(_size(path) for path in self._state.rglob("*") if path.is_file()),
            left_files=self._left(),
        )
        self.figures.append(figures)
        if self._note is not None:
            with self._note.open("a") as file:
                file.write(json.dumps(asdict(figures)) + "\n")


def _rss_bytes(pid: int) -> int:
    """0 for a process that has ended."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES
    except (FileNotFoundError, ProcessLookupError):
        return 0


def _descendants(pid: int) -> list[int]:
    """Processes below `pid`, whichever of its threads began them."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = [int(each) for each in task.read_text().split()]
        except (FileNotFoundError, ProcessLookupError):
            continue
        for child in children:
            found += [child, *_descendants(child)]
    return found


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _queue_rows(path: Path) -> int:
    """Rows of Chroma's log that are not folded into its index yet; 0 where it cannot be asked now."""
    try:
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=1.0)
        try:
            return int(connection.execute("SELECT count(*) FROM embeddings_queue").fetchone()[0])
        finally:
            connection.close()
    except sqlite3.Error:
        return 0


def slopes(figures: list[Figures]) -> dict[str, float]:
    """Growth per 1,000 arrivals in the second half, by least squares."""
    half = [each for each in figures if each.arrivals >= figures[-1].arrivals / 2]
    arrived = np.array([each.arrivals for each in half], dtype=np.float64) / 1000
    names = [field.name for field in fields(Figures) if field.name not in ("seconds", "arrivals")]
    return {name: float(np.polyfit(arrived, [getattr(each, name) for each in half], 1)[0]) for name in names}


def plot(figures: list[Figures], path: Path) -> None:
    """A panel a figure, over the arrivals; each from 0 to its maximum."""
    names = [field.name for field in fields(Figures) if field.name not in ("seconds", "arrivals")]
    width, height, margin = 900, 180, 40
    sheet = Image.new("RGB", (width, height * len(names)), "white")
    draw = ImageDraw.Draw(sheet)
    last = max(1, figures[-1].arrivals)
    for row, name in enumerate(names):
        values = [float(getattr(each, name)) for each in figures]
        top, most = row * height, max(max(values), 1.0)
        draw.text((margin, top + 8), f"{name}: at most {most:,.0f}, at the end {values[-1]:,.0f}", fill="black")
        low, high = top + height - 10, top + 30
        draw.line([(margin, low), (width - margin, low)], fill="gray")
        points = [
            (margin + (width - 2 * margin) * each.arrivals / last, low - (low - high) * value / most)
            for each, value in zip(figures, values, strict=True)
        ]
        draw.line(points, fill="navy", width=2)
    sheet.save(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--arrivals", type=int, default=200_000)
    parser.add_argument("--living", type=int, default=5_000, help="files at a time")
    parser.add_argument("--folder", type=Path, required=True, help="an empty folder on a real disk")
    parser.add_argument("--plot", type=Path, required=True, help="the PNG to write, outside the repository")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--limit-s", type=float, default=math.inf, help="begin nothing new after so many seconds")
    given = parser.parse_args()
    run = LongRun(given.folder, living=given.living, seed=given.seed, note=given.plot.with_suffix(".jsonl"))
    run.run(given.arrivals, every=max(50, given.arrivals // 200), limit_s=given.limit_s)
    plot(run.figures, given.plot)
    print(f"{run.arrivals:,} arrivals in {run.figures[-1].seconds:,.0f} s, {run.living:,} files living at the end")
    for name, slope in slopes(run.figures).items():
        print(f"{name:<20} {getattr(run.figures[-1], name):>16,} {slope:>+14,.1f} per 1,000 arrivals")


if __name__ == "__main__":
    main()
