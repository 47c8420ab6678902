"""Files damaged at random, by a seeded generator: no hang, no leak, no surprise; the service would not notice.

Six hundred by default; DEEPDUPE_MUTATIONS=20000 for the night, DEEPDUPE_MUTATIONS_SEED for others. The figures are
printed with -s.
"""

from __future__ import annotations

import collections
import os
from pathlib import Path

import pytest

from deepdupe_daemon.clock import SystemClock
from deepdupe_daemon.config import DecoderConfig
from deepdupe_daemon.errors import FileFailed
from deepdupe_daemon.model import InputSpec
from deepdupe_daemon.vision import DecoderPool
from tests.vision.mutations import made_seeds, mutations, real_seeds
from tests.vision.test_pool import always, key_of

SPECS = (InputSpec(kind="pdq"), InputSpec(side_px=64))
TIMEOUT_S = 20
SEED = int(os.environ.get("DEEPDUPE_MUTATIONS_SEED", "20260101"))
_WINDOW = 64


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_no_mutation_is_more_than_one_failed_file(data_dir: Path, tmp_path: Path) -> None:
    count = int(os.environ.get("DEEPDUPE_MUTATIONS", "600"))
    seeds = [*made_seeds(), *real_seeds(data_dir, 6)]
    pool = DecoderPool(
        DecoderConfig(workers=2, timeout_s=TIMEOUT_S, memory_bytes=1 << 30, max_pixels=100_000_000),
        SPECS,
        clock=SystemClock(),
        claim=always,
    )
    pool.start()
    ends: collections.Counter[str] = collections.Counter()
    remarkable: list[str] = []
    window: collections.deque[tuple[Path, object]] = collections.deque()

    def settle() -> None:
        path, future = window.popleft()
        failure = future.exception(TIMEOUT_S * 4)
        kind = "sighting" if failure is None else getattr(failure, "kind", repr(failure))
        assert failure is None or isinstance(failure, FileFailed), failure
        ends[kind] += 1
        if kind in {"crashed", "timeout", "out-of-memory", "internal"}:
            remarkable.append(f"{kind}: {failure} ({path.stat().st_size} bytes)")
            if (keep := os.environ.get("DEEPDUPE_KEEP_MUTATIONS")) is not None:
                (Path(keep) / f"{kind}-{len(remarkable)}").write_bytes(path.read_bytes())
        path.unlink()

    try:
        for number, data in enumerate(mutations(seeds, count, SEED)):
            path = tmp_path / f"{number}.jpg"
            path.write_bytes(data)
            window.append((path, pool.see(number, key_of(path), live=False)))
            if len(window) >= _WINDOW:
                settle()
        while window:
            settle()
        status = pool.status()
    finally:
        pool.stop(5.0)
    print(f"\n{count} mutations of {len(seeds)} files: {dict(ends.most_common())}")
    print(f"crashed workers {status.crashed}, time-outs {status.late}, memory peak {status.memory_peak_bytes >> 20} MB")
    print("\n".join(remarkable))
    assert sum(ends.values()) == count
    assert ends["internal"] == 0, remarkable
    assert ends["no-worker"] == 0
    assert status.memory_peak_bytes < 1200 << 20
    # other people's decoders may fall; what they fall on must stay rare enough for nobody to wait for it
    assert ends["crashed"] + ends["timeout"] <= count // 200
