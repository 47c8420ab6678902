"""Server mode against a real `chroma run`: outages are waited out, and nobody's rows but ours are touched."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deepdupe_daemon.config import ChromaConfig
from deepdupe_daemon.index import WriterState
from tests.index.conftest import Bench
from tests.index.filling import PDQ, digest_of, path_of, see


class Server:
    """`chroma run` on a free port of the loopback."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.start()

    def start(self) -> None:
        chroma = os.path.join(os.path.dirname(sys.executable), "chroma")
        if not os.path.exists(chroma):
            pytest.skip("the chroma command is not installed")
        command = [chroma, "run", "--path", str(self.folder), "--host", "127.0.0.1", "--port", str(self.port)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=self.folder)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(30)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    (tmp_path / "server").mkdir()
    server = Server(tmp_path / "server")
    yield server
    server.stop()


def test_rows_reach_the_server_and_an_outage_is_waited_out(bench: Bench, server: Server, stored, eventually) -> None:
    config = ChromaConfig(mode="server", url=f"http://127.0.0.1:{server.port}", batch_rows=50)
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
