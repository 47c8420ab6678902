"""Real files, the hostile ones above all: each ends as a sighting or with a kind; nothing hangs, nothing dies."""

from __future__ import annotations

import collections
import json
import os
from pathlib import Path

import pytest

from deepdupe_daemon.clock import SystemClock
from deepdupe_daemon.config import DecoderConfig
from deepdupe_daemon.errors import FileFailed, NotAnImage
from deepdupe_daemon.model import InputSpec
from deepdupe_daemon.vision import DecoderPool
from deepdupe_daemon.vision.decode.refusal import Kind
from tests.vision.test_pool import always, key_of

SPECS = (InputSpec(kind="pdq"), InputSpec(side_px=64))
DANGEROUS = ("bomb", "oom", "timeout", "crash", "bad_", "max_size", "cve", "overflow", "corrupt", "truncated", "fuzz")
#: the only kinds that bytes alone can cause: no crash, no time-out, nothing that is our fault
KINDS = {Kind.EMPTY, Kind.TRUNCATED, Kind.CORRUPT, Kind.NOT_AN_IMAGE, Kind.UNSUPPORTED, Kind.TOO_MANY_PIXELS}


def _sample(data_dir: Path) -> list[Path]:
    """Every bomb, every second dangerous file, every twentieth other."""
    entries = json.loads((data_dir / "manifest.json").read_text(encoding="utf-8"))
    paths = [data_dir / entry["set"] / entry["path"] for entry in entries]
    dangerous = [path for path in paths if any(word in str(path).lower() for word in DANGEROUS)]
    bombs = [path for path in dangerous if any(w in path.name.lower() for w in ("bomb", "oom", "bad_", "max_size"))]
    ordinary = [path for path in paths if path not in set(dangerous)]
    return list(dict.fromkeys([*bombs, *dangerous[::2], *ordinary[::20]]))


@pytest.mark.evaluation
def test_every_file_ends_as_a_sighting_or_with_a_kind(data_dir: Path) -> None:
    paths = _sample(data_dir)
    assert len(paths) > 250
    ends = _ends(paths)
    assert ends["sighting"] > 80
    assert ends["truncated"] + ends["corrupt"] > 60
    assert ends["too-many-pixels"] >= 7


@pytest.mark.nightly
@pytest.mark.evaluation
@pytest.mark.timeout(1800)
def test_all_files_end_as_a_sighting_or_with_a_kind(data_dir: Path) -> None:
    """Every file that is there, so every one that does not open; prints the figures, with -s."""
    paths = sorted(path for path in data_dir.rglob("*") if path.is_file() and not path.is_symlink())
    ends = _ends(paths)
    assert sum(ends.values()) == len(paths)


def _ends(paths: list[Path]) -> collections.Counter[str]:
    """How many files ended how. Fails where one ends without a kind, or costs a worker."""
    pool = DecoderPool(DecoderConfig(workers=2), SPECS, clock=SystemClock(), claim=always)
    pool.start()
    ends: collections.Counter[str] = collections.Counter()
    try:
        futures = [pool.see(number, key_of(path), live=False) for number, path in enumerate(paths)]
        for path, future in zip(paths, futures, strict=True):
            failure = future.exception(120)
            if failure is None:
                assert future.result().facts.width_px > 0
                ends["sighting"] += 1
                continue
            assert isinstance(failure, FileFailed)
            assert failure.where == os.fspath(path)
            assert isinstance(failure, NotAnImage) == (failure.kind == Kind.NOT_AN_IMAGE)
            ends[failure.kind] += 1
        status = pool.status()
    finally:
        pool.stop(5.0)
    print(f"\n{len(paths)} files: {dict(ends.most_common())}")
    print(f"crashed workers {status.crashed}, time-outs {status.late}, memory peak {status.memory_peak_bytes >> 20} MB")
    assert set(ends) <= {"sighting", *map(str, KINDS)}
    assert status.restarts == 0
    assert status.memory_peak_bytes < 1 << 30
    return ends
