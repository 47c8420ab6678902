"""Exact recall against Chroma's graph: what each finds, and what it costs, where photo libraries are hardest: bursts.

Times are CPU time of this process and its children, so that a busy machine does not change them.

`DEEPDUPE_BENCH_ROWS=10000,100000,1000000` chooses the sizes (default: the first two; the graphs stop at 100,000).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest

from deepdupe_daemon.clock import SystemClock
from deepdupe_daemon.config import ChromaConfig
from deepdupe_daemon.index import CollectionWriter, ExactIndex
from deepdupe_daemon.index.store import Store
from deepdupe_daemon.model import F32Array, SpaceKey
from tests.benchmarks.processes import cpu_s, memory_bytes, now_s
from tests.conftest import Eventually
from tests.index.filling import open_ledger, see

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(3600)]

DIM = 1024
SPACE = SpaceKey("bench", "final", DIM)
THRESHOLD = 0.95
QUERIES = 400
SIZES = [int(word) for word in os.environ.get("DEEPDUPE_BENCH_ROWS", "10000,100000").split(",")]
GRAPHS: dict[str, Mapping[str, int]] = {
    "HNSW, Chroma's defaults": {},
    "HNSW, raised": {"max_neighbors": 48, "ef_construction": 400, "ef_search": 400},
}
MOST_GRAPH_ROWS = 100_000


def say(text: str) -> None:
    print(text, file=sys.__stderr__, flush=True)


def unit(rows: F32Array) -> F32Array:
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def near(rng: np.random.Generator, rows: F32Array, low: float, high: float) -> F32Array:
    """For each row another at a cosine between `low` and `high`."""
    cosine = rng.uniform(low, high, (len(rows), 1)).astype(np.float32)
    other = rng.standard_normal(rows.shape, dtype=np.float32)
    other -= (other * rows).sum(axis=1, keepdims=True) * rows
    return unit(cosine * rows + np.sqrt(1 - cosine * cosine) * unit(other))


def bursts(count: int, seed: int = 3) -> Iterator[F32Array]:
    """Runs of 250 frames at cosine 0.975 to 0.99 to their first, scenes in 2,000 clusters; 10,000 a piece."""
    rng = np.random.default_rng(seed)
    basis = rng.standard_normal((48, DIM), dtype=np.float32) / np.sqrt(DIM)
    centres = rng.standard_normal((2000, 48), dtype=np.float32)
    for start in range(0, count, 10_000):
        piece = min(10_000, count - start)
        scenes = -(-piece // 250)
        latent = centres[rng.integers(0, 2000, scenes)] + 0.55 * rng.standard_normal((scenes, 48), dtype=np.float32)
        first = unit(latent @ basis + 0.15 * np.sqrt(48 / DIM) * rng.standard_normal((scenes, DIM), dtype=np.float32))
        yield near(rng, np.repeat(first, 250, axis=0)[:piece], 0.975, 0.99)


class Figures:
    """What one way of searching found and cost."""

    def __init__(self, true: list[list[int]]) -> None:
        self._true = true

    def say(self, name: str, found: list[list[int]], ms_1: float, ms_400: float, rest: str) -> None:
        first = np.mean([f[:1] == t[:1] for f, t in zip(found, self._true, strict=True)])
        any_found = np.mean([bool(f) for f in found])
        share = sum(len(set(f) & set(t)) for f, t in zip(found, self._true, strict=True)) / sum(map(len, self._true))
        say(
            f"  {name:<24} recall@1 {first:.3f}; a duplicate found for {any_found:.3f} of the queries; {share:.3f} of "
            f"the 5 nearest; {ms_1:.2f} ms for one query, {ms_400:.2f} ms each of {QUERIES}; {rest}"
        )


@pytest.mark.parametrize("count", SIZES)
def test_recall_and_cost(count: int, tmp_path: Path) -> None:
    index = ExactIndex()
    index.open_space(SPACE.name, DIM)
    rng = np.random.default_rng(5)
    queries = []
    began = cpu_s(os.getpid())
    making = 0.0
    for number, piece in enumerate(pieces(count)):
        queries.append(near(rng, piece[rng.integers(0, len(piece), -(-QUERIES * 10_000 // count))], 0.97, 0.999))
        half = piece.astype(np.float16)
        start = cpu_s(os.getpid())
        index.add(SPACE.name, np.arange(len(half)) + 10_000 * number, half)
        making += cpu_s(os.getpid()) - start
    wanted = np.concatenate(queries)[:QUERIES]
    say(f"\n{count:,} rows x {DIM} in bursts of 250 (made in {cpu_s(os.getpid()) - began:.0f} s of CPU)")

    def exact(some: F32Array) -> list[list[int]]:
        return [[c.image_id for c in one] for one in index.search(SPACE.name, some, THRESHOLD, 5)]

    true = exact(wanted)
    figures = Figures(true)
    one, many = costs(exact, wanted)
    mb = index.memory_bytes() / 1e6
    figures.say(
        "exact, float16 on a core", true, one, many, f"{mb:.0f} MB; {count / max(making, 0.01):,.0f} rows/s loaded"
    )
    assert all(true), "each query was planted beside a row"
    if count <= MOST_GRAPH_ROWS:
        for name, graph in GRAPHS.items():
            measure_graph(name, graph, count, wanted, figures, tmp_path / name[-4:])


def pieces(count: int) -> Iterator[F32Array]:
    return bursts(count)


def measure_graph(
    name: str, graph: Mapping[str, int], count: int, wanted: F32Array, figures: Figures, state: Path
) -> None:
    state.mkdir()
    store = Store(state, ChromaConfig(), os.environ, graph=graph)
    store.open()
    assert store.pid is not None
    empty_bytes = memory_bytes(store.pid)
    store.ensure(SPACE, 0)
    began_s, began_cpu_s = now_s(), cpu_s(store.pid)
    for number, piece in enumerate(pieces(count)):
        half = piece.astype(np.float16)
        for start in range(0, len(half), 250):
            part = half[start : start + 250]
            ids = [f"{10_000 * number + start + k:032x}" for k in range(len(part))]
            store.put(SPACE.name, ids, [{"image": 10_000 * number + start + k} for k in range(len(part))], part)
    took_s, took_cpu_s = now_s() - began_s, cpu_s(store.pid) - began_cpu_s

    def search(some: F32Array) -> list[list[int]]:
        answer = store.query(SPACE.name, some, 5)
        return [[int(facts["image"]) for _, cosine, facts in one if cosine >= THRESHOLD] for one in answer]

    found = search(wanted)
    one, many = costs(search, wanted)
    held = memory_bytes(store.pid) - empty_bytes
    store.end(60)
    began_s = now_s()
    store.open()
    open_s = now_s() - began_s
    store.end(60)
    rates = f"{held / 1e6:.0f} MB; filled at {count / took_cpu_s:,.0f} rows a CPU second ({count / took_s:,.0f} here)"
    rates += f", opened in {open_s:.1f} s"
    figures.say(name, found, one, many, rates)


def costs(search: Callable[[F32Array], object], wanted: F32Array) -> tuple[float, float]:
    """CPU milliseconds a query: one at a time, and all in one call. The best of three passes."""
    singles = wanted[:25]
    one = min(spent(lambda: [search(query[None]) for query in singles]) for _ in range(3)) / len(singles)
    many = min(spent(lambda: search(wanted)) for _ in range(3)) / len(wanted)
    return one * 1000, many * 1000


def spent(work: Callable[[], object]) -> float:
    began = cpu_s(os.getpid())
    work()
    return cpu_s(os.getpid()) - began


@pytest.mark.parametrize("count", [size for size in SIZES if size <= MOST_GRAPH_ROWS])
def test_from_the_ledger(count: int, tmp_path: Path, eventually: Eventually) -> None:
    """How fast the index is loaded from the ledger, and how fast Chroma is filled again from it."""
    ledger = open_ledger(tmp_path)
    for start in range(0, count, 1000):
        see(ledger, range(start, min(count, start + 1000)), SPACE)
    index = ExactIndex()
    index.open_space(SPACE.name, DIM)
    began_s = cpu_s(os.getpid())
    rows = index.load(SPACE.name, ledger.vectors(SPACE.name))
    loaded_s = cpu_s(os.getpid()) - began_s
    assert rows == index.size(SPACE.name) == count
    say(f"\n{count:,} rows x {DIM}: ledger -> index {count / loaded_s:,.0f} rows a CPU second")
    writer = CollectionWriter(
        tmp_path, ChromaConfig(), lambda: open_ledger(tmp_path), SystemClock(), lambda n: say(n.text)
    )
    began_s, began_cpu_s = now_s(), cpu_s(os.getpid())
    writer.start()
    eventually(lambda: ledger.unstored_counts()[SPACE.name] == 0, 1800, every_s=0.2)
    took_s, took_cpu_s = now_s() - began_s, cpu_s(os.getpid()) - began_cpu_s
    say(f"  ledger -> Chroma {count / took_cpu_s:,.0f} rows a CPU second ({count / took_s:,.0f} here), with its start")
    writer.stop(60)
    began_s = now_s()
    ledger.clear_stored(SPACE.name)
    say(f"  all {count:,} marked as not stored in {now_s() - began_s:.2f} s")
    ledger.close()
