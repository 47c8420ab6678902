"""The service as a whole: a scan against a plain loop, the latency of an alert, the cost of being idle.

`make bench` runs these; each prints its figures and asserts only what is not time.
"""

from __future__ import annotations

import hashlib
import json
import statistics
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deepdupe_daemon.clock import SystemClock
from deepdupe_daemon.ledger import Ledger
from deepdupe_daemon.model import FileState
from tests.benchmarks.processes import PeakMemory, cpu_s, now_s
from tests.conftest import Eventually
from tests.service.pictures import photo

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(1800)]

PROGRAM = [sys.executable, "-m", "deepdupe_daemon"]


def say(text: str) -> None:
    print(text, file=sys.__stderr__, flush=True)


def plain_loop(files: list[Path]) -> tuple[float, int]:
    """Open with Pillow, SHA-256, PDQ, one process: what a script of ten lines does. Seconds, and files that opened."""
    pdqhash = pytest.importorskip("pdqhash", reason="the reference loop hashes with pdqhash")
    began_s, opened = now_s(), 0
    for path in files:
        raw = path.read_bytes()
        hashlib.sha256(raw).digest()
        try:
            with warnings.catch_warnings(), Image.open(path) as picture:
                warnings.simplefilter("ignore")
                pdqhash.compute(np.asarray(picture.convert("RGB")))
            opened += 1
        except Exception:  # noqa: BLE001 - hostile files raise anything; the loop of a script goes on
            continue
    return now_s() - began_s, opened


def test_scan_against_a_plain_loop(data_dir: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    began_s = now_s()
    command = [*PROGRAM, "scan", str(data_dir), "--state-dir", str(state), "--json"]
    with (
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as scan,
        PeakMemory(scan.pid) as peak,
    ):
        scan.wait(1500)
    took_s = now_s() - began_s
    files = sorted(path for path in data_dir.rglob("*") if path.is_file() and not path.is_symlink())
    with Ledger.open(state, SystemClock(), readonly=True) as ledger:
        counts = {str(s): n for s, n in ledger.counts().items() if n}
    assert sum(counts.values()) == len(files), "every file has a row"
    assert not {"pending", "seen"} & set(counts), "and none waits"
    loop_s, opened = plain_loop(files)
    say(
        f"\nscan: {len(files)} files in {took_s:.1f} s = {len(files) / took_s:.1f}/s, {counts}\n"
        f"plain loop: {loop_s:.1f} s = {len(files) / loop_s:.1f}/s ({opened} opened); ratio {loop_s / took_s:.2f}\n"
        f"peak memory: service {peak.own_bytes / 2**20:.0f} MiB,"
        f" largest child {peak.largest_child_bytes / 2**20:.0f} MiB, all together {peak.sum_bytes / 2**20:.0f} MiB"
    )


class Watching:
    """A `watch` in a subprocess, with the moment at which each alert came."""

    def __init__(self, folder: Path, state: Path) -> None:
        command = [*PROGRAM, "watch", str(folder), "--state-dir", str(state), "--json"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.alerts: dict[str, tuple[float, int]] = {}
        self.ready = threading.Event()
        self.thread = threading.Thread(target=self._read)
        self.thread.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            record = json.loads(line)
            if record.get("kind") == "ready":
                self.ready.set()
            if record.get("kind") == "duplicate-found":
                self.alerts[record["path"]] = now_s(), int(record["latency_ms"])

    def stop(self) -> None:
        self.process.terminate()
        assert self.process.wait(60) == 0
        self.thread.join()
        assert self.process.stdout is not None
        self.process.stdout.close()


def test_latency_from_close_to_alert(tmp_path: Path, eventually: Eventually) -> None:
    folder, state = tmp_path / "photos", tmp_path / "state"
    folder.mkdir()
    for seed in range(40):
        photo(seed, (1600, 1200)).save(folder / f"{seed}.jpg", quality=90)
    watching = Watching(folder, state)
    assert watching.ready.wait(60)
    eventually(lambda: _indexed(state) == 40, timeout_s=60)
    closed: dict[str, float] = {}
    try:
        for i in range(200):
            # A re-encode, not a byte copy: the whole way, with decode, forward, recall and verifier.
            target = folder / f"copy-{i}.jpg"
            photo(i % 40, (1600, 1200)).save(target, quality=60 + i % 30)
            closed[str(target)] = now_s()
            eventually(lambda name=str(target): name in watching.alerts, timeout_s=30)
    finally:
        watching.stop()
    waits_ms = sorted(1000 * (watching.alerts[name][0] - closed[name]) for name in closed)
    inside_ms = sorted(watching.alerts[name][1] for name in closed)
    say(
        f"\nclose to alert over {len(waits_ms)} files: p50 {statistics.median(waits_ms):.0f} ms,"
        f" p99 {waits_ms[int(0.99 * len(waits_ms))]:.0f} ms, of which settle (close_settle_s) 200 ms;"
        f" settled to alert: p50 {statistics.median(inside_ms):.0f} ms, p99 {inside_ms[int(0.99 * len(inside_ms))]} ms"
    )
    assert len(waits_ms) == 200


def test_idle_cost_with_10_000_files_known(tmp_path: Path, eventually: Eventually) -> None:
    folder, state = tmp_path / "photos", tmp_path / "state"
    for i in range(10_000):
        target = folder / f"{i // 500:02}" / f"{i}.jpg"
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(i).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(target)
    watching = Watching(folder, state)
    try:
        assert watching.ready.wait(60)
        eventually(lambda: _indexed(state) == 10_000, timeout_s=900, every_s=0.5)
        threading.Event().wait(30)  # Chroma's writer catches up
        before_s = cpu_s(watching.process.pid)
        threading.Event().wait(60)
        used_s = cpu_s(watching.process.pid) - before_s
    finally:
        watching.stop()
    say(f"\nidle for 60 s, 10,000 files known: {used_s:.2f} s of CPU by all processes, {used_s / 0.6:.2f} % of a core")
    assert _indexed(state) == 10_000


def _indexed(state: Path) -> int:
    with Ledger.open(state, SystemClock(), readonly=True) as ledger:
        return ledger.counts().get(FileState.INDEXED, 0)
