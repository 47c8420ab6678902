"""Hooks: real commands, given real records, killed in time, and never in anybody's way."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deepdupe_daemon.act import Kind, Record, notice_record
from deepdupe_daemon.config import HOOK_EVENTS, HookConfig
from deepdupe_daemon.service.hooks import Hooks

Eventually = Callable[..., object]


@pytest.fixture
def program(tmp_path: Path) -> Callable[[str], str]:
    """A program of these lines of Python."""

    def write(text: str) -> str:
        path = tmp_path / f"hook-{len(list(tmp_path.iterdir()))}"
        path.write_text(f"#!{sys.executable}\nimport json, os, sys, time\n{text}\n")
        path.chmod(0o700)
        return str(path)

    return write


def hook(*command: str, events: tuple[str, ...] = ("quarantined",), timeout_s: float = 60.0) -> HookConfig:
    return HookConfig.model_validate({"command": command, "events": events, "timeout_s": timeout_s})


@contextmanager
def running(*hooks: HookConfig, environ: dict[str, str] | None = None, most: int = 1000) -> Iterator[Running]:
    told: list[Record] = []
    made = Hooks(hooks, environ=environ or {"PATH": "/usr/bin:/bin"}, report=told.append, most_waiting=most)
    thread = threading.Thread(target=made.run)
    thread.start()
    try:
        yield Running(made, told, thread)
    finally:
        made.stop()
        thread.join(60)
        made.abandon()
        thread.join(60)
        assert not thread.is_alive()


class Running:
    def __init__(self, hooks: Hooks, told: list[Record], thread: threading.Thread) -> None:
        self.hooks, self.told, self.thread = hooks, told, thread


def moved(path: bytes = b"/a.jpg") -> Record:
    return notice_record(Kind.QUARANTINED, "moved", path=path)


def test_every_event_is_a_kind_of_record() -> None:
    assert set(HOOK_EVENTS) <= {kind.slug for kind in Kind}
    assert Kind.HOOK_FAILED.slug not in HOOK_EVENTS, "a failing hook must not be called for its own failure"


def test_a_command_gets_the_record_and_only_its_events(tmp_path: Path, program: Callable[[str], str]) -> None:
    command = program(
        f"open({str(tmp_path / 'got')!r}, 'ab').write(sys.argv[1].encode() + b' ' + sys.stdin.buffer.read())"
    )
    with running(hook(command, "$(id); x y")) as here:
        here.hooks.emit(notice_record(Kind.RESTORED, "back"))
        here.hooks.emit(moved(b"/caf\xe9 '\n.jpg"))
    word, _, given = (tmp_path / "got").read_bytes().partition(b" {")
    assert word == b"$(id); x y", "no shell has read the arguments"
    record = json.loads(b"{" + given)
    assert (record["kind"], record["message"]) == ("quarantined", "moved")
    assert record["path_b64"]
    assert given.count(b"\n") == 1
    assert here.told == []


def test_a_failing_a_missing_and_a_slow_command_are_told_and_the_next_ones_run(
    tmp_path: Path, program: Callable[[str], str]
) -> None:
    hooks = [
        hook(program("sys.exit(3)")),
        hook("/no/such/program"),
        hook(program("os.spawnl(os.P_NOWAIT, '/bin/sleep', 'sleep', '600'); time.sleep(600)"), timeout_s=0.3),
        hook(program("os.kill(os.getpid(), 9)")),
        hook(program(f"open({str(tmp_path / 'last')!r}, 'w')")),
    ]
    with running(*hooks) as here:
        here.hooks.emit(moved())
    assert [record.fields["REASON"] for record in here.told] == [
        "it ended with status 3",
        "it cannot be started: No such file or directory",
        "it was ended after 0.3 s",
        "it ended with signal 9",
    ]
    assert {record.kind for record in here.told} == {Kind.HOOK_FAILED}
    assert {record.fields["EVENT"] for record in here.told} == {"quarantined"}
    assert (tmp_path / "last").exists()


def test_what_a_command_started_ends_with_it(
    tmp_path: Path, program: Callable[[str], str], eventually: Eventually
) -> None:
    pid_file = tmp_path / "pid"
    text = f"pid = os.spawnl(os.P_NOWAIT, '/bin/sleep', 'sleep', '600'); open({str(pid_file)!r}, 'w').write(str(pid))"
    with running(hook(program(f"{text}; time.sleep(600)"), timeout_s=5)) as here:
        here.hooks.emit(moved())
        eventually(lambda: here.told, timeout_s=60)
    eventually(lambda: _dead(int(pid_file.read_text())), timeout_s=60)


def test_a_command_that_reads_nothing_and_a_record_larger_than_a_pipe(program: Callable[[str], str]) -> None:
    with running(hook(program("sys.exit(0)"))) as here:
        here.hooks.emit(notice_record(Kind.QUARANTINED, "x" * 1_000_000))
    assert here.told == []


def test_a_full_queue_drops_and_says_so_once(
    program: Callable[[str], str], tmp_path: Path, eventually: Eventually
) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    command = program(f"open({str(gate)!r}).read()")
    with running(hook(command), most=3) as here:
        for _ in range(10):
            here.hooks.emit(moved())
        assert len(here.told) == 1
        assert "3 records wait for it" in here.told[0].message
        here.hooks.abandon()


def test_systemds_own_channels_are_withheld(program: Callable[[str], str], tmp_path: Path) -> None:
    command = program(f"json.dump(dict(os.environ), open({str(tmp_path / 'env')!r}, 'w'))")
    given = {"PATH": "/bin", "NOTIFY_SOCKET": "/run/n", "WATCHDOG_USEC": "5", "CREDENTIALS_DIRECTORY": "/run/c"}
    with running(hook(command), environ=given) as here:
        here.hooks.emit(moved())
    seen = json.loads((tmp_path / "env").read_text())
    assert seen["PATH"] == "/bin"
    assert not set(seen) & (set(given) - {"PATH"})


def test_a_stop_gives_what_waits_and_abandon_does_not(
    program: Callable[[str], str], tmp_path: Path, eventually: Eventually
) -> None:
    command = program(f"open({str(tmp_path)!r} + '/done', 'a').write('x')")
    with running(hook(command)) as here:
        for _ in range(3):
            here.hooks.emit(moved())
        here.hooks.stop()
        here.hooks.emit(moved())
        here.thread.join(60)
    assert (tmp_path / "done").read_text() == "xxx"
    with running(hook(program("time.sleep(600)"), timeout_s=600)) as here:
        here.hooks.emit(moved())
        here.hooks.emit(moved())
        here.hooks.abandon()
    assert len(here.told) <= 1


def _dead(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True
