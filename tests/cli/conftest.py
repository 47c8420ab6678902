"""The command line, run as a person runs it: as a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from deepdupe_daemon.cli import main
from tests.conftest import PROJECT_ROOT


@dataclass(frozen=True)
class Outcome:
    """How a command ended. Both streams with undecodable bytes kept as surrogates."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    @property
    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines]


Deepdupe = Callable[..., Outcome]


@pytest.fixture
def command() -> list[str]:
    return [sys.executable, "-m", "deepdupe_daemon"]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A state home short enough for a socket's address, whatever the test is called."""
    paths = os.pathsep.join([str(PROJECT_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return os.environ | {"XDG_STATE_HOME": str(tmp_path / "s"), "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}


@pytest.fixture
def deepdupe(command: list[str], environment: dict[str, str], tmp_path: Path) -> Deepdupe:
    """Run `deepdupe-daemon ARGUMENTS...` in `tmp_path` to its end."""

    def run(*arguments: str | bytes | os.PathLike[str], timeout_s: float = 120) -> Outcome:
        done = subprocess.run(
            [*command, *arguments], cwd=tmp_path, env=environment, capture_output=True, timeout=timeout_s, check=False
        )
        out, err = (stream.decode("utf-8", "surrogateescape") for stream in (done.stdout, done.stderr))
        return Outcome(done.returncode, out, err)

    return run


@pytest.fixture
def here(
    environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Deepdupe:
    """The same within this process: for commands that start nothing, and cost more to load than to run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", environment["XDG_STATE_HOME"])

    def run(*arguments: str | bytes | os.PathLike[str]) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["deepdupe-daemon", *map(os.fsdecode, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        captured = capsys.readouterr()
        return Outcome(int(end.value.code or 0), captured.out, captured.err)

    return run
