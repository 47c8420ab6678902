"""What a thousand clients of the control socket cost the pipeline, and how soon `status` answers under full load."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import pytest
from PIL import Image

from deepdupe_daemon.clock import SystemClock
from deepdupe_daemon.ledger import Ledger
from deepdupe_daemon.model import FileState
from deepdupe_daemon.service.control_client import ControlClient
from tests.benchmarks.processes import cpu_s, now_s
from tests.conftest import Eventually

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(1800)]

PROGRAM = [sys.executable, "-m", "deepdupe_daemon"]
CLIENTS, PICTURES, STRETCH = 1000, int(os.environ.get("DEEPDUPE_FLOOD_PICTURES", "5000")), 160

#: a process of its own, so that its threads do not share our interpreter. Each client asks again as soon as it may; all
#: of them pause and go on as the lines on standard input say. What waits in connect(2) gives up after half a second.
FLOOD = """
import socket, struct, sys, threading
threading.stack_size(128 * 1024)
answered = 0
go = threading.Event()
def client():
    global answered
    while True:
        go.wait()
        try:
            with socket.socket(socket.AF_UNIX) as sock:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", 0, 500_000))
                sock.connect(sys.argv[1])
                sock.sendall(b'{"v": 1, "op": "status"}\\n')
                while (part := sock.recv(65536)) and not part.endswith(b"\\n"):
                    pass
            answered += 1
        except OSError:
            pass
threads = [threading.Thread(target=client, daemon=True) for _ in range(int(sys.argv[2]))]
for thread in threads: thread.start()
for line in sys.stdin:
    (go.set if line == "go\\n" else go.clear)()
print(answered)
"""


@dataclass(frozen=True, slots=True)
class Moment:
    """What had been done and spent until then, in seconds of processor time of the daemon and all of its processes."""

    seconds: float
    indexed: int
    cpu_s: float


@dataclass(frozen=True, slots=True)
class Stretch:
    """The cost of one file within a stretch, in milliseconds."""

    wall_ms: float
    cpu_ms: float

    @classmethod
    def between(cls, before: Moment, after: Moment) -> Stretch:
        scale = 1000 / (after.indexed - before.indexed)
        return cls(
            scale * (after.seconds - before.seconds),
            scale * (after.cpu_s - before.cpu_s),
        )


def say(text: str) -> None:
    print(text, file=sys.__stderr__, flush=True)


def ask(path: Path) -> float:
    """Milliseconds until a status is there."""
    began_s = now_s()
    assert ControlClient(path).request("status")["ok"]
    return 1000 * (now_s() - began_s)


@contextmanager
def daemon(folder: Path, state: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A daemon over `folder` that is ready; all of its output is read."""
    command = [*PROGRAM, "watch", str(folder), "--state-dir", str(state), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as service:
        assert service.stdout is not None
        for line in service.stdout:
            if b'"ready"' in line:
                break
        drain = threading.Thread(target=service.stdout.read, daemon=True)
        drain.start()
        try:
            yield service
        finally:
            service.terminate()
            assert service.wait(60) == 0
            drain.join()


class Watch:
    """Reads a daemon's ledger and its processor time. Owned by one thread."""

    def __init__(self, pid: int, ledger: Ledger) -> None:
        self._pid = pid
        self._ledger = ledger
        self._never = threading.Event()

    def until(self, indexed: int) -> Moment:
        while (done := self._ledger.counts()[FileState.INDEXED]) < min(indexed, PICTURES):
            self._never.wait(0.02)
        return Moment(now_s(), done, cpu_s(self._pid))


def tell(flood: subprocess.Popen[bytes], word: str) -> None:
    pipe: IO[bytes] | None = flood.stdin
    assert pipe is not None
    pipe.write(word.encode() + b"\n")
    pipe.flush()


def stretches(service: subprocess.Popen[bytes], flood: subprocess.Popen[bytes], state: Path) -> list[list[Stretch]]:
    """Calm and flooded stretches in turns (calm, flooded, flooded, calm, ...), so that what else the machine does, and
    what grows with the number of known pictures, falls on both alike. A calm one begins when all who still waited for
    an answer have had it, a flooded one when the burst of a pause is over: an eighth of its length is left out.
    """
    found: list[list[Stretch]] = [[], []]
    with Ledger.open(state, SystemClock(), readonly=True) as ledger:
        watch, turn, was_flooded = Watch(service.pid, ledger), 0, False
        while True:
            flooded = turn % 4 in (1, 2)
            if flooded != was_flooded:
                tell(flood, "go" if flooded else "hold")
                if not flooded:
                    ask(state / "control.sock")  # whoever asks comes last
            was_flooded = flooded
            before = watch.until(watch.until(0).indexed + STRETCH // 8)
            after = watch.until(before.indexed + STRETCH)
            if after.indexed >= PICTURES:
                return found
            found[flooded].append(Stretch.between(before, after))
            turn += 1


def test_a_thousand_clients_beside_a_pipeline_under_full_load(tmp_path: Path, eventually: Eventually) -> None:
    folder, state = tmp_path / "photos", tmp_path / "state"
    for number in range(PICTURES):
        target = folder / f"{number // 500:02}" / f"{number}.jpg"
        target.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 256, (24, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((640, 480)).save(target, quality=85)
    with daemon(folder, state) as service:
        flood = subprocess.Popen(
            [sys.executable, "-c", FLOOD, str(state / "control.sock"), str(CLIENTS)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        calm, flooded = stretches(service, flood, state)
        answered = int(flood.communicate(b"")[0])
    pairs = list(zip(calm, flooded, strict=False))
    wall = [100 * (b.wall_ms / a.wall_ms - 1) for a, b in pairs]
    cpu = [100 * (b.cpu_ms / a.cpu_ms - 1) for a, b in pairs]
    sums = 100 * (sum(b.cpu_ms for _, b in pairs) / sum(a.cpu_ms for a, _ in pairs) - 1)
    say(
        f"\n{CLIENTS} clients beside {PICTURES} pictures, {len(pairs)} pairs of stretches of {STRETCH};"
        f" a file costs {statistics.median(a.wall_ms for a in calm):.1f} ms,"
        f" {statistics.median(a.cpu_ms for a in calm):.1f} ms of processor time"
        f"\nbeside the flood, medians of the pairs' ratios: wall {told(wall)}, processor time of the daemon and its"
        f" processes {told(cpu)}, of the sums {sums:+.1f} %; {answered} answers"
    )
    assert len(pairs) >= 3
    assert answered > 0


def told(percents: list[float]) -> str:
    """The median, and the middle half of all."""
    low, middle, high = statistics.quantiles(percents, n=4)
    return f"{middle:+.1f} % ({low:+.1f} to {high:+.1f})"


def test_how_soon_a_status_is_answered_under_full_load(tmp_path: Path) -> None:
    folder, state, never = tmp_path / "photos", tmp_path / "state", threading.Event()
    count, waits = 1500, []
    for number in range(count):
        target = folder / f"{number // 500:02}" / f"{number}.jpg"
        target.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 256, (24, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((640, 480)).save(target, quality=85)
    with daemon(folder, state), Ledger.open(state, SystemClock(), readonly=True) as ledger:
        while ledger.counts()[FileState.INDEXED] < count:
            waits.append(ask(state / "control.sock"))
            never.wait(0.2)
    waits.sort()
    say(
        f"\nstatus under full load: p50 {statistics.median(waits):.1f} ms, p95 {waits[int(0.95 * len(waits))]:.1f} ms,"
        f" worst {waits[-1]:.1f} ms of {len(waits)}"
    )
    assert waits
