"""Intake against the bare tools: a walk over known files against `find -printf`, arrivals against a watchdog handler.

Times of the walk are CPU time and wall time of processes of their own, one after the other in one run, so that both
feel the same machine. `DEEPDUPE_BENCH_FILES=100000` chooses the size of the tree (default 100,000; a million takes a
few minutes to make), `DEEPDUPE_BENCH_ARRIVALS` the number of arrivals (default 20,000).
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.benchmarks.processes import now_s
from tests.intake.conftest import Ground, ground

__all__ = ["ground"]  # the fixture
pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(3600)]

FILES = int(os.environ.get("DEEPDUPE_BENCH_FILES", "100000"))
ARRIVALS = int(os.environ.get("DEEPDUPE_BENCH_ARRIVALS", "20000"))
PER_DIRECTORY = 1000


def say(text: str) -> None:
    print(text, file=sys.__stderr__, flush=True)


WALK = """
import json, resource, sys, threading, time
from pathlib import Path
from deepdupe_daemon.clock import SystemClock
from deepdupe_daemon.config import IntakeConfig, RootConfig
from deepdupe_daemon.intake import Intake
from deepdupe_daemon.ledger import Ledger

clock = SystemClock()
root, state, rounds = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
notices = []
intake = Intake([RootConfig(path=root)], IntakeConfig(), lambda: Ledger.open(state, clock), clock, lambda: None,
                notices.append, watch=False)
begun, cpu = time.monotonic(), time.process_time()
rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
intake.start()
walls, cpus = [], []
for round_ in range(rounds):
    if round_:
        begun, cpu = time.monotonic(), time.process_time()
        intake.rescan()
    while intake.status().walks < round_ + 1:
        time.sleep(0.01)
    walls.append(time.monotonic() - begun)
    cpus.append(time.process_time() - cpu)
status = intake.status()
intake.stop(60)
print(json.dumps({"walls": walls, "cpus": cpus, "found": status.found_files, "rss_before_kib": rss,
                  "rss_kib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}))
"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    top = tmp_path_factory.mktemp("library")
    for number in range(-(-FILES // PER_DIRECTORY)):
        folder = top / f"{2000 + number // 100}" / f"{number:05d} somewhere"
        folder.mkdir(parents=True)
        fd = os.open(folder, os.O_RDONLY)
        for index in range(min(PER_DIRECTORY, FILES - number * PER_DIRECTORY)):
            os.close(os.open(f"IMG_{index:05d}.JPG", os.O_CREAT | os.O_WRONLY, dir_fd=fd))
        os.close(fd)
    return top


def walk(root: Path, state: Path, rounds: int, project_root: Path) -> dict[str, list[float]]:
    command = [sys.executable, "-c", WALK, str(root), str(state), str(rounds)]
    done = subprocess.run(command, cwd=project_root, check=True, capture_output=True, text=True)
    found: dict[str, list[float]] = json.loads(done.stdout)
    return found


def find(root: Path) -> tuple[float, float]:
    """Wall and CPU seconds."""
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), now_s()
    with open(os.devnull, "wb") as nowhere:
        subprocess.run(["find", root, "-printf", "%p %D %i %s %T@\n"], check=True, stdout=nowhere)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return now_s() - begun, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_a_walk_over_known_files(tree: Path, tmp_path: Path, project_root: Path) -> None:
    first = walk(tree, tmp_path / "state", 1, project_root)
    finds = []
    walks: list[float] = []
    cpus: list[float] = []
    find(tree)
    for _ in range(5):
        finds.append(find(tree))
        again = walk(tree, tmp_path / "state", 2, project_root)
        walks.append(again["walls"][1])
        cpus.append(again["cpus"][1])
        assert again["found"] == 0
    wall, cpu = min(wall for wall, _ in finds), min(cpu for _, cpu in finds)
    say(f"{FILES:,} files: find -printf {wall:.2f} s ({cpu:.2f} s CPU)")
    say(
        f"{FILES:,} files: walk of known files {min(walks):.2f} s ({min(cpus):.2f} s CPU):"
        f" {min(walks) / wall:.1f} x find's time, {min(cpus) / cpu:.1f} x its CPU time"
    )
    say(f"{FILES:,} files: walk of new files {first['walls'][0]:.1f} s ({first['cpus'][0]:.1f} s CPU)")
    grew = (again["rss_kib"] - again["rss_before_kib"]) / 1024
    say(f"peak RSS of the walking process {again['rss_kib'] / 1024:.0f} MiB, of which the walk {grew:.0f} MiB")


def test_arrivals_against_a_bare_handler(ground: Ground, tmp_path: Path) -> None:
    """Files per second from the first creation until the last file is known, and until a handler has counted them."""
    from watchdog.events import FileClosedEvent, FileSystemEventHandler
    from watchdog.observers import Observer

    bare = tmp_path / "bare"
    bare.mkdir()
    counted = threading.Event()
    seen = 0

    class Counting(FileSystemEventHandler):
        def on_closed(self, event: FileClosedEvent) -> None:  # type: ignore[override] # watchdog has no types here
            nonlocal seen
            seen += 1
            if seen == ARRIVALS:
                counted.set()

    observer = Observer()
    observer.schedule(Counting(), str(bare), recursive=True, event_filter=[FileClosedEvent])
    observer.start()
    begun = now_s()
    drop(bare)
    bare_made_s = now_s() - begun
    bare_heard = counted.wait(60)
    bare_s = now_s() - begun
    observer.stop()
    observer.join()
    ground.start(settle_s=2.0, close_settle_s=0.2)
    begun = now_s()
    drop(ground.root)
    made_s = now_s() - begun
    ground.until(lambda: sum(ground.ledger.pending_counts()) >= ARRIVALS, 600)
    took_s = now_s() - begun
    status = ground.status()
    heard = f"counted them all by {bare_s:.1f} s" if bare_heard else f"had counted {seen:,} after {bare_s:.1f} s"
    say(f"bare handler: {ARRIVALS:,} files made in {bare_made_s:.1f} s; it {heard}")
    say(
        f"intake: {ARRIVALS:,} files made in {made_s:.1f} s, all known by {took_s:.1f} s"
        f" ({ARRIVALS / took_s:,.0f}/s; {status.events_lost} losses, {status.events:,} events)"
    )


def drop(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    for index in range(ARRIVALS):
        inner = os.open(f"IMG_{index:06d}.JPG", os.O_CREAT | os.O_WRONLY, dir_fd=fd)
        os.write(inner, b"x" * 1000)
        os.close(inner)
    os.close(fd)
