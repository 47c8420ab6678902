"""A real systemd as process 1 of a sandbox: namespaces of its own over a root that is thrown away.

It guards against accidents, not against hostile code: root inside is root, less some capabilities.
"""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import threading
import tty
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from deepdupe_daemon.clock import SystemClock
from tests.systemd.cgroups import Made, make_cgroups, remove_cgroup
from tests.systemd.first_process import INIT, enter, inner_environment, keep
from tests.systemd.private_root import NAME, PLACES, Plan

__all__ = ["Box", "NoBox", "why_not"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_CAP_SYS_ADMIN = 21


class NoBox(Exception):
    """No sandbox could be made, or it did not boot, or it died."""


def why_not() -> str | None:
    """Why no sandbox can be made on this machine, or None."""
    if os.geteuid():
        return "booting a systemd needs root"
    capabilities = re.search(r"CapEff:\s*(\w+)", Path("/proc/self/status").read_text())
    if capabilities is None or not int(capabilities[1], 16) >> _CAP_SYS_ADMIN & 1:
        return "booting a systemd needs CAP_SYS_ADMIN"
    if not re.search(r"\boverlay\b", Path("/proc/filesystems").read_text()):
        return "the kernel has no overlayfs"
    return None if os.path.lexists(INIT) else f"{INIT} is missing: systemd is not installed"


class Box:
    """One booted sandbox. Owned by one thread; whatever becomes of it, the kernel ends all of it with its owner."""

    def __init__(self, plan: Plan) -> None:
        for _, target in plan.writable:
            places = (*PLACES, "/proc", "/sys")
            if any(f"{place}/".startswith(f"{target.rstrip('/')}/") for place in places):
                raise NoBox(f"{target}: would take away what keeps the sandbox from the machine")
        self.plan = plan
        self.init = 0
        self._keeper = 0
        self._cgroups: Made = []
        self._console = -1
        self._clock = SystemClock()

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.stop(kill=True)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop(kill=kind is not None)

    def path(self, inside: str) -> Path:
        """A path of the sandbox as this process reaches it."""
        return Path(f"/proc/{self.init}/root{inside}")

    def run(self, *words: str, timeout_s: float = 120.0, check: bool = True, **options: Any) -> str:
        """What a command inside prints, both streams. Raises AssertionError where it fails and `check` is set."""
        if os.path.samefile(f"/proc/{self.init}/ns/mnt", "/proc/self/ns/mnt"):
            raise NoBox("that is no sandbox")
        done = subprocess.run(
            words,
            env={**inner_environment(), **options.pop("env", {})},
            preexec_fn=lambda: enter(self.init, "/"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout_s,
            check=False,
            **options,
        )
        text = done.stdout.decode(errors="replace")
        if check:
            assert done.returncode == 0, f"{' '.join(words)} ended with {done.returncode}:\n{text}"
        return text

    def stop(self, *, kill: bool = False) -> None:
        """Power off, or kill. Safe to call twice."""
        if self._alive() and self.init and not kill:
            os.kill(self._keeper, signal.SIGUSR1)
            self._wait_gone(20.0)
        if self._alive():
            os.kill(self._keeper, signal.SIGTERM)
            self._wait_gone(10.0)
        if self._alive():
            os.kill(self._keeper, signal.SIGKILL)
            os.waitpid(self._keeper, 0)
            self._keeper = 0
        left = [path for _, _, path in self._cgroups if not remove_cgroup(path)]
        self._cgroups = []
        if self._console >= 0:
            os.close(self._console)
            self._console = -1
        assert not left, f"left behind: {left}"

    def explain(self) -> str:
        """The end of the console."""
        size = os.fstat(self._console).st_size
        return os.pread(self._console, 6000, max(0, size - 6000)).decode(errors="replace").replace("\r", "").strip()

    # -- starting ------------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        token = f"{NAME}.{os.getpid()}.{os.urandom(3).hex()}"
        make_cgroups(token, NAME, self._cgroups)
        devices = {place: os.stat(place).st_dev for place in PLACES if os.path.isdir(place)}
        self._console = os.memfd_create("console")
        hear, say = os.pipe()  # sandbox to us
        go_read, go_write = os.pipe()  # us to sandbox
        master, slave = pty.openpty()
        tty.setraw(slave)
        me = os.getpid()
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)  # until the child has its handlers
        self._keeper = os.fork()
        if not self._keeper:
            try:
                os.close(hear)
                os.close(go_write)
                keep(me, self.plan, self._cgroups, (master, slave), self._console, devices, token, say, go_read)
            finally:
                os._exit(1)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for fd in (say, go_read, master, slave):
            os.close(fd)
        try:
            self._handshake(hear, go_write)
        finally:
            os.close(hear)
            os.close(go_write)
        self._wait_booted()

    def _handshake(self, hear: int, go_write: int) -> None:
        """Let it go on once its marks are seen to be invisible here; returns when systemd was executed."""
        text = b""
        while True:
            while b"\n" not in text:
                if not select.select([hear], [], [], 60.0)[0]:
                    raise NoBox("the sandbox was not set up in time")
                more = os.read(hear, 65536)
                if not more:
                    if not self._alive():
                        raise NoBox("the sandbox died before it was booted")
                    return
                text += more
            line, _, text = text.partition(b"\n")
            word, _, rest = line.decode(errors="replace").partition(" ")
            if word == "pid":
                self.init = int(rest)
            elif word == "error":
                raise NoBox(rest.replace("\r", "\n  "))
            elif word == "marks":
                leaked = [mark for mark in rest.split() if os.path.lexists(mark)]
                if leaked:
                    raise NoBox(f"NOT ISOLATED, nothing was booted: {leaked} can be seen outside")
                os.write(go_write, b"go")

    def _wait_booted(self) -> None:
        end_s, state = self._clock.monotonic_s() + 120.0, "no answer"
        while self._clock.monotonic_s() < end_s:
            if not self._alive():
                raise NoBox(f"systemd died while booting\n{self.explain()}")
            if self.path("/run/systemd/private").exists():
                state = self.run("systemctl", "is-system-running", check=False, timeout_s=30).strip()
                if state in ("running", "degraded"):
                    return
            self._clock.wait(threading.Event(), 0.02)
        raise NoBox(f"not booted in time, state: {state}\n{self.explain()}")

    def _alive(self) -> bool:
        if self._keeper and os.waitpid(self._keeper, os.WNOHANG)[0]:
            self._keeper = 0
        return bool(self._keeper)

    def _wait_gone(self, patience_s: float) -> None:
        end_s = self._clock.monotonic_s() + patience_s
        while self._alive() and self._clock.monotonic_s() < end_s:
            self._clock.wait(threading.Event(), 0.005)


def binds(*pairs: tuple[str | os.PathLike[str], str]) -> Sequence[tuple[str, str]]:
    """(outside, inside) as a `Plan` takes them."""
    return [(os.path.realpath(outside), inside) for outside, inside in pairs]
