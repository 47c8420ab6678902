"""Killed at any step of a move, a restore or a purge, a bundle is whole in one of its two places after the restart."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.timeout(1800)

SEED = 20260607


def kill(folder: Path, project_root: Path, *arguments: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.act.killing", str(folder), *arguments],
        capture_output=True,
        text=True,
        cwd=project_root,
        check=False,
        timeout=1700,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("doing", ["move", "restore"])
@pytest.mark.parametrize("where", ["same", "across"])
def test_a_sample_of_kills(doing: str, where: str, tmp_path: Path, other_disk: Path, project_root: Path) -> None:
    disk = "same" if where == "same" else str(other_disk)
    found = kill(tmp_path, project_root, disk, doing, "2", "307", str(SEED))
    assert found["wrong"] == []
    assert found["kills"] >= 4


@pytest.mark.nightly
@pytest.mark.parametrize("doing", ["move", "restore", "purge"])
@pytest.mark.parametrize("where", ["same", "across"])
@pytest.mark.parametrize("files", [1, 3])
def test_every_few_lines(
    doing: str, where: str, files: int, tmp_path: Path, other_disk: Path, project_root: Path
) -> None:
    """About 3,000 kills in all, half of them of recovery."""
    disk = "same" if where == "same" else str(other_disk)
    found = kill(tmp_path, project_root, disk, doing, str(files), "11", str(SEED))
    print(f"{where} {doing} {files}: {found['kills']} kills over {found['steps']} lines")
    assert found["wrong"] == []
    assert found["kills"] >= 30
