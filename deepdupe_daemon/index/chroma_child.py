"""The parent's side of the process that holds Chroma."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import deepdupe_daemon
from deepdupe_daemon.errors import StoreError
from deepdupe_daemon.index.wire import Message, receive, send

__all__ = ["ChildLost", "ChromaChild", "StoreRefused"]

_STDERR_TAIL_BYTES = 2000
#: what the process needs of ours: where its libraries are, and which certificates a server's address is checked against
_KEPT_VARIABLES = ("LD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR", "TMPDIR", "TZ")


class StoreRefused(StoreError):
    """The process answered with an error. `kind`: torn, full, unavailable, missing, mismatch, refused, failed."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


class ChildLost(StoreError):
    """The process ended without an answer. `died_of` is the signal that ended it, 0 if none did."""

    def __init__(self, what: str, *, died_of: int) -> None:
        super().__init__(what)
        self.died_of = died_of


class ChromaChild:
    """One process and the socket to it. Owned by one thread, which must live as long: the process dies with it."""

    def __init__(self, work_dir: Path) -> None:
        """Start it in `work_dir`, which is made where it is not there. Raises StoreError."""
        ours, its = socket.socketpair()
        try:
            os.makedirs(work_dir, mode=0o700, exist_ok=True)
            self._stderr_path = work_dir / "stderr"
            with open(self._stderr_path, "wb") as stderr:
                self._process = subprocess.Popen(
                    # -P and -s: nothing is imported from the working directory or the user's site
                    [sys.executable, "-P", "-s", "-X", "faulthandler", "-m", "deepdupe_daemon.index.chroma_process"],
                    stdin=its.fileno(),
                    stdout=stderr,
                    stderr=stderr,
                    cwd=work_dir,
                    env=_environment(work_dir),
                    start_new_session=True,  # Ctrl-C in a terminal reaches the daemon alone
                )
        except OSError as error:
            ours.close()
            raise StoreError(f"the process for Chroma cannot be started: {error}", where=str(work_dir)) from error
        finally:
            its.close()
        self._socket = ours

    @property
    def pid(self) -> int:
        number: int = self._process.pid
        return number

    def ask(self, header: Message, payload: bytes = b"", *, timeout_s: float) -> tuple[Message, bytes]:
        """Send a message and wait for the answer. Raises StoreRefused, and ChildLost: then it is over."""
        self._socket.settimeout(timeout_s)
        try:
            send(self._socket, header, payload)
            answer, rows = receive(self._socket)
        except TimeoutError as error:
            self._process.kill()
            self.end(timeout_s=10)
            raise ChildLost(f"Chroma gave no answer to {header['op']} in {timeout_s:g} s", died_of=0) from error
        except (OSError, EOFError, ValueError) as error:
            raise self._lost() from error
        if "error" in answer:
            raise StoreRefused(answer["error"], answer["text"])
        return answer, rows

    def end(self, timeout_s: float) -> bool:
        """Let it finish what it does and close the store. Says whether it has ended; it will, when not killed."""
        with contextlib.suppress(OSError):
            self._socket.settimeout(1.0)
            send(self._socket, {"op": "close"})
        self._socket.close()
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _lost(self) -> ChildLost:
        self._socket.close()
        try:
            status = self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        died_of = -status if status < 0 else 0
        how = f"died of {signal.Signals(died_of).name}" if died_of else f"ended with status {status}"
        said = self._said()
        return ChildLost(f"the process for Chroma {how}{': ' if said else ''}{said}", died_of=died_of)

    def _said(self) -> str:
        """The last line that it wrote to stderr."""
        with open(self._stderr_path, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _STDERR_TAIL_BYTES))
            lines = file.read().decode("utf-8", "replace").strip().splitlines()
        return lines[-1].strip() if lines else ""


def _environment(work_dir: Path) -> dict[str, str]:
    """A clean one: chromadb reads names such as MIGRATIONS or ALLOW_RESET as its settings."""
    kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    return kept | {
        "PATH": os.defpath,
        "HOME": str(work_dir),
        "LANG": "C.UTF-8",
        "PYTHONPATH": os.path.dirname(os.path.dirname(os.path.abspath(deepdupe_daemon.__file__))),
        "PYTHONDONTWRITEBYTECODE": "1",
        # its insertions would otherwise take every core from the decoders
        "RAYON_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
