"""One thing that an installation does, told before it is done."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from deepdupe_daemon.errors import StateError

__all__ = ["Step", "command", "remove_file", "write_file"]


@dataclass(frozen=True, slots=True)
class Step:
    """`text` says what is done, as one line. `do` raises StateError, which with `may_fail` is no more than told."""

    text: str
    do: Callable[[], None]
    may_fail: bool = False


def write_file(path: Path, text: str, *, mode: int = 0o644) -> Step:
    """The file whole or not at all, its folders with it."""

    def do() -> None:
        partial = path.with_name(f".{path.name}.part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, mode), "w") as file:
                file.write(text)
            os.chmod(partial, mode)
            os.replace(partial, path)
        except OSError as error:
            raise StateError(f"cannot be written: {error.strerror}", where=str(path)) from error

    return Step(f"write {path}", do)


def remove_file(path: Path) -> Step:
    """The file, and the folder that held nothing else."""

    def do() -> None:
        try:
            path.unlink(missing_ok=True)
            if path.parent.name.endswith(".service.d") and not any(path.parent.iterdir()):
                path.parent.rmdir()
        except FileNotFoundError:
            return
        except OSError as error:
            raise StateError(f"cannot be removed: {error.strerror}", where=str(path)) from error

    return Step(f"remove {path}", do)


def command(*words: str, may_fail: bool = False) -> Step:
    """A system tool. `may_fail`: what it does is no loss where it cannot be done."""

    def do() -> None:
        try:
            done = subprocess.run(words, capture_output=True, text=True, errors="replace", check=False)
        except OSError as error:
            raise StateError(f"cannot be run: {error.strerror}", where=words[0]) from error
        if done.returncode != 0:
            said = (done.stderr or done.stdout).strip().splitlines()
            raise StateError(said[-1] if said else f"ended with {done.returncode}", where=" ".join(words))

    return Step(f"run {' '.join(words)}", do, may_fail)
