"""What systemd hears, on a real datagram socket."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from deepdupe_daemon.clock import ManualClock, SystemClock
from deepdupe_daemon.service.notify import Notifier
from deepdupe_daemon.service.starting import long_step


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.settimeout(5)
        yield sock


def test_every_state_arrives_as_the_protocol_says(manager: socket.socket, tmp_path: Path) -> None:
    notifier = Notifier(str(tmp_path / "notify"))
    notifier.ready("indexing 5 of 9")
    assert manager.recv(4096) == b"READY=1\nSTATUS=indexing 5 of 9"
    notifier.status("a\nb")
    assert manager.recv(4096) == b"STATUS=a b"
    notifier.stopping("bye")
    assert manager.recv(4096) == b"STOPPING=1\nSTATUS=bye"
    notifier.alive()
    assert manager.recv(4096) == b"WATCHDOG=1"
    notifier.extend_start(1.5)
    assert manager.recv(4096) == b"EXTEND_TIMEOUT_USEC=1500000"


def test_an_abstract_address_works() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind("\0deepdupe-notify-test")
        sock.settimeout(5)
        Notifier("@deepdupe-notify-test").alive()
        assert sock.recv(64) == b"WATCHDOG=1"


def test_without_a_manager_nothing_happens() -> None:
    Notifier(None).ready("x")


@pytest.mark.parametrize("address", ["/nonexistent/notify", "@nobody-listens-here", "vsock:2:1234", "/" + "x" * 300])
def test_a_manager_that_is_gone_ends_no_daemon(address: str) -> None:
    """A shell or a terminal multiplexer that a service once started hands its NOTIFY_SOCKET on for ever."""
    Notifier(address).ready("x")


def test_a_reload_carries_its_moment(manager: socket.socket, tmp_path: Path) -> None:
    Notifier(str(tmp_path / "notify")).reloading("reading", 12.5)
    assert manager.recv(4096) == b"RELOADING=1\nMONOTONIC_USEC=12500000\nSTATUS=reading"


def test_a_long_step_asks_for_time_until_it_is_over(manager: socket.socket, tmp_path: Path) -> None:
    with long_step(Notifier(str(tmp_path / "notify")), SystemClock(), "opening", until_s=float("inf")):
        assert manager.recv(4096) == b"STATUS=opening"
        assert manager.recv(4096) == b"EXTEND_TIMEOUT_USEC=60000000"
    manager.setblocking(False)
    with pytest.raises(BlockingIOError):
        manager.recv(4096)


def test_a_long_step_asks_again_and_not_for_ever(manager: socket.socket, tmp_path: Path) -> None:
    clock = ManualClock()  # it waits by moving on
    with long_step(Notifier(str(tmp_path / "notify")), clock, "opening", until_s=31.0):
        said = [manager.recv(4096) for _ in range(4)]
        assert said[1:] == [b"EXTEND_TIMEOUT_USEC=60000000"] * 3
    manager.setblocking(False)
    with pytest.raises(BlockingIOError):
        manager.recv(4096)


def test_what_no_encoding_takes_is_escaped(manager: socket.socket, tmp_path: Path) -> None:
    Notifier(str(tmp_path / "notify")).status("caf\udce9")
    assert manager.recv(4096) == b"STATUS=caf\\udce9"


@pytest.mark.parametrize(
    ("environ", "interval_s"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "3000000"}, 3.0),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "42"}, 3.0),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "43"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
    ],
)
def test_the_watchdogs_interval_is_read_for_this_process_alone(
    environ: dict[str, str], interval_s: float | None
) -> None:
    assert Notifier.from_environment(environ, 42).watchdog_interval_s == interval_s
