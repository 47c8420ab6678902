"""File systems that are full, read-only, away, or bound to two places: one clear refusal each, and nothing lost."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.act.mounts import SCENES, SKIP


def namespace() -> list[str]:
    """The command before a command that gives it mounts of its own; skips where that is not allowed."""
    if shutil.which("unshare") is None:
        pytest.skip("unshare is not installed")
    command = ["unshare", "--mount", "--propagation", "private"]
    if os.geteuid():
        command.append("--map-root-user")
    if subprocess.run([*command, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no mount namespace can be made here: needs root, or user namespaces")
    return command


@pytest.mark.parametrize("scene", SCENES)
def test_scene(scene: str, tmp_path: Path, project_root: Path) -> None:
    command = [*namespace(), sys.executable, "-m", "tests.act.mounts", scene, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=project_root, check=False, timeout=120)
    if done.returncode == SKIP:
        pytest.skip("the kernel has nothing of the kind")
    assert done.returncode == 0, done.stderr
