"""Roots that go and come back under a running daemon: `unshare -Urm python -m tests.acceptance.outages FOLDER FILES`.

In a private mount namespace. Asserts that nothing is taken for deleted, that nothing is decoded again, and that what
comes afterwards is heard. Run by `test_anchors.py`, and with 30,000 files by `make nightly`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image

from deepdupe_daemon.clock import SystemClock
from deepdupe_daemon.config import config_for_folders
from deepdupe_daemon.model import FileState
from deepdupe_daemon.service import ControlClient
from tests.acceptance.daemon import Daemon, counts

T = TypeVar("T")
CLOCK = SystemClock()
NEVER = threading.Event()
PROJECT_ROOT = Path(__file__).resolve().parents[2]


def until(predicate: Callable[[], T], timeout_s: float = 300.0) -> T:
    give_up_s = CLOCK.monotonic_s() + timeout_s
    while not (found := predicate()):
        assert CLOCK.monotonic_s() < give_up_s, f"still {found!r} after {timeout_s} s"
        CLOCK.wait(NEVER, 0.05)
    return found


def main(folder: Path, files: int) -> None:
    disk, root, state = folder / "disk", folder / "root", folder / "state"
    for each in (disk, root):
        each.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1g", "tmpfs", disk], check=True)
    subprocess.run(["mount", "--bind", disk, root], check=True)
    plant(root, files)
    daemon = Daemon(root, state, folder / "said.jsonl", PROJECT_ROOT)
    try:
        until(lambda: daemon.ready)
        until(lambda: counts(state)[FileState.INDEXED] == files, 1800)
        client = ControlClient.find(config_for_folders([root], state_dir=state, environ={}))
        assert client is not None

        def decodes() -> tuple[int, int]:
            answer = client.request("status")
            return answer["decoder"]["done"], answer["forward"]["done"]

        def offline() -> bool:
            return bool(client.request("status")["intake"]["offline"])

        def untouched() -> bool:
            found = counts(state)
            return found[FileState.INDEXED] == files and not found[FileState.GONE] + found[FileState.PENDING]

        before = decodes()
        subprocess.run(["umount", root], check=True)
        until(offline)
        assert untouched(), "an empty mount point was taken for a deletion"
        subprocess.run(["mount", "--bind", disk, root], check=True)
        until(lambda: not offline() and not client.request("status")["intake"]["walking"])
        assert untouched()
        (told,) = daemon.records("root-offline")
        assert told["path"] == str(root)
        assert len(daemon.records("root-back")) == 1
        assert decodes() == before, "what came back was decoded again"
        print(f"{files:,} files unmounted and mounted again: {decodes()[0] - before[0]} decodes")

        # heard again: one more file is found, and it alone is decoded
        (root / "later.jpg").write_bytes((root / "000" / "00000.jpg").read_bytes() + b"later")
        until(lambda: counts(state)[FileState.INDEXED] == files + 1)
        assert decodes()[1] == before[1] + 1
        subprocess.run(["umount", root], check=True)
        until(offline)

        # what lies on the bare mount point now: renamed away and back, deleted and made again
        (root / "bare").mkdir()
        shutil.copy(disk / "later.jpg", root / "bare" / "a.jpg")
        until(lambda: not offline())
        root.rename(folder / "away")
        until(offline)
        (folder / "away").rename(root)
        until(lambda: not offline())
        shutil.rmtree(root)
        until(offline)
        root.mkdir()
        shutil.copy(disk / "later.jpg", root / "again.jpg")
        until(lambda: not offline())
        shutil.copy(disk / "later.jpg", root / "once more.jpg")
        until(lambda: any(r["path"].endswith("/once more.jpg") for r in daemon.records("duplicate-found")))
        assert daemon.terminate(120) == 0
    finally:
        if daemon.process.poll() is None:
            daemon.kill(whole_group=True)


def plant(root: Path, files: int) -> None:
    """Pictures of noise, none of which is like another."""
    dice = np.random.default_rng(30_000)
    for number in range(files):
        path = root / f"{number // 1000:03}" / f"{number:05}.jpg"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(dice.integers(0, 256, (48, 48, 3), dtype=np.uint8)).save(path, quality=70)


if __name__ == "__main__":
    os.umask(0o077)
    main(Path(sys.argv[1]), int(sys.argv[2]))
