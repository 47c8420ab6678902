"""A disk that fills while Chroma writes: nothing is lost, and it goes on when there is room again."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from deepdupe_daemon.index import WriterState
from tests.index.conftest import SMALL, Bench
from tests.index.filling import CLIP, expected, same_rows, see

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(600)]

ROWS = 1500


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system in memory that root may mount, 64 MiB at first. Nothing outside it is ever filled."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64m,mode=0700", "deepdupe-test", str(disk)]
    if os.geteuid() or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("a tmpfs cannot be mounted here: needs root and CAP_SYS_ADMIN")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def resize(disk: Path, size: str) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", str(disk)], check=True)


def test_a_full_disk_costs_time_and_nothing_else(small_disk: Path, stored, eventually) -> None:
    bench = Bench(small_disk / "state")
    try:
        see(bench.ledger, range(ROWS), CLIP)
        used = os.statvfs(small_disk)
        used_kib = (used.f_blocks - used.f_bfree) * used.f_frsize >> 10
        resize(small_disk, f"{used_kib + 1500}k")
        writer = bench.writer(SMALL)
        eventually(lambda: writer.status().state is WriterState.WAITING, 120)
        assert bench.ledger.unstored_counts()[CLIP.name] > 0
        assert "store-unavailable" in bench.kinds() or "store-set-aside" in bench.kinds()
        resize(small_disk, "64m")
        eventually(lambda: not bench.ledger.unstored_counts()[CLIP.name], 200)
        stored(bench, writer, 200)
        assert same_rows(*writer.read_back(CLIP.name)[::2], expected(range(ROWS), CLIP))
    finally:
        bench.close()
