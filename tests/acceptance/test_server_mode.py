"""Two daemons on one Chroma server that is killed while they index: nobody waits for it, and it gets everything."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from deepdupe_daemon.clock import SystemClock
from deepdupe_daemon.config import load_config
from deepdupe_daemon.ledger import Ledger
from deepdupe_daemon.model import FileState
from deepdupe_daemon.service import ControlClient
from tests.acceptance.daemon import PROGRAM, counts
from tests.conftest import Eventually
from tests.index.chroma_server import ChromaServer
from tests.service.pictures import photo, save

pytestmark = pytest.mark.timeout(600)

PATIENCE_S = 120
PICTURES = 12  # in each step and folder, each with one copy


class Node:
    """One machine: a folder, a state dir, and `run --config` as a process."""

    def __init__(self, folder: Path, url: str, project_root: Path) -> None:
        self.photos, self.state = folder / "photos", folder / "state"
        self.photos.mkdir(parents=True)
        self.config = folder / "config.yaml"
        self.config.write_text(
            f"roots:\n  - path: {self.photos}\nstate_dir: {self.state}\nruntime_dir: {self.state}\n"
            f"chroma:\n  mode: server\n  url: {url}\n  batch_rows: 5\nalerts:\n  to: stderr\n"
        )
        with (folder / "said").open("wb") as said:
            self.process = subprocess.Popen(
                [*PROGRAM, "run", "--config", str(self.config)],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                cwd=project_root,
                start_new_session=True,
            )

    def plant(self, first: int) -> None:
        for number in range(first, first + PICTURES):
            path = save(photo(number, (192, 144)), self.photos / f"{number}.png")
            shutil.copy(path, self.photos / f"{number}-copy.png")

    def indexed(self) -> int:
        return counts(self.state)[FileState.INDEXED]

    def behind(self) -> int:
        with Ledger.open(self.state, SystemClock(), readonly=True) as ledger:
            return sum(ledger.unstored_counts().values())

    def duplicates(self) -> int:
        with Ledger.open(self.state, SystemClock(), readonly=True) as ledger:
            return sum(1 for _ in ledger.duplicates())

    def row_ids(self) -> set[str]:
        """What the server should have of this node."""
        with Ledger.open(self.state, SystemClock(), readonly=True) as ledger:
            node = ledger.meta("node")
            (space,) = ledger.spaces()
            ids = [int(i) for chunk, _ in ledger.vectors(space.name) for i in chunk]
            images = [ledger.image(i) for i in ids]
            return {f"{node}-{image.digest.hex()[:32]}" for image in images if image is not None}

    def chroma(self) -> dict:
        client = ControlClient.find(load_config(self.config))
        assert client is not None
        return client.request("status")["chroma"]

    def lag(self) -> int:
        """How far the server is behind, as `status` says it."""
        return sum(space["lag_rows"] for space in self.chroma()["spaces"].values())

    def kill(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


def test_two_daemons_go_on_while_their_server_is_killed_and_it_catches_up(
    tmp_path: Path, project_root: Path, eventually: Eventually
) -> None:
    server = ChromaServer(tmp_path / "server")
    nodes = [Node(tmp_path / name, server.url, project_root) for name in ("one", "two")]

    def stored_on_server() -> set[str]:
        (ids,) = server.contents().values()
        return ids

    try:
        nodes[0].plant(0)
        nodes[1].plant(0)  # the same pictures: each node has rows of its own for them
        for node in nodes:
            eventually(lambda node=node: node.indexed() > 4 and node.behind() < node.indexed(), PATIENCE_S)
        server.kill()  # in the midst of things
        for number, node in enumerate(nodes):
            node.plant(100 * (number + 1))
        for node in nodes:
            eventually(lambda node=node: node.indexed() == 4 * PICTURES, PATIENCE_S, every_s=0.1)
            assert node.duplicates() == 2 * PICTURES, "verdicts wait for no server"
            eventually(lambda node=node: node.chroma()["state"] == "waiting", PATIENCE_S, every_s=0.1)
            assert node.behind() > 0
            eventually(lambda node=node: node.lag() == node.behind(), PATIENCE_S, every_s=0.1)
        server.start()
        for node in nodes:
            eventually(lambda node=node: node.behind() == 0, PATIENCE_S, every_s=0.1)
        wanted = nodes[0].row_ids() | nodes[1].row_ids()
        assert len(wanted) == 4 * PICTURES
        assert stored_on_server() == wanted, "nothing is missing, and nothing is there that is nobody's"

        before = nodes[1].row_ids()
        (nodes[1].photos / "0.png").unlink()
        (nodes[1].photos / "0-copy.png").unlink()
        eventually(lambda: len(before - nodes[1].row_ids()) == 1, PATIENCE_S, every_s=0.1)
        save(photo(300, (192, 144)), nodes[1].photos / "300.png")  # what is gone leaves with the next round
        eventually(lambda: nodes[1].row_ids() - before, PATIENCE_S, every_s=0.1)
        wanted = nodes[0].row_ids() | nodes[1].row_ids()
        assert len(wanted) == 4 * PICTURES, "a picture that one lost the other still has"
        eventually(lambda: stored_on_server() == wanted, PATIENCE_S, every_s=0.1)
    finally:
        for node in nodes:
            node.kill()
        server.stop()
