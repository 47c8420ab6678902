"""A store that is damaged, or kills the process that opens it, is set aside and filled again from the ledger."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from deepdupe_daemon.index import WriterState
from tests.index.conftest import SMALL, Bench
from tests.index.filling import CLIP, PDQ, expected, same_rows, see
from tests.index.test_segments import DAMAGE, segment_of


@pytest.fixture
def copied(filled_state: Path, tmp_path: Path):
    """The filled state dir, copied, not opened by anybody yet."""
    shutil.copytree(filled_state, tmp_path / "state")
    bench = Bench(tmp_path / "state")
    yield bench
    bench.close()


def process_of(bench: Bench) -> int | None:
    """The pid of the process that has the store open now, by its lock file."""
    try:
        words = (bench.state_dir / "chroma.lock").read_text().split()
    except FileNotFoundError:
        return None
    return int(words[1]) if len(words) == 2 and words[0] == "open" else None


def test_a_torn_store_is_set_aside_and_filled_again(copied: Bench, stored, eventually) -> None:
    """At once, although nothing new is to be written: the lock file says that the store was not closed.

    Only the newest damaged store is kept, so that a failing disk does not fill with them; the notice names what went.
    """
    for name in ("chroma.torn-20240101T000000", "chroma.torn-mine"):
        (copied.state_dir / name).mkdir()
    DAMAGE["links of 1 GiB"](segment_of(copied.state_dir / "chroma"))
    (copied.state_dir / "chroma.lock").write_text("open 1\n")
    damaged = {path.name: path.read_bytes() for path in segment_of(copied.state_dir / "chroma").iterdir()}
    writer = copied.writer()
    eventually(lambda: writer.status().set_aside, 60)
    stored(copied, writer, 120)
    assert same_rows(*writer.read_back(CLIP.name)[::2], expected(range(40, 700), CLIP))
    assert writer.status().spaces[CLIP.name].collection == "clip-vit-b-32.final-g1"
    assert copied.kinds() == ["store-set-aside"]
    aside = Path(os.fsdecode(copied.notices[0].path or b""))
    assert sorted(path.name for path in copied.state_dir.glob("chroma.torn-*")) == [aside.name, "chroma.torn-mine"]
    assert "removed chroma.torn-20240101T000000" in copied.notices[0].text
    assert {path.name: path.read_bytes() for path in segment_of(aside).iterdir()} == damaged, "kept as it was found"
    assert copied.notices[0].counts == {"rows": 660}


def test_a_store_whose_database_is_no_database_is_set_aside(copied: Bench, stored) -> None:
    with open(copied.state_dir / "chroma" / "chroma.sqlite3", "r+b") as file:
        file.write(b"\xff" * 20_000)
    see(copied.ledger, range(700, 701), CLIP)
    writer = copied.writer()
    stored(copied, writer, 120)
    assert same_rows(*writer.read_back(CLIP.name)[::2], expected(range(40, 701), CLIP))
    assert copied.kinds() == ["store-set-aside"]


def test_a_store_that_crashes_the_process_that_opens_it_is_set_aside(copied: Bench, stored, eventually) -> None:
    """The crash is ours (SIGSEGV sent while it opens); a real one leaves the same trace."""
    see(copied.ledger, range(700, 701), CLIP)
    writer = copied.writer()
    pid = eventually(lambda: writer.status().state is WriterState.OPENING and process_of(copied))
    os.kill(pid, signal.SIGSEGV)
    eventually(lambda: "store-set-aside" in copied.kinds())
    stored(copied, writer, 120)
    assert "SIGSEGV" in copied.notices[0].text
    assert same_rows(*writer.read_back(CLIP.name)[::2], expected(range(40, 701), CLIP))


@pytest.mark.parametrize("kills", [2, pytest.param(50, marks=[pytest.mark.nightly, pytest.mark.timeout(1200)])])
def test_kills_lose_nothing(bench: Bench, stored, eventually, kills: int) -> None:
    """SIGKILL of the process at random moments while it writes; then the collection is what the ledger says.

    Its files are capped by RLIMIT_FSIZE throughout: a torn link list would otherwise fill the disk.
    """
    rng = random.Random(20)
    images = 400
    see(bench.ledger, range(images), CLIP, PDQ)
    writer = bench.writer(SMALL.model_copy(update={"batch_rows": 20, "sync_threshold": 60}))
    killed: list[int | None] = [None]
    while len(killed) <= kills:
        if sum(bench.ledger.unstored_counts().values()) < 300:
            see(bench.ledger, range(images, images + 200), CLIP, PDQ)
            images += 200
            writer.poke()
        pid = eventually(lambda: (new := process_of(bench)) not in killed and new, 60)
        goal = max(20, sum(bench.ledger.unstored_counts().values()) - rng.randrange(20, 160))
        eventually(lambda goal=goal: sum(bench.ledger.unstored_counts().values()) <= goal, 60, every_s=0.001)
        os.kill(pid, signal.SIGKILL)
        killed.append(pid)
    stored(bench, writer, 600)
    for space in (CLIP, PDQ):
        ids, _, rows = writer.read_back(space.name)
        assert same_rows(ids, rows, expected(range(images), space))
        assert len(set(ids)) == len(ids)
    assert set(bench.kinds()) <= {"store-unavailable", "store-back", "store-set-aside"}


def test_a_daemon_that_is_killed_leaves_a_store_that_the_next_one_continues(
    bench: Bench, stored, tmp_path: Path
) -> None:
    """The process outlives its daemon just long enough to end its batch, and the next one waits for that."""
    see(bench.ledger, range(300), CLIP)
    code = (
        "import sys, threading; from pathlib import Path; from deepdupe_daemon.clock import SystemClock\n"
        "from deepdupe_daemon.config import ChromaConfig; from deepdupe_daemon.index import CollectionWriter\n"
        "from tests.index.filling import open_ledger; state = Path(sys.argv[1])\n"
        "config = ChromaConfig(batch_rows=20, sync_threshold=60, free_space_floor_bytes=1)\n"
        "w = CollectionWriter(state, config, lambda: open_ledger(state), SystemClock(), print); w.start()\n"
        "threading.Event().wait(100)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(bench.state_dir)]) as daemon:
        while bench.ledger.unstored_counts()[CLIP.name] > 240:
            assert daemon.poll() is None
        daemon.kill()
    assert bench.ledger.unstored_counts()[CLIP.name] > 0
    writer = bench.writer()
    stored(bench, writer, 120)
    assert same_rows(*writer.read_back(CLIP.name)[::2], expected(range(300), CLIP))
    assert bench.kinds() == [], "an orderly end: nothing was torn"
    with sqlite3.connect(f"file:{bench.state_dir}/chroma/chroma.sqlite3?mode=ro", uri=True) as database:
        assert database.execute("SELECT count(*) FROM collections").fetchone() == (1,)
    database.close()
