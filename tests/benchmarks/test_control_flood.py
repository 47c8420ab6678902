"""What a thousand clients of the control socket cost the pipeline, and how soon `status` answers under full load."""

from __future__ import annotations

import json
import socket
import statistics
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deepdupe_daemon.clock import SystemClock
from deepdupe_daemon.ledger import Ledger
from deepdupe_daemon.model import FileState
from tests.benchmarks.processes import now_s
from tests.conftest import Eventually

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(1800)]

PROGRAM = [sys.executable, "-m", "deepdupe_daemon"]
PICTURES, CLIENTS, ROUNDS = 1500, 1000, 3

#: a process of its own, so that its threads do not share our interpreter; each client asks again as soon as it may
FLOOD = """
import socket, sys, threading
threading.stack_size(128 * 1024)
answered = 0
def client():
    global answered
    while True:
        try:
            with socket.socket(socket.AF_UNIX) as sock:
                sock.connect(sys.argv[1])
                sock.sendall(b'{"v": 1, "op": "status"}\\n')
                while not sock.recv(65536).endswith(b"\\n"):
                    pass
            answered += 1
        except OSError:
            return
threads = [threading.Thread(target=client, daemon=True) for _ in range(int(sys.argv[2]))]
for thread in threads: thread.start()
sys.stdin.read()
print(answered)
"""


def say(text: str) -> None:
    print(text, file=sys.__stderr__, flush=True)


def indexed(state: Path) -> int:
    if not (state / "ledger.sqlite").exists():
        return 0
    with Ledger.open(state, SystemClock(), readonly=True) as ledger:
        return ledger.counts().get(FileState.INDEXED, 0)


def ask(path: Path) -> float:
    """Milliseconds until a status is there."""
    began_s = now_s()
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(60)
        sock.connect(str(path))
        sock.sendall(b'{"v": 1, "op": "status"}\n')
        answer = b""
        while not answer.endswith(b"\n"):
            answer += sock.recv(65536)
    assert json.loads(answer)["ok"]
    return 1000 * (now_s() - began_s)


def one_run(folder: Path, state: Path, clients: int, eventually: Eventually) -> tuple[float, list[float], int]:
    """Seconds from ready to all indexed, milliseconds of each status asked meanwhile, answers that the clients had."""
    command = [*PROGRAM, "watch", str(folder), "--state-dir", str(state), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as service:
        assert service.stdout is not None
        for line in service.stdout:
            if b'"ready"' in line:
                break
        drain = threading.Thread(target=service.stdout.read, daemon=True)
        drain.start()
        flood = subprocess.Popen(
            [sys.executable, "-c", FLOOD, str(state / "control.sock"), str(clients)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        began_s, first, waits = now_s(), indexed(state), []
        never = threading.Event()
        while indexed(state) < PICTURES:
            if not clients:
                waits.append(ask(state / "control.sock"))
            never.wait(0.2)
        took_s = (now_s() - began_s) * PICTURES / max(1, PICTURES - first)
        answered = int(flood.communicate(b"")[0])
        service.terminate()
        assert service.wait(60) == 0
        drain.join()
    return took_s, waits, answered


def test_a_thousand_clients_beside_a_pipeline_under_full_load(tmp_path: Path, eventually: Eventually) -> None:
    folder = tmp_path / "photos"
    for number in range(PICTURES):
        target = folder / f"{number // 500:02}" / f"{number}.jpg"
        target.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 256, (24, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((640, 480)).save(target, quality=85)
    alone, flooded, waits, answers = [], [], [], 0
    for turn in range(ROUNDS):  # in turns, so that whatever else the machine does falls on both
        took_s, asked_ms, _ = one_run(folder, tmp_path / f"alone-{turn}", 0, eventually)
        alone.append(took_s)
        waits += asked_ms
        took_s, _, answered = one_run(folder, tmp_path / f"flooded-{turn}", CLIENTS, eventually)
        flooded.append(took_s)
        answers += answered
    waits.sort()
    slower = 100 * (statistics.median(flooded) / statistics.median(alone) - 1)
    say(
        f"\n{PICTURES} pictures: alone {[f'{s:.1f}' for s in alone]} s, beside {CLIENTS} clients"
        f" {[f'{s:.1f}' for s in flooded]} s: {slower:+.1f} % (medians);"
        f" the clients had {answers} answers, {answers / sum(flooded):.0f}/s"
        f"\nstatus under full load: p50 {statistics.median(waits):.1f} ms, p95 {waits[int(0.95 * len(waits))]:.1f} ms,"
        f" worst {waits[-1]:.1f} ms of {len(waits)}"
    )
    assert answers > 0
