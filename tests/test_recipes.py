"""The recipes for hooks, as they stand in the document, run by the daemon's own hooks thread against local stubs."""

from __future__ import annotations

import http.server
import json
import re
import shutil
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from deepdupe_daemon.act import Kind, Record
from deepdupe_daemon.config import HookConfig
from deepdupe_daemon.service.hooks import Hooks
from tests.conftest import PROJECT_ROOT

RECORD = Record(
    Kind.DUPLICATE_FOUND,
    'duplicate (re-encoded): /photos/"it\'s" $(touch owned) `x` é.jpg is a copy of /photos/old.jpg',
    {"PATH": b"/photos/caf\xe9.jpg", "VERDICT": "re-encoded"},
)


class Inbox(http.server.BaseHTTPRequestHandler):
    """Keeps what is posted."""

    posted: list[tuple[str, dict[str, str], bytes]] = []  # noqa: RUF012 - one server at a time, emptied by its fixture

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.posted.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Silent."""


@pytest.fixture
def server() -> Iterator[str]:
    Inbox.posted.clear()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Inbox) as started:
        thread = threading.Thread(target=started.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{started.server_address[1]}"
        started.shutdown()
        thread.join()


def recipe(name: str, folder: Path) -> Path:
    blocks = re.findall(r"```sh\n(.*?)```", (PROJECT_ROOT / "docs" / "hooks.md").read_text("utf-8"), re.DOTALL)
    (text,) = (block for block in blocks if f"# {name}:" in block)
    file = folder / name
    file.write_text(text)
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
    return file


def run(script: Path, environ: dict[str, str]) -> list[Record]:
    """Give RECORD to the script as the daemon would; the records of failures."""
    for tool in ("jq", "curl"):
        if tool in script.read_text() and shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    failures: list[Record] = []
    hook = HookConfig(command=(str(script),), events=("duplicate-found",))
    hooks = Hooks([hook], environ={"PATH": "/usr/bin:/bin", **environ}, report=failures.append)
    thread = threading.Thread(target=hooks.run)
    thread.start()
    hooks.emit(RECORD)
    hooks.stop()
    thread.join(60)
    assert not thread.is_alive()
    return failures


def stub(folder: Path) -> Path:
    """A program that writes its arguments and its input down."""
    file = folder / "stub"
    said = folder / "said"
    file.write_text(f'#!/bin/sh\nprintf "<%s>\\n" "$@" >"{said}"\ncat >>"{said}"\n')
    file.chmod(0o755)
    return file


def test_mail(tmp_path: Path) -> None:
    environ = {"SENDMAIL": str(stub(tmp_path)), "MAIL_TO": "me@example.org"}
    assert run(recipe("deepdupe-mail", tmp_path), environ) == []
    said = (tmp_path / "said").read_text("utf-8")
    assert said.startswith("<-t>\n<-i>\nTo: me@example.org\nSubject: deepdupe-daemon: duplicate-found\n")
    assert said.rstrip("\n").endswith(f"\n\n{RECORD.message}")


def test_ntfy(tmp_path: Path, server: str) -> None:
    assert run(recipe("deepdupe-ntfy", tmp_path), {"NTFY_URL": f"{server}/topic"}) == []
    ((path, headers, body),) = Inbox.posted
    assert (path, headers["title"]) == ("/topic", "duplicate-found")
    assert body.decode().rstrip("\n") == RECORD.message


def test_home_assistant(tmp_path: Path, server: str) -> None:
    environ = {"WEBHOOK_URL": f"{server}/api/webhook/deepdupe"}
    assert run(recipe("deepdupe-home-assistant", tmp_path), environ) == []
    ((path, headers, body),) = Inbox.posted
    assert path == "/api/webhook/deepdupe"
    assert headers["content-type"] == "application/json"
    assert json.loads(body)["path"] == "/photos/caf\\xe9.jpg"


def test_desktop(tmp_path: Path) -> None:
    assert run(recipe("deepdupe-desktop", tmp_path), {"NOTIFY_SEND": str(stub(tmp_path))}) == []
    said = (tmp_path / "said").read_text("utf-8").splitlines()
    assert said[-2:] == ["<duplicate-found>", f"<{RECORD.message}>"]


def test_a_list(tmp_path: Path) -> None:
    script = recipe("deepdupe-list", tmp_path)
    for _ in range(2):
        assert run(script, {"LIST": str(tmp_path / "events")}) == []
    lines = (tmp_path / "events").read_text().splitlines()
    assert [json.loads(line)["kind"] for line in lines if line] == ["duplicate-found"] * 2


def test_a_server_that_is_away_is_a_failure_that_is_told(tmp_path: Path) -> None:
    failures = run(recipe("deepdupe-ntfy", tmp_path), {"NTFY_URL": "http://127.0.0.1:9/topic"})
    assert [record.kind for record in failures] == [Kind.HOOK_FAILED]


def test_nothing_in_a_name_is_carried_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run(recipe("deepdupe-desktop", tmp_path), {"NOTIFY_SEND": str(stub(tmp_path))})
    assert not (tmp_path / "owned").exists()
