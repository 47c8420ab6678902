"""The collections follow the ledger. Real Chroma in its real process throughout."""

from __future__ import annotations

import os
import shutil
import signal
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from deepdupe_daemon.config import ChromaConfig
from deepdupe_daemon.errors import StoreError
from deepdupe_daemon.index import CollectionWriter, WriterState
from tests.index.conftest import SMALL, Bench
from tests.index.filling import CLIP, PDQ, digest_of, expected, path_of, same_rows, see


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Bench, CollectionWriter]]:
    """One writer, with 120 images in two spaces at first, for the tests that do not hurt it. They build on each other's
    images by number only. The environment is hostile to Chroma, which must not matter."""
    bench = Bench(tmp_path_factory.mktemp("running") / "state")
    see(bench.ledger, range(120), PDQ, CLIP)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CHROMA_API_IMPL", "chromadb.api.fastapi.FastAPI")
        patch.setenv("MIGRATIONS", "yes")
        patch.setenv("PYTHONSTARTUP", "/nonexistent")
        writer = bench.writer()
        yield bench, writer
    bench.close()


def test_every_vector_lands_with_its_metadata(running: tuple[Bench, CollectionWriter], stored) -> None:
    bench, writer = running
    stored(bench, writer)
    for space in (PDQ, CLIP):
        ids, metadatas, rows = writer.read_back(space.name)
        assert same_rows(ids, rows, expected(range(120), space))
        assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)
        image = bench.ledger.image_by_digest(digest_of(3))
        assert image is not None
        assert metadatas[ids.index(digest_of(3).hex()[:32])] == {
            "image": image.image_id,
            "width": 4000,
            "height": 3000,
            "format": "JPEG",
            "pdq_quality": 90,
            "first_seen": image.first_seen_at_ns // 10**9,
            "captured_at": "2024:01:02 03:04:05",
        }
    status = writer.status()
    assert {name: s.collection for name, s in status.spaces.items()} == {
        "pdq.hash": "pdq.hash-g0",
        "clip-vit-b-32.final": "clip-vit-b-32.final-g0",
    }
    assert {s.rows for s in status.spaces.values()} == {120}
    assert bench.kinds() == []


def test_the_store_is_for_its_owner(running: tuple[Bench, CollectionWriter], stored) -> None:
    bench, writer = running
    stored(bench, writer)
    for folder, _, names in os.walk(bench.state_dir / "chroma"):
        assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700
        assert {stat.S_IMODE(os.stat(os.path.join(folder, name)).st_mode) for name in names} <= {0o600}


def test_a_query_answers_with_the_images_of_the_ledger(running: tuple[Bench, CollectionWriter], stored) -> None:
    bench, writer = running
    stored(bench, writer)
    wanted = expected([50, 60], CLIP)
    found = writer.query(CLIP.name, np.stack(list(wanted.values())), 3)
    assert [one[0][0] for one in found] == list(wanted)
    assert [round(one[0][1], 5) for one in found] == [1.0, 1.0]
    image = bench.ledger.image(int(found[0][0][2]["image"]))
    assert image is not None
    assert image.digest == digest_of(50)
    with pytest.raises(StoreError, match="there is no space nowhere"):
        writer.read_back("nowhere")


def test_later_rows_follow_and_what_no_file_holds_goes(running, stored, eventually) -> None:
    bench, writer = running
    stored(bench, writer)
    see(bench.ledger, range(120, 140), PDQ)
    for number in range(10):
        bench.ledger.note_gone(path_of(number))
    writer.poke()
    assert writer.lag_rows() > 0, "a poke that was not heard yet counts as lag"
    eventually(lambda: [s.rows for s in writer.status().spaces.values()] == [130, 110], 60)
    assert same_rows(*writer.read_back("pdq.hash")[::2], expected(range(10, 140), PDQ))
    assert not len(bench.ledger.unwanted("pdq.hash", 1)[0])


def test_a_new_generation_is_filled_anew(running: tuple[Bench, CollectionWriter], stored) -> None:
    """What reindex does: it raises the generation and forgets the marks."""
    bench, writer = running
    stored(bench, writer)
    before, _, _ = writer.read_back(CLIP.name)
    bench.ledger.set_space_generation(CLIP.name, 1)
    bench.ledger.clear_stored(CLIP.name)
    writer.poke()
    stored(bench, writer)
    assert writer.status().spaces[CLIP.name].collection == "clip-vit-b-32.final-g1"
    assert sorted(writer.read_back(CLIP.name)[0]) == sorted(before)


def test_the_process_ends_when_it_is_told_to_and_not_before(running: tuple[Bench, CollectionWriter], stored) -> None:
    """Ctrl-C and SIGTERM are for the daemon; SIGHUP, also sent when the daemon dies, means: finish, close, go."""
    bench, writer = running
    stored(bench, writer)
    lock = bench.state_dir / "chroma.lock"
    pid = int(lock.read_text().split()[1])
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(pid, number)
    before = len(writer.read_back("pdq.hash")[0])
    assert int(lock.read_text().split()[1]) == pid
    os.kill(pid, signal.SIGHUP)
    see(bench.ledger, range(500, 504), PDQ)
    writer.poke()
    stored(bench, writer)
    assert int(lock.read_text().split()[1]) != pid
    assert len(writer.read_back("pdq.hash")[0]) == before + 4


def test_a_restart_opens_nothing_without_need_and_a_removed_store_is_filled_again(
    bench: Bench, stored, eventually
) -> None:
    see(bench.ledger, range(30), PDQ)
    writer = bench.writer()
    stored(bench, writer)
    writer.stop(timeout_s=60)
    assert (bench.state_dir / "chroma.lock").read_text() == "closed\n"
    again = bench.writer()
    eventually(lambda: again.lag_rows() == 0)
    again.stop(timeout_s=60)
    assert again.status().spaces["pdq.hash"].rows is None, "nothing to write: Chroma was not asked"
    shutil.rmtree(bench.state_dir / "chroma")
    third = bench.writer()
    eventually(lambda: third.status().spaces and third.status().spaces["pdq.hash"].rows == 30, 60)
    assert same_rows(*third.read_back("pdq.hash")[::2], expected(range(30), PDQ))


def test_a_collection_of_another_origin_is_refused_and_the_other_spaces_go_on(
    bench: Bench, filled_state: Path, eventually
) -> None:
    """A store that a ledger of other weights has filled: nothing is mixed, and the message names the remedy."""
    shutil.copytree(filled_state / "chroma", bench.state_dir / "chroma")
    other = replace(CLIP, weights_digest="cd" * 32)
    see(bench.ledger, range(5), PDQ, other)
    writer = bench.writer()
    eventually(lambda: bench.ledger.unstored_counts()["pdq.hash"] == 0, 60)
    eventually(lambda: "space-mismatch" in bench.kinds(), 60)
    refused = writer.status().spaces[other.name].refused
    assert "weights_digest is 'abab" in refused
    assert "reindex --model clip-vit-b-32" in bench.notices[0].text
    assert bench.ledger.unstored_counts()[other.name] == 5
    eventually(lambda: writer.lag_rows() == 0)


def test_off_writes_nothing_and_says_so(bench: Bench) -> None:
    see(bench.ledger, range(3), PDQ)
    writer = bench.writer(ChromaConfig(mode="off"))
    assert writer.status().state is WriterState.OFF
    assert writer.lag_rows() == 0
    writer.poke()
    with pytest.raises(StoreError, match="not running"):
        writer.read_back("pdq.hash")
    assert not (bench.state_dir / "chroma").exists()


def test_below_the_floor_of_free_space_nothing_is_written(bench: Bench, eventually) -> None:
    see(bench.ledger, range(3), PDQ)
    writer = bench.writer(SMALL.model_copy(update={"free_space_floor_bytes": 2**62}))
    eventually(lambda: writer.status().state is WriterState.WAITING)
    assert "to be kept free" in writer.status().detail
    assert writer.lag_rows() == 0, "nobody waits for a store that cannot be written"
    assert bench.kinds() == ["store-unavailable"]
    assert not (bench.state_dir / "chroma").exists()
