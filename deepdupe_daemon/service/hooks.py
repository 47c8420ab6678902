"""Hooks: a person's own command per event, given the record as JSON, never in the way of anything."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from deepdupe_daemon.act import Kind, Record, notice_record
from deepdupe_daemon.config import HookConfig

__all__ = ["Hooks", "hook_environment"]

#: records that wait for their commands; more are dropped, and that is told once a burst
MOST_WAITING = 1000

#: what speaks to systemd in the daemon's name, or leads to its secrets
_WITHHELD = (
    *("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"),
    *("LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "CREDENTIALS_DIRECTORY"),
)


def hook_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The daemon's environment for its commands, without the ends of systemd's own channels."""
    return {name: value for name, value in environ.items() if name not in _WITHHELD}


class Hooks:
    """A sink. `emit` only appends to a bounded queue, from any thread; `run` is the hooks thread, which alone starts
    commands, one after another.

    A command runs without a shell, in a session of its own so that its time limit ends all that it started; what it
    prints goes where the daemon's standard error goes.
    """

    def __init__(
        self,
        hooks: Sequence[HookConfig],
        *,
        environ: Mapping[str, str],
        report: Callable[[Record], None],
        most_waiting: int = MOST_WAITING,
    ) -> None:
        """`report` takes the records of commands that failed; those are never given to a hook."""
        self._hooks = tuple(hooks)
        self._environ = hook_environment(environ)
        self._report = report
        self._most_waiting = most_waiting
        self._condition = threading.Condition()
        self._waiting: deque[tuple[HookConfig, Record]] = deque()
        self._closed = False
        self._abandoned = False
        self._overflowing = False
        self._running: subprocess.Popen[bytes] | None = None

    def emit(self, record: Record) -> None:
        """Never blocks and never raises. Any thread."""
        for hook in self._hooks:
            if record.kind.slug in hook.events and not self._add(hook, record):
                self._fail(
                    hook, record, f"{self._most_waiting:,} records wait for it; this one and the next are left out"
                )

    def run(self) -> None:
        """Until `stop`, and then until the records that wait were given."""
        while (call := self._next()) is not None:
            self._call(*call)

    def stop(self) -> None:
        """Take no more records. Any thread."""
        with self._condition:
            self._closed = True
            self._condition.notify()

    def abandon(self) -> None:
        """End the command that runs, and start no other one. Any thread."""
        with self._condition:
            self._closed = self._abandoned = True
            self._waiting.clear()
            if self._running is not None:
                _end(self._running)
            self._condition.notify()

    def _add(self, hook: HookConfig, record: Record) -> bool:
        """False for the first record of a burst that found no room; the next ones are dropped without a word."""
        with self._condition:
            if self._closed:
                return True
            full = len(self._waiting) >= self._most_waiting
            if not full:
                self._waiting.append((hook, record))
                self._condition.notify()
            news = full and not self._overflowing
            self._overflowing = full or (self._overflowing and bool(self._waiting))
            return not news

    def _next(self) -> tuple[HookConfig, Record] | None:
        with self._condition:
            while not self._waiting and not self._closed:
                self._condition.wait()
            if not self._waiting:
                return None
            call = self._waiting.popleft()
            if not self._waiting:
                self._overflowing = False
            return call

    def _call(self, hook: HookConfig, record: Record) -> None:
        given = json.dumps(record.to_json()).encode() + b"\n"
        try:
            process = subprocess.Popen(
                hook.command,
                stdin=subprocess.PIPE,
                stdout=2,  # standard error: standard output may be somebody's JSON
                env=self._environ,
                cwd="/",
                start_new_session=True,
            )
        except (OSError, ValueError) as failed:
            self._fail(hook, record, f"it cannot be started: {getattr(failed, 'strerror', None) or failed}")
            return
        with self._condition:
            self._running = process
            if self._abandoned:
                _end(process)
        try:
            process.communicate(given, timeout=hook.timeout_s)
        except subprocess.TimeoutExpired:
            _end(process)
            process.communicate()
            self._fail(hook, record, f"it was ended after {hook.timeout_s:g} s")
            return
        finally:
            with self._condition:
                self._running = None
        if process.returncode:
            how = f"signal {-process.returncode}" if process.returncode < 0 else f"status {process.returncode}"
            self._fail(hook, record, f"it ended with {how}")

    def _fail(self, hook: HookConfig, record: Record, why: str) -> None:
        text = f"hook {hook.command[0]} for {record.kind.slug}: {why}"
        self._report(notice_record(Kind.HOOK_FAILED, text, reason=why, event=record.kind.slug, command=hook.command[0]))


def _end(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL to the command and to all that it started; the session's number is its own pid."""
    if process.returncode is None:  # once it was waited for, its number may be another's
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
