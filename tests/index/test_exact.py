"""Exact recall: nothing missed, nothing that depends on the way there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deepdupe_daemon.index import ExactIndex, HalfRows
from deepdupe_daemon.index.places import I64Array
from deepdupe_daemon.index.scorer import HostScorer, HostShelf
from deepdupe_daemon.model import F32Array

SPACE = "m.final"


def unit(rows: np.ndarray) -> F32Array:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def bursty(rng: np.random.Generator, n: int, dim: int, *, run: int = 25) -> F32Array:
    """Runs of near-identical frames, with some exact repeats: where ties and crowded floors are."""
    base = np.repeat(rng.standard_normal((-(-n // run), dim)), run, axis=0)[:n]
    rows = unit(base + 0.1 * rng.standard_normal((n, dim)))
    rows[rng.integers(0, n, n // 10)] = rows[rng.integers(0, n, n // 10)]
    return rows


def signs(rng: np.random.Generator, n: int, dim: int = 256, *, run: int = 20) -> F32Array:
    bits = np.repeat(rng.integers(0, 2, (-(-n // run), dim)), run, axis=0)[:n]
    bits ^= rng.random((n, dim)) < 0.06
    return ((bits * 2 - 1) / np.sqrt(dim)).astype(np.float32)


def brute_force(
    rows: dict[int, np.ndarray], query: np.ndarray, threshold: float, limit: int
) -> list[tuple[int, float]]:
    """The definition, one pair at a time in float64 over float16 rows, on the grid of 2^-20."""
    q = query.astype(np.float16).astype(np.float64)
    scored = []
    for image_id, row in rows.items():
        r = row.astype(np.float16).astype(np.float64)
        cosine = float(q @ r) / (float(np.linalg.norm(q)) * float(np.linalg.norm(r)))
        scored.append((image_id, round(min(1.0, cosine) * 2**20) / 2**20))
    scored.sort(key=lambda pair: (-pair[1], pair[0]))
    return [pair for pair in scored if pair[1] >= threshold][:limit]


def found(index: ExactIndex, queries: F32Array, threshold: float, limit: int) -> list[list[tuple[int, float]]]:
    return [[(c.image_id, c.similarity) for c in one] for one in index.search(SPACE, queries, threshold, limit)]


class RoughScorer:
    """A first pass as a small device would do it: bfloat16 by truncation, tiny blocks, its own copy of the rows."""

    def shelf(self, rows: HalfRows) -> RoughShelf:
        return RoughShelf(rows)


class RoughShelf:
    margin = 2.0**-6

    def __init__(self, rows: HalfRows) -> None:
        self.rows = rows
        self.copy = np.zeros((0, rows.dim), dtype=np.float32)

    def block_rows(self, queries: int) -> int:
        return 37

    def changed(self, start: int, stop: int) -> None:
        if stop > len(self.copy):
            self.copy = np.concatenate([self.copy, np.zeros((stop - len(self.copy), self.rows.dim), np.float32)])
        rough = self.rows.unit(start, stop).view(np.uint32) & np.uint32(0xFFFF0000)
        self.copy[start:stop] = rough.view(np.float32)

    def at_least(self, queries: F32Array, floors: F32Array, start: int, stop: int) -> tuple[I64Array, I64Array]:
        query, row = np.nonzero(queries @ self.copy[start:stop].T >= floors[:, None] - self.margin)
        return query.astype(np.int64), row.astype(np.int64) + start

    def memory_bytes(self) -> int:
        return self.copy.nbytes

    def describe(self) -> str:
        return "bfloat16 in a test"


class FullShelf(HostShelf):
    def changed(self, start: int, stop: int) -> None:
        if stop > 100:
            raise MemoryError("the device is full")

    def describe(self) -> str:
        return "a small device"


class CrampedShelf(HostShelf):
    def at_least(self, queries: F32Array, floors: F32Array, start: int, stop: int) -> tuple[I64Array, I64Array]:
        raise MemoryError("the device has no room for the products")

    def describe(self) -> str:
        return "a small device"


class FullScorer:
    def shelf(self, rows: HalfRows) -> FullShelf:
        return FullShelf(rows)


class CrampedScorer:
    def shelf(self, rows: HalfRows) -> CrampedShelf:
        return CrampedShelf(rows)


@pytest.mark.parametrize("scorer", [HostScorer(), RoughScorer(), FullScorer(), CrampedScorer()])
@pytest.mark.parametrize("limit", [1, 7, 1000])
def test_recall_is_one_whatever_makes_the_first_pass(scorer: HostScorer, limit: int) -> None:
    rng = np.random.default_rng(7)
    rows = bursty(rng, 400, 48)
    index = ExactIndex(scorer)
    index.open_space(SPACE, 48)
    ids = rng.permutation(100_000)[:400]
    for part in np.array_split(np.arange(400), 5):
        index.add(SPACE, ids[part], rows[part])
    queries = np.concatenate([rows[:20], unit(rng.standard_normal((5, 48)))])
    held = dict(zip(ids.tolist(), rows, strict=True))
    for threshold in (0.97, 0.5, -1.0):
        assert found(index, queries, threshold, limit) == [brute_force(held, q, threshold, limit) for q in queries]


def test_a_full_device_hands_over_to_the_host() -> None:
    index = ExactIndex(FullScorer())
    index.open_space(SPACE, 8)
    rows = bursty(np.random.default_rng(0), 200, 8)
    index.add(SPACE, np.arange(90), rows[:90])
    assert index.describe(SPACE) == "a small device"
    index.add(SPACE, np.arange(90, 200), rows[90:])
    assert index.describe(SPACE) == "float32 on the host"
    assert [one[0].similarity for one in index.search(SPACE, rows, 0.9, 1)] == [1.0] * 200


@pytest.mark.parametrize("make", [bursty, signs], ids=["real", "signs"])
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_any_history_gives_what_a_fresh_look_at_its_end_gives(make, data: st.DataObject) -> None:
    """Adds, replacements (an id twice in one call too), removals of known and unknown ids, in any order."""
    dim = 64
    pool = make(np.random.default_rng(3), 60, dim)
    index = ExactIndex()
    index.open_space(SPACE, dim)
    held: dict[int, np.ndarray] = {}
    row_numbers = st.integers(0, len(pool) - 1)
    for _ in range(data.draw(st.integers(1, 8))):
        if data.draw(st.booleans()) or not held:
            pairs = data.draw(st.lists(st.tuples(st.integers(0, 2**62), row_numbers), max_size=20))
            pairs += data.draw(st.lists(st.tuples(st.integers(0, 30), row_numbers), max_size=10))
            index.add(SPACE, np.array([p[0] for p in pairs], np.int64), pool[[p[1] for p in pairs]])
            held.update((image_id, pool[row]) for image_id, row in pairs)
        else:
            gone = data.draw(st.lists(st.sampled_from(sorted(held)) | st.integers(0, 30), max_size=15))
            index.remove(SPACE, np.array(gone, np.int64))
            for image_id in gone:
                held.pop(image_id, None)
    assert index.size(SPACE) == len(held)
    threshold = data.draw(st.sampled_from([-1.0, 0.0, 0.75, 0.9, 0.999]))
    limit = data.draw(st.sampled_from([1, 3, 100]))
    queries = pool[data.draw(st.lists(row_numbers, min_size=1, max_size=4))]
    assert found(index, queries, threshold, limit) == [brute_force(held, q, threshold, limit) for q in queries]


@pytest.mark.parametrize(("make", "dim"), [(bursty, 96), (signs, 256)], ids=["real", "signs"])
def test_many_blocks_are_searched_like_one(make, dim: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deepdupe_daemon.index.halfrows.BLOCK_BYTES", 2 * dim * 64)
    monkeypatch.setattr("deepdupe_daemon.index.packed._BLOCK_ROWS", 64)
    rows = make(np.random.default_rng(1), 1000, dim)
    index = ExactIndex()
    index.open_space(SPACE, dim)
    assert index.load(SPACE, ((np.arange(s, s + 90)[: 1000 - s], rows[s : s + 90]) for s in range(0, 1000, 90))) == 1000
    index.remove(SPACE, np.arange(0, 1000, 3))
    index.add(SPACE, np.arange(0, 100, 3), rows[0:100:3])
    held = {i: rows[i] for i in range(1000) if i % 3 or i < 100}
    for limit in (5, 500):
        assert found(index, rows[:8], 0.7, limit) == [brute_force(held, q, 0.7, limit) for q in rows[:8]]


def test_hamming_distance_is_exactly_the_similarity() -> None:
    rng = np.random.default_rng(5)
    base = signs(rng, 1)[0]
    rows = np.repeat(base[None], 257, axis=0)
    for distance in range(257):
        rows[distance, rng.permutation(256)[:distance]] *= -1
    index = ExactIndex()
    index.open_space(SPACE, 256)
    index.add(SPACE, np.arange(257), rows)
    assert index.describe(SPACE) == "256-bit words on the host"
    assert found(index, base[None], -1.0, 1000)[0] == [(d, 1 - 2 * d / 256) for d in range(257)]
    assert [i for i, _ in found(index, base[None], 1 - 2 * 31 / 256, 1000)[0]] == list(range(32))
    assert [i for i, _ in found(index, base[None], np.nextafter(1 - 2 * 31 / 256, 2), 1000)[0]] == list(range(31))


def test_packed_bits_and_float_rows_give_the_same_similarities() -> None:
    """A row that is no sign turns the store into float rows; what was there scores as before, to the last bit."""
    rows = signs(np.random.default_rng(2), 300)
    index = ExactIndex()
    index.open_space(SPACE, 256)
    index.add(SPACE, np.arange(300), rows.astype(np.float16))
    packed_bytes = index.memory_bytes()
    before = found(index, rows[:50], 0.6, 20)
    index.add(SPACE, np.array([900]), unit(np.eye(256)[:1]))
    assert index.describe(SPACE) == "float32 on the host"
    assert found(index, rows[:50], 0.6, 20) == before
    assert found(index, unit(np.eye(256)[:1]), 0.99, 5) == [[(900, 1.0)]]
    assert index.memory_bytes() > packed_bytes


def test_a_query_that_is_no_sign_is_answered_from_packed_bits_too() -> None:
    rows = signs(np.random.default_rng(2), 50)
    index = ExactIndex()
    index.open_space(SPACE, 256)
    index.add(SPACE, np.arange(50), rows)
    query = unit(rows[:1] + 0.01)
    assert found(index, query, 0.5, 9) == [brute_force(dict(enumerate(rows)), query[0], 0.5, 9)]


def test_a_restart_changes_no_similarity() -> None:
    """Fresh from the model in float32, or out of the ledger in float16: the same answers, alone or in a batch."""
    rows = bursty(np.random.default_rng(4), 500, 128)
    live, restarted = ExactIndex(), ExactIndex()
    for index in (live, restarted):
        index.open_space(SPACE, 128)
    live.add(SPACE, np.arange(500), rows)
    order = np.random.default_rng(0).permutation(500)
    restarted.load(SPACE, [(order[s : s + 77], rows[order[s : s + 77]].astype(np.float16)) for s in range(0, 500, 77)])
    expected = found(live, rows, 0.8, 30)
    assert found(restarted, rows.astype(np.float16).astype(np.float32), 0.8, 30) == expected
    assert [found(live, rows[i : i + 1], 0.8, 30)[0] for i in range(60)] == expected[:60]


def test_a_pair_is_as_similar_from_either_side() -> None:
    rows = bursty(np.random.default_rng(9), 120, 40)
    index = ExactIndex()
    index.open_space(SPACE, 40)
    index.add(SPACE, np.arange(120), rows)
    table = [dict(one) for one in found(index, rows, -1.0, 120)]
    assert all(table[i][j] == table[j][i] for i in range(120) for j in range(120))
    assert all(table[i][i] == 1.0 for i in range(120))


def test_crowds_of_equals_are_cut_at_the_limit_by_image_id() -> None:
    row = unit(np.ones((1, 32)) + np.arange(32))
    index = ExactIndex(RoughScorer())
    index.open_space(SPACE, 32)
    ids = np.random.default_rng(1).permutation(3000)
    index.add(SPACE, ids, np.repeat(row, 3000, axis=0))
    assert found(index, np.repeat(row, 3, axis=0), 0.9, 16) == [[(i, 1.0) for i in range(16)]] * 3


def test_what_has_no_direction_is_refused_and_changes_nothing() -> None:
    index = ExactIndex()
    index.open_space(SPACE, 4)
    index.add(SPACE, np.array([1]), unit(np.array([[1, 2, 3, 4]])))
    for bad in ([0, 0, 0, 0], [np.nan, 1, 0, 0], [np.inf, 1, 0, 0]):
        for dtype in (np.float32, np.float16):
            with pytest.raises(ValueError, match="not of unit length"):
                index.add(SPACE, np.array([2]), np.array([bad], dtype=dtype))
    with pytest.raises(ValueError, match="dimension 4"):
        index.add(SPACE, np.array([2]), np.ones((1, 5), np.float32))
    with pytest.raises(ValueError, match="queries of shape"):
        index.search(SPACE, np.ones((1, 3), np.float32), 0.5, 1)
    with pytest.raises(ValueError, match="has dimension 4, not 5"):
        index.open_space(SPACE, 5)
    with pytest.raises(KeyError):
        index.search("unknown", np.ones((1, 4), np.float32), 0.5, 1)
    assert index.size(SPACE) == 1


def test_spaces_do_not_see_each_other() -> None:
    rows = bursty(np.random.default_rng(1), 10, 16)
    index = ExactIndex()
    for name in ("a.final", "b.final"):
        index.open_space(name, 16)
    index.add("a.final", np.arange(10), rows)
    assert index.size("b.final") == 0
    assert index.search("b.final", rows, -1.0, 5) == [[]] * 10
    assert index.search("a.final", rows[:1], 0.999, 1)[0][0].space == "a.final"
    index.close_space("a.final")
    assert index.spaces() == ("b.final",)


def test_float16_bits_are_widened_exactly() -> None:
    """All 63,488 finite float16 values, subnormals among them."""
    from deepdupe_daemon.index.halfrows import widen

    every = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    finite = every[np.isfinite(every)].reshape(-1, 1)
    assert np.array_equal(widen(finite, np.empty(finite.shape, np.int32)), finite.astype(np.float32))
    assert len(finite) == 63_488


def test_rows_beyond_the_budget_lie_in_files_and_are_found_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deepdupe_daemon.index.halfrows.BLOCK_BYTES", 2 * 64 * 100)
    rows = bursty(np.random.default_rng(6), 1000, 64)
    index = ExactIndex(budget_bytes=3 * 2 * 64 * 100, spill_dir=tmp_path)
    index.open_space(SPACE, 64)
    index.add(SPACE, np.arange(1000), rows)
    assert index.filed_bytes() == 7 * 2 * 64 * 100
    held = dict(enumerate(rows))
    assert found(index, rows[::100], 0.9, 30) == [brute_force(held, q, 0.9, 30) for q in rows[::100]]
    index.remove(SPACE, np.arange(150, 1000))
    assert index.filed_bytes() == 0
    index.close_space(SPACE)
    assert (index.memory_bytes(), list(tmp_path.iterdir())) == (0, [])
