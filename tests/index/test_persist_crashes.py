"""SIGKILL at each single write of a persist, by strace: what passes the check opens, answers rightly and stays sound.

To be run again with every new version of chromadb: `pytest -m nightly tests/index/test_persist_crashes.py`.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deepdupe_daemon.index.segments import check_store
from tests.index.test_segments import segment_of

pytestmark = pytest.mark.timeout(1500)

# Rows start..stop-1 are written (or continued) until it is done or the process is killed; then everything is read back.
WORK = """
import json, os, sys
from pathlib import Path
import numpy as np
from deepdupe_daemon.config import ChromaConfig
from deepdupe_daemon.index.store import Store
from tests.index.filling import CLIP, digest_of, expected, row_of, same_rows
state, start, stop = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
store = Store(state, ChromaConfig(sync_threshold=1000), os.environ)
store.open()
store.ensure(CLIP, 0)
done = start
try:
    for at in range(start, stop, 100):
        numbers = range(at, at + 100)
        ids = [digest_of(n).hex()[:32] for n in numbers]
        store.put(CLIP.name, ids, [{"n": n} for n in numbers], np.stack([row_of(n, CLIP) for n in numbers]))
        done = at + 100
    ids, _, rows = store.read(CLIP.name)
    wanted = expected(range(stop), CLIP)
    found = store.query(CLIP.name, np.stack(list(wanted.values())), 1)
    hits = sum(one[0][0] == key for one, key in zip(found, wanted))
    print(json.dumps({"done": done, "right": same_rows(ids, rows, wanted), "hits": hits}))
finally:
    store.end(60)
    print(done)
"""


def work(state: Path, start: int, stop: int, *before: str) -> subprocess.CompletedProcess[str]:
    command = [*before, sys.executable, "-c", WORK, str(state), str(start), str(stop)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.nightly
@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
@pytest.mark.parametrize(
    "name", ["header.bin", "data_level0.bin", "length.bin", "link_lists.bin", "index_metadata.pickle"]
)
def test_a_kill_at_any_write_of_a_persist(name: str, tmp_path: Path) -> None:
    base = tmp_path / "base"
    base.mkdir()
    assert work(base, 0, 2500).returncode == 0
    assert check_store(str(base / "chroma")) == []
    outcomes = []
    for write in (1, 2, 5, 20):
        state = tmp_path / f"{write}"
        shutil.copytree(base, state)
        target = str(segment_of(state / "chroma") / name)
        kill = f"inject=write,writev:signal=SIGKILL:when={write}"
        crashed = work(
            state,
            2500,
            4000,
            "strace",
            "-f",
            "-qq",
            "-o",
            "/dev/null",
            "-P",
            target,
            "-e",
            "trace=write,writev",
            "-e",
            kill,
        )
        if crashed.returncode == 0:
            continue  # the persist has fewer writes to this file
        acknowledged = int(crashed.stdout.splitlines()[-1])
        torn = check_store(str(state / "chroma"))
        outcomes.append((write, bool(torn)))
        if not torn:
            after = work(state, acknowledged, acknowledged + 1200)
            assert after.returncode == 0, after.stderr
            told = json.loads(after.stdout.splitlines()[0])
            assert told["right"]
            assert told["hits"] >= 0.99 * (acknowledged + 1200)
            assert check_store(str(state / "chroma")) == []
        shutil.rmtree(state)
    print(name, outcomes)
    assert outcomes, "no write was hit: Chroma persists in another way now"
