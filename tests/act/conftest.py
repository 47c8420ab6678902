"""A watched folder, a quarantine for it, and a second file system."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.act.ground import Ground


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    made = Ground(tmp_path)
    yield made
    assert made.ledger.damage() == []
    made.close()


@pytest.fixture
def other_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on another file system than `tmp_path`: the one in memory that every Linux has."""
    shared = "/dev/shm"
    if not os.access(shared, os.W_OK) or os.stat(shared).st_dev == tmp_path.stat().st_dev:
        pytest.skip(f"{shared} is no second file system here")
    folder = Path(tempfile.mkdtemp(prefix="deepdupe-test-", dir=shared))
    yield folder
    shutil.rmtree(folder)
