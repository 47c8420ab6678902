"""Paths as a person gives them."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["ledger_path"]


def ledger_path(given: str | os.PathLike[str]) -> bytes:
    """The path as the ledger has it: absolute, the links of its folders followed, its own name kept as it is."""
    folder, name = os.path.split(os.path.abspath(Path(given)))
    return os.fsencode(os.path.join(os.path.realpath(folder), name))
