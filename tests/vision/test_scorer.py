"""The torch scorer under the exact index gives exactly what the index's own gives, in every number format."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from deepdupe_daemon.clock import ManualClock
from deepdupe_daemon.index import ExactIndex
from deepdupe_daemon.model import F32Array
from deepdupe_daemon.vision.scorer import TorchScorer, TorchShelf, choose_scorer

CPU = torch.device("cpu")
DTYPES = [torch.float32, torch.bfloat16, torch.float16]


def bursty(count: int, dim: int, seed: int) -> F32Array:
    """Unit rows in bursts around a few centres, as photo libraries hold them."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((max(1, count // 8), dim))
    rows = centres[rng.integers(0, len(centres), count)] + rng.standard_normal((count, dim)) * rng.choice(
        [0.01, 0.1, 0.5], (count, 1)
    )
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


class Rows:
    """Unit rows in memory, as a shelf reads them."""

    def __init__(self, rows: F32Array) -> None:
        self.rows = rows
        self.dim = rows.shape[1]

    def unit(self, start: int, stop: int) -> F32Array:
        return self.rows[start:stop].copy()


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@given(st.integers(1, 300), st.integers(1, 9), st.floats(0.3, 0.999), st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_the_index_finds_the_same_with_it(
    dtype: torch.dtype, count: int, queries: int, threshold: float, seed: int
) -> None:
    rows = bursty(count + queries, 48, seed)
    host, device = ExactIndex(), ExactIndex(TorchScorer(CPU, dtype))
    for index in (host, device):
        index.open_space("own.final", 48)
        index.add("own.final", np.arange(count), rows[:count])
        index.remove("own.final", np.arange(0, count, 7))
    wanted = host.search("own.final", rows[count:], threshold, 16)
    assert device.search("own.final", rows[count:], threshold, 16) == wanted


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_the_margin_holds_and_is_not_idle(dtype: torch.dtype) -> None:
    """No rough score is further from the true one than the margin, over rows made to round badly."""
    rng = np.random.default_rng(3)
    rows = np.concatenate([bursty(500, 256, 1), np.sign(rng.standard_normal((20, 256))).astype(np.float32) / 16])
    rows[:, 0] = 1e-5  # a subnormal in half precision
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    shelf = TorchShelf(Rows(rows), CPU, dtype)
    true = rows.astype(np.float64) @ rows[:40].astype(np.float64).T
    rough = (torch.from_numpy(rows).to(dtype) @ torch.from_numpy(rows[:40]).to(dtype).T).double().numpy()
    assert np.abs(rough - true).max() <= shelf.margin
    assert shelf.margin < 0.013


def test_rows_lie_in_blocks_and_are_found_across_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deepdupe_daemon.vision.scorer._BLOCK_BYTES", 1)
    rows = bursty(2500, 16, 5)
    shelf = TorchShelf(Rows(rows), CPU, torch.float32)
    shelf.changed(0, 2500)
    assert shelf.memory_bytes() == 3 * 1024 * 16 * 4
    query, row = shelf.at_least(rows[[10, 1500, 2499]], np.full(3, 0.9999999, np.float32), 0, 2500)
    assert {(0, 10), (1, 1500), (2, 2499)} <= set(zip(query.tolist(), row.tolist(), strict=True))
    query, row = shelf.at_least(rows[[10, 1500, 2499]], np.full(3, 0.9999999, np.float32), 1000, 2000)
    assert set(query.tolist()) == {1}
    assert (row >= 1000).all()
    assert (row < 2000).all()
    nothing = shelf.at_least(rows[:1], np.full(1, 1.5, np.float32), 0, 2500)
    assert len(nothing[0]) == len(nothing[1]) == 0


def test_scratch_memory_is_bounded() -> None:
    shelf = TorchShelf(Rows(bursty(8, 16, 0)), CPU, torch.bfloat16)
    assert shelf.block_rows(400) * 400 * 2 <= 64 << 20
    assert shelf.block_rows(1) * 2 <= 64 << 20


class Paced(ManualClock):
    """Each pair of readings lies apart as told: float32 first, then bfloat16."""

    def __init__(self, *, exact_s: float, half_s: float) -> None:
        super().__init__()
        self._steps = iter([exact_s] * 4 + [half_s] * 4)
        self._odd = False

    def monotonic_s(self) -> float:
        if self._odd:
            self.advance(next(self._steps))
        self._odd = not self._odd
        return super().monotonic_s()


def test_the_clock_decides_on_a_processor() -> None:
    faster = choose_scorer("cpu", Paced(exact_s=0.03, half_s=0.01), dim=32)
    assert faster is not None
    assert faster.describe() == "bfloat16 on cpu"
    assert choose_scorer("cpu", Paced(exact_s=0.01, half_s=0.03), dim=32) is None
