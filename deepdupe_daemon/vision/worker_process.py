"""The daemon's end of one worker: start it, ask it, end it. Every call but `kill` belongs to the one thread that owns
it.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import deepdupe_daemon
from deepdupe_daemon.clock import Clock
from deepdupe_daemon.config import DecoderConfig
from deepdupe_daemon.errors import DeepDupeError
from deepdupe_daemon.model import InputSpec, U8Array
from deepdupe_daemon.vision.slab import Slab
from deepdupe_daemon.vision.wire import Garbled, Line, spec_to_wire, text_from_wire

__all__ = ["Budget", "WorkerDied", "WorkerLate", "WorkerProcess", "WorkerUnavailable"]

_START_TIMEOUT_S = 60.0
#: for a killed process to be gone; one that hangs in the kernel is left to be reaped later
_DEATH_TIMEOUT_S = 5.0
_ERROR_BYTES = 4096


class WorkerUnavailable(DeepDupeError):
    """No worker can be started: the installation, a limit or the machine is at fault, not a picture."""

    retryable = True


class WorkerDied(Exception):
    """The worker is gone, or talks nonsense and is as good as gone. `how`: "signal 11", "exit 1", ..."""

    def __init__(self, how: str) -> None:
        super().__init__(how)
        self.how = how


class WorkerLate(Exception):
    """The time for the file is used up."""


class Budget:
    """The seconds that a worker may still take over one file; what the daemon does in between is not counted."""

    def __init__(self, seconds: float, clock: Clock) -> None:
        self.left_s = seconds
        self._clock = clock
        self._since = 0.0

    def __enter__(self) -> None:
        self._since = self._clock.monotonic_s()

    def __exit__(self, *_exc: object) -> None:
        self.left_s -= self._clock.monotonic_s() - self._since


class WorkerProcess:
    """A running worker. Construct it with `start`."""

    def __init__(self, process: subprocess.Popen[bytes], line: Line, slab: Slab) -> None:
        self._process = process
        self._line = line
        self._slab = slab
        self.files = 0
        self.formats: tuple[str, ...] = ()
        self.protections: tuple[str, ...] = ()

    @classmethod
    def start(cls, settings: DecoderConfig, specs: Sequence[InputSpec], *, max_bytes: int) -> WorkerProcess:
        """Start a worker and wait until it is ready, about 0.4 s. Raises WorkerUnavailable, with what it said."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        slab, slab_fd = Slab.create(specs)
        try:
            process = subprocess.Popen(
                [
                    sys.executable, "-P", "-m", "deepdupe_daemon.vision.worker",
                    str(theirs.fileno()), str(slab_fd), str(os.getpid()),
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                cwd="/",
                env=_environment(),
                pass_fds=(theirs.fileno(), slab_fd),
                start_new_session=True,  # Ctrl-C is the daemon's business
            )  # fmt: skip
        except OSError as error:
            ours.close()
            slab.close()
            raise WorkerUnavailable(f"no decoding worker can be started: {error.strerror}") from error
        finally:
            theirs.close()
            os.close(slab_fd)
        worker = cls(process, Line(ours), slab)
        try:
            worker._greet(settings, specs, max_bytes)
        except BaseException:
            worker.end()
            raise
        return worker

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(self, request: Mapping[str, Any], files: Sequence[int], budget: Budget) -> Mapping[str, Any]:
        """Send `request` with open `files` and wait for the answer. Raises WorkerDied, WorkerLate."""
        try:
            with budget:
                self._line.send(request, files)
                answer = self._line.receive(budget.left_s)
        except TimeoutError as error:
            raise WorkerLate from error
        except (OSError, Garbled) as error:
            raise WorkerDied(self._how(error)) from error
        if answer is None:
            raise WorkerDied(self._how(None))
        return answer

    def inputs(self) -> list[U8Array]:
        """Copies of what the worker put into the slab, in the order of the specs."""
        return self._slab.read()

    def memory_peak_bytes(self) -> int:
        """The most resident memory it has held so far; 0 where the system does not say."""
        try:
            with open(f"/proc/{self.pid}/status", encoding="ascii", errors="replace") as status:
                for line in status:
                    if line.startswith("VmHWM:"):
                        return int(line.split()[1]) * 1024
        except OSError:
            pass  # it is gone, or /proc is hidden
        return 0

    def kill(self) -> None:
        """End it at once. Any thread may call this; the owner then finds it dead."""
        self._process.kill()

    def end(self) -> bool:
        """Kill it, reap it, close everything that belonged to it. False where it would not die in time."""
        self._process.kill()
        self._line.close()
        self._slab.close()
        if self._process.stderr is not None:
            self._process.stderr.close()
        return self.reap(_DEATH_TIMEOUT_S)

    def reap(self, timeout_s: float) -> bool:
        """Whether the process is gone, waiting for it at most `timeout_s`."""
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _greet(self, settings: DecoderConfig, specs: Sequence[InputSpec], max_bytes: int) -> None:
        hello = {
            "specs": [spec_to_wire(spec) for spec in specs],
            "memory_bytes": settings.memory_bytes,
            "max_pixels": settings.max_pixels,
            "max_bytes": max_bytes,
            "timeout_s": settings.timeout_s,
        }
        try:
            self._line.send(hello)
            ready = self._line.receive(_START_TIMEOUT_S)
        except TimeoutError as error:
            raise WorkerUnavailable("a decoding worker did not start in time") from error
        except Garbled as error:
            raise WorkerUnavailable(f"a decoding worker did not start: {error}") from error
        except OSError:
            ready = None  # it ended before it read the greeting
        if ready is None:
            raise WorkerUnavailable(f"a decoding worker did not start: {self._last_words()}")
        self.formats = tuple(text_from_wire(name, 16) for name in ready["ready"])
        self.protections = tuple(text_from_wire(name, 32) for name in ready["protections"])
        assert self._process.stderr is not None
        self._process.stderr.close()

    def _last_words(self) -> str:
        assert self._process.stderr is not None
        said = self._process.stderr.read(_ERROR_BYTES).decode("utf-8", "replace").strip().splitlines()
        return "".join(c if c.isprintable() else "?" for c in said[-1]) if said else self._how(None, _START_TIMEOUT_S)

    def _how(self, error: Exception | None, timeout_s: float = _DEATH_TIMEOUT_S) -> str:
        if isinstance(error, Garbled):
            return f"garbled answer: {error}"
        try:
            code = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return "hung up"
        return f"signal {-code}" if code < 0 else f"exit {code}"


def _environment() -> dict[str, str]:
    """What an interpreter needs to find the same packages, and one thread for every library that counts cores."""
    ours = {
        "LANG": "C.UTF-8",
        "PYTHONPATH": os.pathsep.join(_import_path()),
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "OPENCV_FOR_THREADS_NUM": "1",
    }
    for name in ("LD_LIBRARY_PATH", "PYTHONHOME"):  # interpreters that are not where they were built
        if name in os.environ:
            ours[name] = os.environ[name]
    return ours


def _import_path() -> list[str]:
    """Where this process imports from, this package first."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(deepdupe_daemon.__file__)))
    return [package, *(os.path.abspath(path) for path in sys.path if path and os.path.abspath(path) != package)]
