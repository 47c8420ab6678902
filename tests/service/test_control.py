"""The control socket: real sockets, good and bad askers."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from deepdupe_daemon.config import config_for_folders
from deepdupe_daemon.errors import ControlError
from deepdupe_daemon.service import protocol
from deepdupe_daemon.service.control import ControlServer
from deepdupe_daemon.service.control_client import ControlClient, socket_path


def _boom(_request: Mapping[str, Any]) -> dict[str, Any]:
    raise ControlError("not now", hint="later")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "run" / "control.sock"
    control = ControlServer(
        path, {"echo": lambda request: {"said": request["word"]}, "boom": _boom}, read_timeout_s=0.5
    )
    control.start()
    yield path
    control.stop()
    assert not path.exists(), "a stopped daemon leaves no socket that looks alive"


def ask(path: Path, raw: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(10)
        sock.connect(str(path))
        sock.sendall(raw)
        sock.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: sock.recv(65536), b""))


def test_an_operation_answers(server: Path) -> None:
    assert ControlClient(server).request("echo", word="hallo")["said"] == "hallo"


def test_the_socket_is_for_its_owner_alone(server: Path) -> None:
    assert server.stat().st_mode & 0o777 == 0o600


def test_a_refusal_reaches_the_asker_with_its_hint(server: Path) -> None:
    with pytest.raises(ControlError, match="not now") as refused:
        ControlClient(server).request("boom")
    assert refused.value.hint == "later"


def test_an_unknown_operation_and_another_version_are_refused(server: Path) -> None:
    with pytest.raises(ControlError, match="unknown operation 'nix'"):
        ControlClient(server).request("nix")
    assert b"speaks version 1" in ask(server, b'{"v": 99, "op": "echo"}\n')


@pytest.mark.parametrize(
    "raw",
    [b"", b"\n", b"nonsense\n", b"[1]\n", b'{"v": 1', b"\xff\xfe\n", b'"' * 70_000 + b"\n", b"[" * 100_000 + b"\n"],
)
def test_nonsense_is_hung_up_on_and_the_next_asker_is_answered(server: Path, raw: bytes) -> None:
    assert ask(server, raw) == b""
    assert ControlClient(server).request("echo", word="x")["ok"]


def test_an_asker_that_stays_silent_holds_nobody_up(server: Path) -> None:
    silent = [socket.socket(socket.AF_UNIX) for _ in range(8)]
    try:
        for sock in silent:
            sock.connect(str(server))
        assert ControlClient(server, timeout_s=30).request("echo", word="x")["ok"]
    finally:
        for sock in silent:
            sock.close()


def test_a_message_over_the_limit_is_refused_before_it_is_held(server: Path) -> None:
    endless = b'{"word": "' + b"x" * (8 * protocol.MAX_LINE_BYTES)
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        ask(server, endless)


def test_no_daemon_is_none_and_a_dead_ones_socket_too(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    config = config_for_folders([photos], state_dir=tmp_path / "state", environ={})
    assert ControlClient.find(config) is None
    path = socket_path(config)
    path.parent.mkdir(parents=True, exist_ok=True)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
    assert ControlClient.find(config) is None


@pytest.mark.parametrize("path", [b"/plain", b"/caf\xe9", b"/new\nline", b"/" + b"\xff" * 255])
def test_paths_travel_as_they_are(path: bytes) -> None:
    assert protocol.decode_path(protocol.encode_path(path)) == path


@pytest.mark.parametrize("text", ["", "cmVsYXRpdmU=", "LwAv", "not base64", 3, None])
def test_what_is_no_absolute_path_is_refused(text: object) -> None:
    with pytest.raises(ControlError):
        protocol.decode_path(text)
