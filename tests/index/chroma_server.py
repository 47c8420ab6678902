"""`chroma run`, the server as others run it, on a free port of the loopback."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

__all__ = ["ChromaServer"]


class ChromaServer:
    """One process on `folder`. It may be stopped or killed, and started again on the same port."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        chroma = os.path.join(os.path.dirname(sys.executable), "chroma")
        if not os.path.exists(chroma):
            pytest.skip("the chroma command is not installed")
        command = [chroma, "run", "--path", str(self.folder), "--host", "127.0.0.1", "--port", str(self.port)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=self.folder)

    def contents(self) -> dict[str, set[str]]:
        """The ids in each collection, by its name, as any other program reads them: over HTTP."""
        collections = self._ask("collections")
        return {
            each["name"]: set(self._ask(f"collections/{each['id']}/get", {"include": []})["ids"])
            for each in collections
        }

    def _ask(self, what: str, body: object = None) -> Any:
        url = f"{self.url}/api/v2/tenants/default_tenant/databases/default_database/{what}"
        data = None if body is None else json.dumps(body).encode()
        asked = urllib.request.Request(url, data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(asked, timeout=60) as answer:
            return json.load(answer)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(30)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(30)
