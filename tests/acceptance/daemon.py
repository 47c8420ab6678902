"""The program as a person starts it: `python -m deepdupe_daemon`, in a process group of its own, killed at will."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from deepdupe_daemon.clock import SystemClock
from deepdupe_daemon.errors import StateError
from deepdupe_daemon.ledger import Ledger
from deepdupe_daemon.model import FileState
from tests.benchmarks.processes import family

__all__ = ["Daemon", "Duplicate", "counts", "listed", "program"]

PROGRAM = (sys.executable, "-m", "deepdupe_daemon")

Duplicate = dict[str, Any]


class Daemon:
    """A `watch` of `folder` in a subprocess. What it says goes to a file, so that a kill takes nothing of it away."""

    def __init__(
        self, folder: Path, state_dir: Path, log: Path, project_root: Path, *, wrapper: Sequence[str] = ()
    ) -> None:
        """`wrapper`: a command that runs the one that follows it in its own place (exec), as `unshare -Ur` does."""
        self._log = log
        self._stderr = log.with_suffix(".stderr")
        with log.open("wb") as out, self._stderr.open("wb") as err:
            self.process = subprocess.Popen(
                [*wrapper, *PROGRAM, "watch", str(folder), "--state-dir", str(state_dir), "--json"],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                cwd=project_root,
                start_new_session=True,  # a process group of its own
            )
        self.pid = self.process.pid

    def records(self, kind: str | None = None) -> list[Duplicate]:
        """What it has said so far, of one kind where named. Only the last line may be torn by a kill."""
        lines = self._log.read_bytes().split(b"\n")[:-1]
        records = [json.loads(line) for line in lines]
        return [record for record in records if kind is None or record["kind"] == kind]

    @property
    def ready(self) -> bool:
        if self.process.poll() is not None:
            raise AssertionError(f"the daemon ended with {self.process.returncode}: {self.last_words()}")
        return bool(self.records("ready"))

    def last_words(self) -> str:
        return self._stderr.read_text(errors="replace")[-2000:] + self._log.read_text(errors="replace")[-2000:]

    def kill(self, *, whole_group: bool) -> list[int]:
        """SIGKILL, to the daemon alone or to all that it started as well; gives the pids of its children."""
        children = self.children()
        if whole_group:
            os.killpg(self.pid, signal.SIGKILL)
        else:
            self.process.kill()
        self.process.wait()
        return children

    def children(self) -> list[int]:
        """The pids of all that it started, and what those started."""
        return [pid for pid in family(self.pid) if pid != self.pid]

    def terminate(self, timeout_s: float) -> int:
        """SIGTERM; gives the exit status. Raises subprocess.TimeoutExpired."""
        self.process.terminate()
        return self.process.wait(timeout_s)


def counts(state_dir: Path) -> dict[FileState, int]:
    """Files in each state, as a reader beside the daemon sees them; all 0 where no ledger is yet."""
    if not (state_dir / "ledger.sqlite").exists():
        return dict.fromkeys(FileState, 0)
    with Ledger.open(state_dir, SystemClock(), readonly=True) as ledger:
        return ledger.counts()


def listed(state_dir: Path, project_root: Path) -> list[Duplicate]:
    """What `duplicates --json` prints."""
    done = program("duplicates", "--state-dir", str(state_dir), "--json", cwd=project_root)
    return [json.loads(line) for line in done.splitlines()]


def program(*arguments: str, cwd: Path) -> str:
    """Run the program to its end and give what it printed."""
    done = subprocess.run([*PROGRAM, *arguments], capture_output=True, text=True, cwd=cwd, check=False, timeout=120)
    if done.returncode:
        raise StateError(f"{arguments} ended with {done.returncode}: {done.stderr}")
    return done.stdout
