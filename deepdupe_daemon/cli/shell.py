"""What a command works with: its streams, its environment, its clock."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TextIO

from deepdupe_daemon.clock import Clock

__all__ = ["Shell"]


@dataclass(slots=True)
class Shell:
    """Owned by the main thread; `line` and `json` may be called from any. Texts passed in are printable already."""

    stdin: TextIO
    stdout: TextIO
    stderr: TextIO
    environ: Mapping[str, str]
    clock: Clock
    debug: bool = False

    def line(self, text: str = "") -> None:
        """One line of the result."""
        self.stdout.write(f"{text}\n")  # in one piece, so that lines of two threads never run together
        self.stdout.flush()

    def raw(self, data: bytes) -> None:
        """Bytes of the result as they are: paths for programs."""
        self.stdout.flush()
        self.stdout.buffer.write(data)
        self.stdout.buffer.flush()

    def json(self, record: Mapping[str, Any]) -> None:
        """One object on one line of the result; ASCII, so that any terminal and any reader takes it."""
        self.line(json.dumps(record))

    def remark(self, text: str) -> None:
        """One line beside the result."""
        self.stderr.write(f"{text}\n")
        self.stderr.flush()

    @property
    def shows_progress(self) -> bool:
        """Whether a person looks at standard error."""
        return self.stderr.isatty() and self.environ.get("TERM", "") not in ("", "dumb")
