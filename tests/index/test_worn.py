"""A store of few rows and many deleted ones is filled anew. Real Chroma in its real process."""

from __future__ import annotations

from pathlib import Path

import pytest

from deepdupe_daemon.index import worn
from deepdupe_daemon.index.segments import places_held
from tests.index.conftest import Bench
from tests.index.filling import PDQ, expected, path_of, same_rows, see


def test_the_store_stays_small_whatever_comes_and_goes(
    bench: Bench, stored, eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worn, "LEAST_PLACES", 400)
    writer = bench.writer()
    store = bench.state_dir / "chroma"
    most = 0
    for first in range(0, 1500, 150):
        see(bench.ledger, range(first, first + 150), PDQ)
        writer.poke()
        stored(bench, writer)
        bench.ledger.note_gone_many([path_of(number) for number in range(first, first + 145)])
        writer.poke()
        eventually(lambda: not len(bench.ledger.unwanted("pdq.hash", 1)[0]), 60)
        stored(bench, writer)
        most = max(most, places_held(str(store)))
    assert bench.kinds().count("store-renewed") >= 2
    assert set(bench.kinds()) == {"store-renewed"}
    assert most < 1000, "of 1,500 rows that came"
    living = [number for first in range(0, 1500, 150) for number in range(first + 145, first + 150)]
    assert same_rows(*writer.read_back("pdq.hash")[::2], expected(living, PDQ))
    assert not list(bench.state_dir.glob("chroma.*worn*"))


def test_a_store_that_holds_what_it_needs_is_left_alone(tmp_path: Path) -> None:
    assert not worn.is_worn(tmp_path / "nowhere", 0)
    (tmp_path / "segment").mkdir()
    (tmp_path / "segment" / "header.bin").write_bytes(b"torn")
    assert not worn.is_worn(tmp_path, 0)


def test_a_removal_that_was_cut_off_does_not_stop_the_next(tmp_path: Path) -> None:
    for name in ("chroma", "chroma.worn"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    worn.remove_store(tmp_path / "chroma")
    assert list(tmp_path.iterdir()) == []
