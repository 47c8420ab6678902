"""Events that are lost, watches that are refused, threads that die: each ends in a walk and one record."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from functools import partialmethod
from pathlib import Path
from typing import Any

import pytest

from deepdupe_daemon.intake.departures import Departures
from deepdupe_daemon.intake.inbox import Inbox
from deepdupe_daemon.intake.reconcile import Reconciliation
from deepdupe_daemon.intake.router import Router
from deepdupe_daemon.intake.settle import Settling
from tests.intake.conftest import Ground


class Runner:
    """The runner module as a child process."""

    def __init__(self, ground: Ground, project_root: Path, *wrapper: str) -> None:
        self._process = subprocess.Popen(
            [*wrapper, sys.executable, "-m", "tests.intake.runner", str(ground.root), str(ground.state)],
            cwd=project_root,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.pid = self._process.pid
        self.before_ready: list[dict[str, Any]] = []
        assert self._process.stdout is not None
        while (line := self._process.stdout.readline()) != "ready\n":
            assert line, "the runner ended"
            self.before_ready.append(json.loads(line))

    def end(self) -> list[dict[str, Any]]:
        """Stop it; gives the notices since it was ready."""
        out, _ = self._process.communicate(timeout=60)
        assert self._process.returncode == 0
        return [json.loads(line) for line in out.splitlines()]


def test_a_queue_that_overflowed_while_stopped_costs_no_file_and_is_told_once(
    ground: Ground, project_root: Path
) -> None:
    """SIGSTOP, more events than the kernel's queue holds, new files behind them, SIGCONT."""
    queue = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    if queue > 100_000:
        pytest.skip(f"fs.inotify.max_queued_events = {queue}: too many events for a test")
    for index in range(300):
        (ground.root / f"{index}.jpg").touch()
    runner = Runner(ground, project_root)
    os.kill(runner.pid, signal.SIGSTOP)
    os.waitid(os.P_PID, runner.pid, os.WSTOPPED)
    for index in range(queue + 10):  # one after the other, since an event equal to the last one is not queued again
        os.close(os.open(ground.root / f"{index % 300}.jpg", os.O_WRONLY))
    for index in range(300):
        (ground.root / f"unheard-{index}.jpg").touch()
    os.kill(runner.pid, signal.SIGCONT)
    ground.until(lambda: len(ground.known()) == 600, 120)
    notices: list[dict[str, Any]] = runner.end()
    assert [notice["kind"] for notice in notices].count("events-lost") == 1
    row = ground.row("unheard-7.jpg")
    assert row is not None
    assert row.live, "it came under our eyes, although a walk found it"


def test_an_inbox_that_is_full_is_a_loss_too(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Inbox, "__init__", partialmethod(Inbox.__init__, most=10))
    ground.start()
    for index in range(500):
        (ground.root / f"{index}.jpg").touch()
    ground.until(lambda: len(ground.known()) == 500)
    ground.until(lambda: "rescan-done" in ground.kinds())
    assert ground.kinds()[0] == "events-lost"
    ground.until(lambda: ground.status().events_lost >= 1)


def test_a_handler_that_fails_is_told_and_everything_is_found(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    ground.start()
    original = Router.handle
    failed = []

    def fail_once(self: Router, *args: Any) -> None:
        if not failed:
            failed.append(args)
            raise RuntimeError("made to fail")
        original(self, *args)

    monkeypatch.setattr(Router, "handle", fail_once)
    (ground.root / "a.jpg").write_bytes(b"x")
    ground.until_known("a.jpg")
    (ground.root / "b.jpg").write_bytes(b"x")
    ground.until_known("a.jpg", "b.jpg")
    assert ground.kinds()[0] == "handler-error"
    assert "made to fail" in ground.notices[0].text
    ground.until(lambda: ground.status().error is None)


def test_a_ledger_that_fails_for_a_while_loses_nothing(ground: Ground) -> None:
    ground.start()
    ground.stop()
    attempts = []
    open_ledger = ground.open_ledger

    def fail_twice() -> Any:
        attempts.append(1)
        if len(attempts) <= 2:
            raise OSError(28, "No space left on device")
        return open_ledger()

    ground.open_ledger = fail_twice  # type: ignore[method-assign] # the fault that is tested
    (ground.root / "a.jpg").write_bytes(b"x")
    ground.start()
    ground.until_known("a.jpg")
    ground.until(lambda: "rescan-done" in ground.kinds())
    assert ground.kinds() == ["handler-error", "rescan-done"], "told once, and when it was made good"
    ground.until(lambda: ground.status().error is None)


def test_a_reader_that_dies_is_replaced(ground: Ground) -> None:
    ground.start()
    reader = _hearing(ground)._observer._reader
    reader.stop()
    reader.join(10)
    (ground.root / "a.jpg").write_bytes(b"x")
    ground.until_known("a.jpg")
    assert ground.kinds()[0] == "events-lost"
    ground.until(lambda: ground.status().armed and not ground.status().walking)
    (ground.root / "b.jpg").write_bytes(b"x")
    ground.until_known("a.jpg", "b.jpg")


def test_a_deaf_reader_is_found_out_by_the_canary(
    ground: Ground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every thread lives and no event arrives: the failure that looks like peace."""
    monkeypatch.setattr("deepdupe_daemon.intake.hearing._SILENCE_S", 0.1)
    monkeypatch.setattr("deepdupe_daemon.intake.hearing._ANSWER_S", 0.5)
    canary = tmp_path / "canary"
    canary.mkdir()
    ground.start(canary_dir=canary)
    ground.until(lambda: _hearing(ground)._canary.heard >= 2)
    assert ground.kinds() == []
    hearing = _hearing(ground)
    with hearing._observer._reader._lock:  # what the reader waits for between reading and handling
        (ground.root / "a.jpg").write_bytes(b"x")
        ground.until(lambda: "events-lost" in ground.kinds())
    ground.until_known("a.jpg")


def test_losses_in_the_middle_of_walks_leave_every_directory_heard(ground: Ground) -> None:
    """A walk that runs while we listen anew sets its watches on the new ears."""
    for index in range(1500):
        (ground.root / f"d{index:04d}").mkdir()
        (ground.root / f"d{index:04d}" / "old.jpg").touch()
    intake = ground.start()
    for _ in range(3):
        intake.rescan()
        _hearing(ground).inbox.lose()
        ground.until(lambda: ground.status().walking)
        ground.until(lambda: not ground.status().armed or not ground.status().walking)
    ground.until(lambda: ground.status().armed and not ground.status().walking)
    ground.until(lambda: ground.status().watched_directories == 1501)
    assert "handler-error" not in ground.kinds()
    for index in range(0, 1500, 100):
        (ground.root / f"d{index:04d}" / "new.jpg").touch()
    ground.until(lambda: len(ground.known()) == 1515)


def test_more_files_than_can_be_followed_are_found_by_another_walk(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Settling, "__init__", partialmethod(Settling.__init__, most=20))
    for index in range(100):
        (ground.root / f"{index}.jpg").touch()
    ground.start(walked=False)
    ground.until(lambda: len(ground.known()) == 100)
    for index in range(100, 200):
        (ground.root / f"{index}.jpg").touch()
    ground.until(lambda: len(ground.known()) == 200)


def test_more_departures_than_can_be_followed_are_found_by_a_walk(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Departures, "__init__", partialmethod(Departures.__init__, most=5))
    for index in range(50):
        (ground.root / f"{index}.jpg").touch()
    ground.start()
    ground.until(lambda: len(ground.known()) == 50)
    for index in range(1, 50):
        (ground.root / f"{index}.jpg").unlink()
    ground.until_known("0.jpg")


def test_more_missing_files_than_one_walk_keeps_in_mind_are_found_by_the_next(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Reconciliation, "__init__", partialmethod(Reconciliation.__init__, most_missing=7))
    for index in range(50):
        (ground.root / f"{index}.jpg").touch()
    ground.start()
    ground.stop()
    for index in range(1, 50):
        (ground.root / f"{index}.jpg").unlink()
    ground.start()
    ground.until_known("0.jpg")


def test_the_canary_leaves_a_quiet_house_in_peace(ground: Ground, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    canary.mkdir()
    ground.start(canary_dir=canary)
    (ground.root / "a.jpg").write_bytes(b"x")
    ground.until_known("a.jpg")
    assert ground.kinds() == []
    assert list(canary.iterdir()) == []


@pytest.mark.parametrize("missing", ["from the start", "later"])
def test_a_canary_without_its_folder_is_told_of_and_nothing_else_suffers(
    ground: Ground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.setattr("deepdupe_daemon.intake.hearing._SILENCE_S", 0.1)
    canary = tmp_path / "canary"
    if missing == "later":
        canary.mkdir()
    ground.start(canary_dir=canary)
    if missing == "later":
        shutil.rmtree(canary)
    ground.until(lambda: ground.notices)
    (ground.root / "a.jpg").write_bytes(b"x")
    ground.until_known("a.jpg")
    assert ground.kinds() == ["handler-error"]
    assert ground.notices[0].path == bytes(canary)


def test_without_enough_watches_it_runs_on_walks_and_names_the_limit(ground: Ground, project_root: Path) -> None:
    """The limit of a user namespace is its own, so that the machine's stays as it is."""
    for index in range(50):
        (ground.root / f"d{index}").mkdir()
    wrapper = ["unshare", "-Ur", "sh", "-c", 'echo 20 > /proc/sys/user/max_inotify_watches && exec "$@"', "sh"]
    if subprocess.run([*wrapper, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("no user namespaces here, or no limit of watches in them")
    runner = Runner(ground, project_root, *wrapper)
    (limit,) = runner.before_ready
    assert limit["kind"] == "watch-limit"
    assert "sysctl fs.inotify.max_user_watches=" in limit["text"]
    assert limit["counts"] == {"watched": 20, "directories": 51}
    for index in range(50):
        (ground.root / f"d{index}" / "a.jpg").write_bytes(b"x")
    ground.until(lambda: len(ground.known()) == 50)
    (ground.root / "d49" / "later.jpg").write_bytes(b"x")
    ground.until(lambda: len(ground.known()) == 51)
    assert [notice["kind"] for notice in runner.end()] == [], "told once, not at every walk"


def test_without_an_inotify_instance_it_runs_on_walks(ground: Ground, project_root: Path) -> None:
    wrapper = ["unshare", "-Ur", "sh", "-c", 'echo 0 > /proc/sys/user/max_inotify_instances && exec "$@"', "sh"]
    if subprocess.run([*wrapper, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("no user namespaces here, or no limit of instances in them")
    runner = Runner(ground, project_root, *wrapper)
    (limit,) = runner.before_ready
    assert limit["kind"] == "watch-limit"
    assert "fs.inotify.max_user_instances" in limit["text"]
    (ground.root / "a.jpg").write_bytes(b"x")
    ground.until_known("a.jpg")
    runner.end()


def _hearing(ground: Ground) -> Any:
    """The ears of the running lane, which no public name leads to."""
    assert ground.intake is not None
    shift = ground.intake._lanes[0]._shift
    assert shift is not None
    return shift._hearing
