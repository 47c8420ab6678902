"""Server mode against a real `chroma run`: outages are waited out, and nobody's rows but ours are touched."""

from __future__ import annotations

import shutil
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from deepdupe_daemon.clock import SystemClock
from deepdupe_daemon.config import ChromaConfig
from deepdupe_daemon.errors import StoreError
from deepdupe_daemon.index import ShardedWriter, WriterState, drop_collections
from deepdupe_daemon.index.halfrows import unit_rows
from deepdupe_daemon.index.headers import read_headers
from deepdupe_daemon.index.place import settle_place
from tests.index.chroma_server import ChromaServer
from tests.index.conftest import Bench
from tests.index.filling import PDQ, digest_of, open_ledger, path_of, row_of, see


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ChromaServer]:
    server = ChromaServer(tmp_path / "server")
    yield server
    server.stop()


def test_rows_reach_the_server_and_an_outage_is_waited_out(
    bench: Bench, server: ChromaServer, stored, eventually
) -> None:
    config = ChromaConfig(mode="server", url=server.url, batch_rows=50)
    see(bench.ledger, range(60), PDQ)
    writer = bench.writer(config)
    eventually(lambda: writer.status().state is WriterState.OPEN, 60)
    stored(bench, writer)
    node = bench.ledger.meta("node")
    ids, metadatas, _ = writer.read_back("pdq.hash")
    assert sorted(ids) == sorted(f"{node}-{digest_of(n).hex()[:32]}" for n in range(60))
    assert {facts["node"] for facts in metadatas} == {node}

    server.stop()
    see(bench.ledger, range(60, 80), PDQ)
    bench.ledger.note_gone(path_of(0))
    writer.poke()
    eventually(lambda: writer.status().state is WriterState.WAITING, 60)
    assert writer.lag_rows() == 0, "nobody waits for a server that is away"
    assert bench.ledger.unstored_counts()["pdq.hash"] == 20
    server.start()
    eventually(lambda: not bench.ledger.unstored_counts()["pdq.hash"], 90)
    eventually(lambda: bench.kinds()[-1:] == ["store-back"])
    assert len(writer.read_back("pdq.hash")[0]) == 79
    assert not (bench.state_dir / "chroma").exists(), "no store of ours in server mode"


def test_headers_come_from_the_credential(bench: Bench, eventually, tmp_path: Path) -> None:
    """A server that is not there: it is about what stands in the way before, and that the secret is in no message."""
    config = ChromaConfig(mode="server", url="http://127.0.0.1:9", headers_credential="chroma-headers")
    see(bench.ledger, range(1), PDQ)
    without = bench.writer(config, environ={})
    eventually(lambda: without.status().state is WriterState.WAITING)
    assert "no credential chroma-headers (LoadCredential=chroma-headers:" in without.status().detail
    (tmp_path / "chroma-headers").write_text("Authorization: Bearer very-secret\n")
    with_it = bench.writer(config, environ={"CREDENTIALS_DIRECTORY": str(tmp_path)})
    eventually(lambda: "connect" in with_it.status().detail.lower(), 60)
    assert "very-secret" not in with_it.status().detail
    assert not any("very-secret" in notice.text for notice in bench.notices)


def test_the_headers_reach_the_server_from_a_file(bench: Bench, eventually, tmp_path: Path) -> None:
    """A listener that notes what it is asked with, in place of the proxy that such a header is for."""
    path = tmp_path / "headers"
    path.write_text("Authorization: Bearer very-secret\n\nX-Team: photos\n")
    see(bench.ledger, range(1), PDQ)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(120)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        bench.writer(ChromaConfig(mode="server", url=url, headers_credential=str(path)))
        peer, _ = listener.accept()
        with peer:
            peer.settimeout(60)
            asked = b""
            while b"\r\n\r\n" not in asked and (got := peer.recv(4096)):
                asked += got
            peer.sendall(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    told = asked.lower().split(b"\r\n")
    assert b"authorization: bearer very-secret" in told
    assert b"x-team: photos" in told
    eventually(lambda: bench.notices, 60)
    assert not any("very-secret" in notice.text for notice in bench.notices)


@pytest.mark.parametrize(
    "line", ["very-secret", ": very-secret", "A b: very-secret", "A: very-secret\x00", "A: very-secr\u00e9t"]
)
def test_a_line_that_is_no_header_is_refused_without_being_quoted(tmp_path: Path, line: str) -> None:
    """The HTTP library would quote it in its error."""
    path = tmp_path / "headers"
    path.write_text(f"X-Team: photos\n{line}\n")
    with pytest.raises(StoreError, match="line 2 is no HTTP header") as caught:
        read_headers(str(path), {})
    assert "very" not in str(caught.value)


def test_a_server_that_lost_our_rows_gets_them_again_though_others_filled_it(
    bench: Bench, server: ChromaServer, stored, eventually
) -> None:
    config = ChromaConfig(mode="server", url=server.url, batch_rows=50)
    see(bench.ledger, range(30), PDQ)
    first = bench.writer(config)
    stored(bench, first)
    first.stop(60)
    shutil.rmtree(server.folder, ignore_errors=True)
    server.stop()
    shutil.rmtree(server.folder, ignore_errors=True)
    server.folder.mkdir()
    server.start()
    with closing(Bench(bench.state_dir.parent / "other")) as other:
        see(other.ledger, range(20, 25), PDQ)
        its = other.writer(config)
        eventually(lambda: its.status().state is WriterState.OPEN, 60)
        stored(other, its)
        see(bench.ledger, range(30, 31), PDQ)
        again = bench.writer(config)
        eventually(lambda: again.status().state is WriterState.OPEN, 60)
        stored(bench, again)
        ids, metadatas, _ = again.read_back("pdq.hash")
        ours, theirs = bench.ledger.meta("node"), other.ledger.meta("node")
        assert len(ids) == 31 + 5
        assert Counter(facts["node"] for facts in metadatas) == {ours: 31, theirs: 5}, "one collection, rows by node"


def test_what_is_dropped_on_a_server_is_ours_alone(bench: Bench, server: ChromaServer, stored) -> None:
    config = ChromaConfig(mode="server", url=server.url, batch_rows=50)
    with closing(Bench(bench.state_dir.parent / "other")) as other:
        for each, numbers in ((bench, range(10)), (other, range(5, 12))):
            see(each.ledger, numbers, PDQ)
            writer = each.writer(config)
            stored(each, writer)
        bench.close()
        with open_ledger(bench.state_dir) as ledger:
            (name,) = drop_collections(bench.state_dir, config, ledger, [(PDQ, 0)], {})
        assert name == f"pdq.hash-{PDQ.fingerprint()[:8]}"
        ids, metadatas, _ = writer.read_back("pdq.hash")
        assert len(ids) == 7
        assert {facts["node"] for facts in metadatas} == {other.ledger.meta("node")}


@pytest.mark.timeout(400)
def test_shards_are_filled_and_retried_each_by_itself(
    bench: Bench, server: ChromaServer, tmp_path: Path, eventually
) -> None:
    second = ChromaServer(tmp_path / "second")
    config = ChromaConfig(mode="server", urls=(server.url, second.url), batch_rows=10)
    low = {n for n in range(80) if digest_of(n)[0] < 128}
    see(bench.ledger, range(80), PDQ)
    writer = ShardedWriter(
        bench.state_dir, config, lambda: open_ledger(bench.state_dir), SystemClock(), bench.notices.append
    )
    try:
        writer.start()
        eventually(lambda: not sum(bench.ledger.unstored_counts().values()), 90)
        eventually(lambda: writer.status().state is WriterState.OPEN, 60)
        node = bench.ledger.meta("node")
        assert _ids_on(server, "s00of02") == {f"{node}-{digest_of(n).hex()[:32]}" for n in low}
        assert _ids_on(second, "s01of02") == {f"{node}-{digest_of(n).hex()[:32]}" for n in set(range(80)) - low}
        assert writer.status().spaces["pdq.hash"].rows == 80

        query = unit_rows(np.stack([row_of(n, PDQ) for n in (3, 4, 5, 6)]))
        found = writer.query("pdq.hash", query, 5)
        for number, near in zip((3, 4, 5, 6), found, strict=True):
            assert near[0][0] == f"{node}-{digest_of(number).hex()[:32]}"
            assert [one[1] for one in near] == sorted((one[1] for one in near), reverse=True)
            assert len(near) == 5

        server.kill()
        see(bench.ledger, range(80, 140), PDQ)
        bench.ledger.note_gone(path_of(min(low)))
        writer.poke()
        away = {n for n in range(80, 140) if digest_of(n)[0] < 128}
        eventually(lambda: bench.ledger.unstored_counts()["pdq.hash"] == len(away), 90)
        eventually(lambda: str(server.port) in writer.status().detail, 60)
        assert len(_ids_on(second, "s01of02")) == 140 - len(low) - len(away), "the other one has all of its own"
        eventually(lambda: writer.status().spaces["pdq.hash"].lag_rows == len(away), 60)
        server.start()
        eventually(lambda: not sum(bench.ledger.unstored_counts().values()), 120)
        eventually(lambda: len(_ids_on(server, "s00of02")) == len(low) + len(away) - 1, 60)
    finally:
        writer.stop(60)
        second.stop()


def test_the_marks_are_of_one_place(bench: Bench) -> None:
    """Another server, another number of them, or none: everything is stored there."""
    see(bench.ledger, range(3), PDQ)
    one, two = ("http://127.0.0.1:1", "http://127.0.0.1:2")
    places = [
        ChromaConfig(),
        ChromaConfig(mode="server", url=one),
        ChromaConfig(mode="server", urls=(one, two)),
        ChromaConfig(mode="server", urls=(two, one)),
        ChromaConfig(mode="server", url=one),
        ChromaConfig(mode="server", url=one, tenant="another"),
        ChromaConfig(),
    ]
    for number, config in enumerate(places):
        settle_place(bench.ledger, config)
        assert bench.ledger.unstored_counts() == {"pdq.hash": 3}
        bench.ledger.mark_stored("pdq.hash", [1, 2, 3])
        settle_place(bench.ledger, config)
        assert bench.ledger.unstored_counts() == {"pdq.hash": 0}, "nothing is stored twice at the next start"
        assert bench.ledger.space_generation("pdq.hash") == (number == len(places) - 1)


def _ids_on(server: ChromaServer, ending: str) -> set[str]:
    """The ids of the one collection on a server."""
    ((name, ids),) = server.contents().items()
    assert name == f"pdq.hash-{PDQ.fingerprint()[:8]}-{ending}"
    return ids
