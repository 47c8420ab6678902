"""The control socket: real sockets, good and bad askers."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deepdupe_daemon.clock import ManualClock, SystemClock
from deepdupe_daemon.config import config_for_folders
from deepdupe_daemon.errors import ControlError
from deepdupe_daemon.service import control, protocol
from deepdupe_daemon.service.control import ControlServer
from deepdupe_daemon.service.control_client import ControlClient, socket_path
from deepdupe_daemon.service.peer import Peer, check_peer, own_group, peer_of


def _boom(_request: Mapping[str, Any]) -> dict[str, Any]:
    raise ControlError("not now", hint="later")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "run" / "control.sock"
    server = ControlServer(path, {"echo": lambda request: {"said": request["word"]}, "boom": _boom}, read_timeout_s=0.5)
    server.start()
    yield path
    server.stop()
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


def test_the_socket_is_for_its_owner_and_that_owners_own_group_alone(server: Path) -> None:
    assert server.stat().st_mode & 0o777 == (0o660 if own_group() is not None else 0o600)


@pytest.mark.parametrize(
    ("peer", "group", "allowed"),
    [
        (Peer(0, 0, frozenset()), None, True),
        (Peer(1000, 1000, frozenset()), None, True),
        (Peer(1001, 1001, frozenset()), None, False),
        (Peer(1001, 1001, frozenset({1000})), None, False),
        (Peer(1001, 1001, frozenset({1000})), 1000, True),
        (Peer(1001, 1000, frozenset()), 1000, True),
        (Peer(65534, 65534, frozenset({65534})), 1000, False),
    ],
)
def test_who_may_ask(peer: Peer, group: int | None, allowed: bool) -> None:
    if allowed:
        check_peer(peer, 1000, group)
    else:
        with pytest.raises(ControlError, match=f"user {peer.uid} may not control"):
            check_peer(peer, 1000, group)


def test_the_kernel_says_who_asks() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        peer = peer_of(ours)
    assert (peer.uid, peer.gid) == (os.geteuid(), os.getegid())
    assert peer.groups == frozenset(os.getgroups())


def test_a_stranger_is_refused_before_a_byte_is_read(server: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "peer_of", lambda _connection: Peer(4242, 4242, frozenset()))
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(60)
        sock.connect(str(server))
        assert b"user 4242 may not control" in sock.recv(65536)


def test_a_request_has_to_arrive_as_a_whole_in_time(server: Path) -> None:
    """One byte now and then keeps no connection open for longer."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(60)
        sock.connect(str(server))
        never = threading.Event()
        with pytest.raises(OSError, match=r"pipe|reset"):  # noqa: PT012 - which of the bytes is one too many is not known
            for byte in b"{" * 1000:
                sock.sendall(bytes([byte]))
                never.wait(0.05)


def test_who_asks_too_often_waits_and_is_answered(tmp_path: Path) -> None:
    server = ControlServer(tmp_path / "s", {"echo": lambda _request: {}}, rate_per_s=100.0)
    server.start()
    try:
        began_s = SystemClock().monotonic_s()
        assert all(ControlClient(tmp_path / "s").request("echo")["ok"] for _ in range(90))
        assert SystemClock().monotonic_s() - began_s >= (90 - control.BURST - 5) / 100.0
    finally:
        server.stop()


def test_who_sends_much_has_the_next_one_wait(tmp_path: Path) -> None:
    """A few large messages cost as much as many small ones, and count as such."""
    clock = ManualClock()
    server = ControlServer(tmp_path / "s", {"echo": lambda _request: {}}, clock=clock, rate_per_s=1000.0)
    server.start()
    try:
        large = "x" * int(control.BYTES_AS_ONE * (control.BURST + 5))
        assert ControlClient(tmp_path / "s").request("echo", word=large)["ok"]
        assert ControlClient(tmp_path / "s").request("echo")["ok"], "its place was kept before the large one came"
        with pytest.raises(ControlError, match="no answer"):  # the clock stands still
            ControlClient(tmp_path / "s", timeout_s=0.5).request("echo")
        clock.advance(1.0)
        assert ControlClient(tmp_path / "s", timeout_s=60).request("echo")["ok"]
    finally:
        server.stop()


def test_a_client_waits_for_its_turn_where_many_ask(tmp_path: Path) -> None:
    """The listen queue is full: that is no reason to give up, and the wait ends in time where nobody answers."""
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(0)
        others = [socket.socket(socket.AF_UNIX)]
        others[0].connect(path)
        try:
            with pytest.raises(ControlError, match="no answer to `status` within"):
                ControlClient(tmp_path / "s", timeout_s=0.3).request("status")
            answers: list[dict[str, Any]] = []
            asker = threading.Thread(
                target=lambda: answers.append(ControlClient(tmp_path / "s", timeout_s=60).request("status"))
            )
            asker.start()
            listener.accept()[0].close()
            connection, _address = listener.accept()
            with connection:
                assert connection.recv(65536).endswith(b"\n")
                connection.sendall(b'{"ok": true}\n')
            asker.join(60)
            assert answers == [{"ok": True}]
        finally:
            for each in others:
                each.close()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    raw=st.one_of(
        st.binary(max_size=300),
        st.binary(max_size=300).map(lambda raw: raw + b"\n"),
        JSON.map(lambda value: json.dumps(value).encode() + b"\n"),
        st.fixed_dictionaries({"v": st.just(1), "op": st.sampled_from(["echo", "boom", "add", "x"]), "word": JSON}).map(
            lambda value: json.dumps(value).encode() + b"\n"
        ),
    )
)
def test_whatever_is_sent_the_next_asker_is_answered(fuzzed: Path, raw: bytes) -> None:
    answer = ask(fuzzed, raw)
    assert answer == b"" or json.loads(answer)["ok"] in (True, False)
    assert ControlClient(fuzzed).request("echo", word="still here")["said"] == "still here"


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("fuzz") / "s"
    operations = {
        "echo": lambda request: {"said": request["word"]},
        "boom": _boom,
        "add": lambda request: {"sum": 1 + request["word"]},
    }
    server = ControlServer(path, operations, rate_per_s=1e6)
    server.start()
    yield path
    server.stop()


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


def test_a_status_is_answered_while_every_other_thread_is_busy(tmp_path: Path) -> None:
    busy, release = threading.Semaphore(0), threading.Event()

    def check(_request: Mapping[str, Any]) -> dict[str, Any]:
        busy.release()
        release.wait(60)
        return {}

    server = ControlServer(tmp_path / "s", {"check": check, "status": lambda _request: {"here": True}})
    server.start()
    askers = [
        threading.Thread(target=ControlClient(tmp_path / "s").request, args=("check",))
        for _ in range(control.ANSWERING_THREADS + 2)
    ]
    try:
        for asker in askers:
            asker.start()
        for _ in range(control.ANSWERING_THREADS):
            assert busy.acquire(timeout=60)
        assert ControlClient(tmp_path / "s", timeout_s=60).request("status")["here"]
    finally:
        release.set()
        for asker in askers:
            asker.join()
        server.stop()


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
