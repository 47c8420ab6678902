"""Every digest belongs to one shard, and what the shards find is merged whatever their order."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepdupe_daemon.clock import ManualClock
from deepdupe_daemon.config import ChromaConfig
from deepdupe_daemon.index.shard import Shard
from deepdupe_daemon.index.sharded import ShardedWriter, best
from deepdupe_daemon.index.standing import SpaceStanding, WriterState, WriterStatus, merged

DIGESTS = st.binary(min_size=32, max_size=32) | st.sampled_from([b"\0" * 32, b"\xff" * 32])
FOUND = st.tuples(st.text("abcdef", min_size=1), st.sampled_from([0.5, 0.75, 0.875, 1.0]), st.just({}))


@given(DIGESTS, st.integers(2, 16))
def test_a_digest_is_in_exactly_one_range(digest: bytes, count: int) -> None:
    ranges = [Shard(number, count).digests for number in range(count)]
    assert sum(low <= digest < high for low, high in ranges) == 1
    assert Shard(0, 1).digests is None


@given(st.integers(2, 16))
def test_the_ranges_are_equal(count: int) -> None:
    """To one of the 65,536 values of two bytes."""
    digests = [Shard(number, count).digests for number in range(count)]
    bounds = [int.from_bytes(low, "big") for low, _ in digests if low] + [65536]
    sizes = [high - low for low, high in pairwise(bounds)]
    assert len(sizes) == count
    assert max(sizes) - min(sizes) <= 1


@given(st.lists(st.lists(FOUND, max_size=6), min_size=1, max_size=4), st.integers(1, 8), st.randoms())
def test_the_best_of_all_are_the_best_of_the_best_of_each(lists: list, limit: int, dice) -> None:
    everything = sorted((one for each in lists for one in each), key=lambda one: (-one[1], one[0]))
    each_best = [best((each,), limit) for each in lists]
    dice.shuffle(each_best)
    assert best(tuple(each_best), limit) == everything[:limit]


def test_what_is_in_the_way_of_one_shard_is_said_and_the_lag_is_that_of_all() -> None:
    def one(state: WriterState, detail: str, rows: int | None, lag: int) -> WriterStatus:
        return WriterStatus(state, detail, {"pdq.hash": SpaceStanding("pdq.hash-1", 0, rows, lag)})

    away, well = one(WriterState.WAITING, "no server", 7, 5), one(WriterState.OPEN, "", 3, 0)
    together = merged([well, away])
    assert (together.state, together.detail, together.lag_rows) == (WriterState.WAITING, "no server", 5)
    assert together.spaces["pdq.hash"].rows == 10
    assert merged([one(WriterState.WRITING, "", None, 1), away]).state is WriterState.WRITING
    assert merged([well]) is well


def test_a_stop_has_its_time_for_all_shards_together(tmp_path: Path) -> None:
    clock = ManualClock()
    given_s: list[float] = []

    class Hanging:
        def ask_to_stop(self) -> None:
            assert not given_s, "all are asked before one is waited for"

        def stop(self, timeout_s: float) -> None:
            given_s.append(timeout_s)
            clock.advance(min(timeout_s, 4))

    config = ChromaConfig(mode="server", urls=("http://127.0.0.1:1", "http://127.0.0.1:2", "http://127.0.0.1:3"))
    writer = ShardedWriter(tmp_path, config, lambda: pytest.fail("not opened"), clock, print)
    assert len(writer._writers) == 3
    writer._writers = [Hanging() for _ in range(3)]
    writer.stop(6)
    assert given_s == pytest.approx([6, 2, 0])
