"""A Hugging Face hub on this machine, as far as its client asks: listings, metadata, ranges, gates, broken lines."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

COMMIT = "c" * 40


class Hub:
    """Serves `files` (name -> bytes) of one repository. Names ending in .safetensors are large files with a digest."""

    def __init__(self, repo: str, files: Mapping[str, bytes]) -> None:
        self.repo = repo
        self.files = dict(files)
        self.answer_with: int | None = None  # a status that every request gets
        self.gated = False
        self.token = "hf_right"
        self.stated_sha256: dict[str, str] = {}  # where the host states another digest than the bytes have
        self.stated_size: dict[str, int] = {}
        self.breaks_after: int | None = None  # bytes of a large file, once
        self.halts_after: int | None = None  # bytes of a large file, until `goes_on` is set
        self.goes_on = threading.Event()
        self.cdn: str | None = None  # address of another host that has the large files
        self.requests: list[tuple[str, str, str | None]] = []  # method, path, Range
        self.tokens: set[str] = set()  # that it was shown
        hub = self

        class Handler(_Handler):
            pass

        Handler.hub = hub
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self.goes_on.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    def sha256(self, name: str) -> str:
        return self.stated_sha256.get(name, hashlib.sha256(self.files[name]).hexdigest())

    def listing(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        for name, body in self.files.items():
            size = self.stated_size.get(name, len(body))
            row = {"rfilename": name, "path": name, "type": "file", "size": size, "oid": hashlib.sha1(body).hexdigest()}
            if name.endswith(".safetensors"):
                row["lfs"] = {"sha256": self.sha256(name), "oid": self.sha256(name), "size": size, "pointerSize": 130}
            rows.append(row)
        return rows


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        hub, path = self.hub, unquote(self.path.split("?")[0])
        hub.requests.append((self.command, path, self.headers.get("Range")))
        hub.tokens.update((self.headers.get("Authorization") or "").removeprefix("Bearer ").split())
        if hub.answer_with is not None:
            self._reply(hub.answer_with, b"{}")
        elif path.startswith(f"/api/models/{hub.repo}"):
            body: object = hub.listing()
            if "/tree/" not in path:
                body = {"id": hub.repo, "sha": COMMIT, "siblings": hub.listing()}
            self._reply(200, json.dumps(body).encode(), {"Content-Type": "application/json"})
        elif hub.gated and self.headers.get("Authorization") != f"Bearer {hub.token}":
            self._reply(403 if self.headers.get("Authorization") else 401, b"{}", {"X-Error-Code": "GatedRepo"})
        elif path.rsplit("/", 1)[-1] in hub.files:
            self._file(path.rsplit("/", 1)[-1])
        else:
            self._reply(404, b"{}", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})

    def _file(self, name: str) -> None:
        body = self.hub.files[name]
        etag = self.hub.sha256(name) if name.endswith(".safetensors") else hashlib.sha1(body).hexdigest()
        headers = {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        if self.hub.cdn is not None and name.endswith(".safetensors"):
            linked = {"X-Linked-ETag": headers["ETag"], "X-Linked-Size": str(len(body))}
            self._reply(302, b"", {**headers, **linked, "Location": f"{self.hub.cdn}/{name}?signature=secret"})
            return
        start, status = 0, 200
        if ranged := self.headers.get("Range"):
            start, status = int(ranged.removeprefix("bytes=").split("-")[0]), 206
            if start >= len(body):
                self._reply(416, b"", {"Content-Range": f"bytes */{len(body)}"})
                return
            headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
        halts = self.hub.halts_after
        if halts is not None and self.command == "GET" and len(body) - start > halts:
            self.hub.halts_after = None
            self._reply(status, body[start : start + halts], headers, length=len(body) - start)
            self.hub.goes_on.wait()
            self.close_connection = True
            return
        breaks, sent = self.hub.breaks_after, body[start:]
        if breaks is not None and self.command == "GET" and len(sent) > breaks:
            self.hub.breaks_after = None
            self._reply(status, sent[:breaks], headers, length=len(sent))
            self.close_connection = True
            return
        self._reply(status, sent, headers)

    def _reply(
        self, status: int, body: bytes, headers: Mapping[str, str] | None = None, length: int | None = None
    ) -> None:
        self.send_response(status)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
