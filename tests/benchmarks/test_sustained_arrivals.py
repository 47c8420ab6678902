"""Small pictures that keep arriving: whether the rate, the memory and the disk stay as they were at the beginning.

`DEEPDUPE_BENCH_ARRIVALS` (20,000) is how many; 100,000 take 0.5 GB of disk and, on two cores, half an hour.
"""

from __future__ import annotations

import io
import os
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deepdupe_daemon.clock import SystemClock
from deepdupe_daemon.ledger import Ledger
from deepdupe_daemon.model import FileState
from tests.benchmarks.processes import cpu_s, family, memory_bytes, now_s
from tests.benchmarks.test_service_rates import Watching
from tests.conftest import Eventually

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(7200)]

ARRIVALS = int(os.environ.get("DEEPDUPE_BENCH_ARRIVALS", "20000"))
PARTS = 10
#: arrivals that may wait at a time: enough that nothing idles, few enough that the rate is that of the service
AHEAD = 1000
PER_FOLDER = 1000


@dataclass(frozen=True)
class Look:
    """One look at the processes: `cpu_s` of all but Chroma's, counts since their start."""

    at_s: float
    cpu_s: float
    chroma_cpu_s: float
    service_bytes: int
    chroma_bytes: int


@dataclass(frozen=True)
class Part:
    """A tenth of the arrivals."""

    files: int
    begun: Look
    ended: Look

    @property
    def per_s(self) -> float:
        return self.files / (self.ended.at_s - self.begun.at_s)

    @property
    def per_cpu_s(self) -> float:
        return self.files / max(self.ended.cpu_s - self.begun.cpu_s, 0.01)

    @property
    def per_chroma_cpu_s(self) -> float:
        return self.files / max(self.ended.chroma_cpu_s - self.begun.chroma_cpu_s, 0.01)


def say(text: str) -> None:
    print(text, file=sys.__stderr__, flush=True)


def picture(number: int) -> bytes:
    """A JPEG of 96 x 72 and some 2 KB that looks like no other."""
    coarse = np.random.default_rng(number).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(coarse).resize((96, 72), Image.Resampling.BICUBIC).save(out, "JPEG", quality=80)
    return out.getvalue()


def arrive(root: Path, number: int) -> None:
    folder = root / f"{number // PER_FOLDER:03}"
    folder.mkdir(exist_ok=True)
    part = folder / f".{number}.part"
    part.write_bytes(picture(number))
    part.rename(folder / f"{number}.jpg")


def folder_bytes(folder: Path) -> int:
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())


def chroma_process(pid: int) -> int | None:
    """The process that holds Chroma, of the service's children."""
    for member in family(pid):
        try:
            if b"chroma_process" in Path(f"/proc/{member}/cmdline").read_bytes():
                return member
        except OSError:
            continue  # a worker that ends
    return None


def look(pid: int) -> Look:
    chroma = chroma_process(pid)
    theirs_s = cpu_s(chroma) if chroma is not None else 0.0
    return Look(
        now_s(), cpu_s(pid) - theirs_s, theirs_s, memory_bytes(pid), memory_bytes(chroma) if chroma is not None else 0
    )


def test_the_last_tenth_of_many_arrivals_against_the_first(tmp_path: Path, eventually: Eventually) -> None:
    root, state = tmp_path / "photos", tmp_path / "state"
    root.mkdir()
    watching = Watching(root, state)
    parts: list[Part] = []
    try:
        assert watching.ready.wait(60)
        pid = watching.process.pid
        written = 0
        with Ledger.open(state, SystemClock(), readonly=True) as ledger:
            before, begun = 0, look(pid)
            for tenth in range(1, PARTS + 1):
                goal = ARRIVALS * tenth // PARTS
                while (done := ledger.counts().get(FileState.INDEXED, 0)) < goal:
                    while written < min(ARRIVALS, done + AHEAD):
                        arrive(root, written)
                        written += 1
                    threading.Event().wait(0.02)
                now = look(pid)
                parts.append(Part(done - before, begun, now))
                before, begun = done, now
            began_s = now_s()
            eventually(lambda: not sum(ledger.unstored_counts().values()), 3600, every_s=0.5)
            lag_s = now_s() - began_s
            rows = ledger.counts()[FileState.INDEXED]
    finally:
        watching.stop()
    say(f"\n{ARRIVALS:,} arrivals of small pictures, pdq, embedded Chroma beside it")
    for number, part in enumerate(parts):
        say(
            f"  tenth {number + 1:>2}: {part.per_s:7.1f} files/s; {part.per_cpu_s:7.1f} a CPU second of service and"
            f" workers, {part.per_chroma_cpu_s:7.1f} of Chroma's process; service"
            f" {part.ended.service_bytes / 2**20:6.1f} MiB, Chroma {part.ended.chroma_bytes / 2**20:6.1f} MiB"
        )
    first, last = parts[1], parts[-1]  # the first tenth starts the workers
    say(
        f"  last tenth against the second: {last.per_s / first.per_s:.2f} of its rate,"
        f" {last.per_cpu_s / first.per_cpu_s:.2f} a CPU second of service and workers,"
        f" {last.per_chroma_cpu_s / first.per_chroma_cpu_s:.2f} of Chroma's process; service"
        f" {(last.ended.service_bytes - first.ended.service_bytes) / 2**20:+.1f} MiB; Chroma was {lag_s:.1f} s behind"
    )
    say(
        f"  on disk a row: Chroma {folder_bytes(state / 'chroma') / rows:,.0f} bytes,"
        f" ledger {(state / 'ledger.sqlite').stat().st_size / rows:,.0f} bytes"
    )
    assert rows == ARRIVALS
    assert not watching.alerts, "no picture is like another"
