"""`review`: who is let in, what is answered, and the whole circle in a real browser."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from selenium.webdriver import Chrome

from deepdupe_daemon.clock import SystemClock
from deepdupe_daemon.ledger import ActionState, Ledger
from tests.cli.conftest import Deepdupe, command, deepdupe, environment  # noqa: F401 - the fixtures
from tests.cli.pictures import save
from tests.conftest import Eventually
from tests.page.circle import ARRIVING, KEPT, LEFT, assert_decided, decide


@dataclass(frozen=True)
class Reviewed:
    """A served page: its address, and a way to ask without a browser."""

    address: str

    @property
    def host(self) -> str:
        return urlsplit(self.address).netloc

    @property
    def path(self) -> str:
        return urlsplit(self.address).path

    def ask(self, path: str, *, method: str = "GET", body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
        status, _, answer = self.answer(path, method=method, body=body, **headers)
        return status, answer

    def answer(
        self, path: str, *, method: str = "GET", body: bytes | None = None, **headers: str
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        connection = http.client.HTTPConnection(self.host, timeout=60)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, sent)
        answer = connection.getresponse()
        found = (answer.status, answer.headers, answer.read())
        connection.close()
        return found

    def guard(self) -> str:
        _, page = self.ask(self.path)
        found = re.search(rb'"guard":"([^"]+)"', page)
        assert found is not None
        return found[1].decode()

    def act(self, verdict: str, what: str = "not-duplicate", **headers: str) -> tuple[int, dict[str, Any]]:
        given = {"content_type": "application/json", "x_deepdupe": self.guard(), **headers}
        body = json.dumps({"do": what, "verdict": verdict}).encode()
        status, answer = self.ask(f"{self.path}act", method="POST", body=body, **given)
        return status, json.loads(answer)


@contextmanager
def served(command: list[str], environment: dict[str, str], *arguments: str) -> Iterator[Reviewed]:  # noqa: F811
    process = subprocess.Popen(
        [*command, "review", *arguments], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert address.startswith("http://"), process.stderr.read() if process.stderr is not None else ""
        yield Reviewed(address)
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)


COMMAND = [sys.executable, "-m", "deepdupe_daemon"]


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state dir that knows one picture with a re-encoded copy. Not to be changed."""
    folder = tmp_path_factory.mktemp("once")
    (folder / "photos").mkdir()
    save(1, folder / "photos" / "a.jpg")
    save(1, folder / "photos" / "b.jpg", quality=70)
    scan = [*COMMAND, "scan", str(folder / "photos"), "--state-dir", str(folder / "s")]
    assert subprocess.run(scan, capture_output=True, check=False, timeout=250).returncode == 1
    return folder / "s"


@pytest.fixture(scope="module")
def page(once: Path) -> Iterator[Reviewed]:
    """It, served."""
    with served(COMMAND, dict(os.environ), "--state-dir", str(once)) as found:
        yield found


@pytest.fixture
def state(once: Path, tmp_path: Path) -> Path:
    """The same, to be changed."""
    shutil.copytree(once, tmp_path / "s")
    return tmp_path / "s"


def test_whoever_knows_the_address_is_let_in_and_nobody_else(page: Reviewed) -> None:
    assert page.ask(page.path)[0] == 200
    token = page.path.strip("/")
    for path in ("/", "/groups.json", f"/{token}", f"/{token[:-1]}/", f"/{token}x/", "/x/", f"//{token}/", "/%2e/"):
        assert page.ask(path) == (404, b""), path
    for host in (
        "evil.example",
        "evil.example:80",
        "127.0.0.1.evil.example",
        "192.168.0.1",
        "",
        "127.0.0.1@evil.example:1",
    ):
        assert page.ask(page.path, host=host)[0] in (400, 404), host
    for host in ("localhost", "localhost:8080", "127.0.0.1:9", "[::1]:80"):
        assert page.ask(page.path, host=host)[0] == 200, host


def test_every_answer_has_the_headers_that_keep_others_out(page: Reviewed) -> None:
    for path in (page.path, "/", f"{page.path}thumb/none.jpg"):
        _, headers, _ = page.answer(path)
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == "no-store"
        assert "access-control-allow-origin" not in headers
        assert "server" not in headers


def test_groups_and_pictures_are_given_to_the_page(page: Reviewed) -> None:
    assert page.ask(f"{page.path}groups.json")[0] == 403
    status, answer = page.ask(f"{page.path}groups.json", x_deepdupe=page.guard())
    (group,) = json.loads(answer)["groups"]
    assert (status, group["copies"][0]["class"]) == (200, "re-encoded")
    for name in (
        f"thumb/{group['keeper']['thumb']}",
        f"thumb/large-{group['keeper']['thumb']}",
        f"heat/{group['copies'][0]['heat']}",
    ):
        status, headers, picture_bytes = page.answer(f"{page.path}{name}")
        assert (status, headers["content-type"]) == (200, "image/jpeg")
        assert picture_bytes.startswith(b"\xff\xd8\xff")
    for name in ("thumb/none.jpg", "heat/v999.jpg", "thumb/../../etc/passwd", "thumb/%2e%2e%2fetc%2fpasswd", "large/x"):
        assert page.ask(f"{page.path}{name}")[0] == 404


@pytest.mark.parametrize(
    "headers",
    [
        {"x_deepdupe": ""},
        {"x_deepdupe": "guessed"},
        {"content_type": "text/plain"},
        {"content_type": "application/x-www-form-urlencoded"},
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://["},
        {"sec_fetch_site": "cross-site"},
    ],
)
def test_another_sites_page_cannot_act(page: Reviewed, once: Path, headers: dict[str, str]) -> None:
    assert page.act("v1", **headers)[0] == 403
    with Ledger.open(once, SystemClock(), readonly=True) as ledger:
        assert len(list(ledger.duplicates())) == 1


def test_nonsense_is_refused(page: Reviewed) -> None:
    assert page.act("v1", "purge")[0] == 400
    assert page.act("v1", "accept")[0] == 400, "no folder here is to be quarantined from"
    for verdict in ("v99", "v", "", "x1", "v-1", "v" + "9" * 30, "v1 OR 1=1"):
        status, answer = page.act(verdict)
        assert (status, answer["said"]) == (409, "this verdict no longer stands (load the page again)")
    given = {"content_type": "application/json", "x_deepdupe": page.guard()}
    for body in (b"", b"[]", b"{", b'{"do": 1, "verdict": 2}', b"x" * 10_000, b"[" * 4000):
        assert page.ask(f"{page.path}act", method="POST", body=body, **given)[0] == 400
    assert page.ask(f"{page.path}act")[0] == 404 or page.ask(f"{page.path}act")[0] == 405


def test_not_a_duplicate_is_remembered(state: Path) -> None:
    with served(COMMAND, dict(os.environ), "--state-dir", str(state)) as page:
        assert page.act("v1") == (200, {"said": "remembered"})
        assert page.act("v1")[0] == 409
    with Ledger.open(state, SystemClock(), readonly=True) as ledger:
        assert list(ledger.duplicates()) == []
        row = ledger.verdict(1)
        assert row is not None
        assert ledger.is_not_duplicate(row.verdict.duplicate_digest, row.verdict.keeper_digest)


def test_another_keeper_is_chosen_and_stays_chosen(once: Path, state: Path) -> None:
    with served(COMMAND, dict(os.environ), "--state-dir", str(state)) as page:
        status, answer = page.act("v1", "keep")
        assert (status, answer["said"]) == (200, "chosen; the group is judged again")
        assert page.act("v1", "keep")[0] == 409
    photos = once.parent / "photos"
    for _ in range(2):  # also where it is all walked through again
        scan = [*COMMAND, "scan", str(photos), "--state-dir", str(state)]
        assert subprocess.run(scan, capture_output=True, check=False, timeout=250).returncode == 1
        with Ledger.open(state, SystemClock(), readonly=True) as ledger:
            (row,) = ledger.duplicates()
            assert (row.duplicate_now, row.keeper_now) == (os.fsencode(photos / "a.jpg"), os.fsencode(photos / "b.jpg"))
            assert row.verdict.keeper_rule == "chosen"
            assert row.verdict.verdict_class == "re-encoded"


def test_a_unix_socket_is_this_users_alone(once: Path, tmp_path: Path) -> None:
    place = tmp_path / "r.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(place))
    with served(COMMAND, dict(os.environ), "--state-dir", str(once), "--socket", str(place)) as found:
        assert stat.S_IMODE(place.stat().st_mode) == 0o600
        with socket.socket(socket.AF_UNIX) as asked:
            asked.settimeout(60)
            asked.connect(str(place))
            asked.sendall(f"GET {found.path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n".encode())
            assert asked.recv(4096).startswith(b"HTTP/1.1 200")


def test_mistakes_are_told(deepdupe: Deepdupe, once: Path, tmp_path: Path) -> None:  # noqa: F811
    assert deepdupe("review", "--state-dir", once, "--port", "99999").code == 78
    (tmp_path / "file").write_text("mine")
    refused = deepdupe("review", "--state-dir", once, "--socket", tmp_path / "file")
    assert refused.code == 1
    assert "cannot listen" in refused.err
    assert (tmp_path / "file").read_text() == "mine"
    assert deepdupe("review", "--state-dir", tmp_path / "none").code == 78


def test_the_whole_circle(
    browser: Chrome,
    command: list[str],  # noqa: F811
    environment: dict[str, str],  # noqa: F811
    tmp_path: Path,
    eventually: Eventually,
) -> None:
    """A daemon runs, copies arrive and are quarantined, the page shows them; one is restored, another is marked, and
    records, ledger and folders agree. `tests/systemd/test_whole_circle.py` is the same over a real systemd and journal.
    """
    photos, copies = tmp_path / "photos", tmp_path / "copies"
    photos.mkdir()
    copies.mkdir()
    for number, name in KEPT.items():
        save(number, photos / name)
    config = tmp_path / "c.yaml"
    config.write_text(
        f"roots:\n  - path: {photos}\n    action: protected\n  - path: {copies}\n    action: quarantine\n"
        f"judge:\n  bundle_wait_s: 0\nstate_dir: {tmp_path / 's'}\nalerts:\n  to: stderr\n"
    )
    log = tmp_path / "log"
    with open(log, "wb") as told:
        daemon = subprocess.Popen([*command, "run", "--config", str(config)], env=environment, stderr=told)
    try:
        eventually(lambda: "ready" in log.read_text() or daemon.poll(), 120, every_s=0.2)
        for name, write in ARRIVING.items():
            write(copies / name)
        eventually(lambda: found_actions(tmp_path / "s", 2), 180, every_s=0.2)
        eventually(lambda: all(name in log.read_text() for name in ARRIVING), 120, every_s=0.2)
        assert sorted(os.listdir(copies)) == [".deepdupe-quarantine", "mirrored3.jpg", "mirrored4.jpg"]
        with served(command, environment, "--config", str(config)) as found:
            decide(browser, found.address, copies, eventually)
        with Ledger.open(tmp_path / "s", SystemClock(), readonly=True) as ledger:
            assert_decided(ledger, os.fsencode(copies))
        eventually(lambda: log.read_text().count("restored") >= 1, 60)
        assert daemon.poll() is None
    finally:
        daemon.send_signal(signal.SIGTERM)
        daemon.wait(120)
    assert sorted(os.listdir(copies)) == LEFT


def found_actions(state_dir: Path, count: int) -> list[Any]:
    with Ledger.open(state_dir, SystemClock(), readonly=True) as ledger:
        rows = list(ledger.actions(states=[ActionState.QUARANTINED]))
    return rows if len(rows) == count else []
