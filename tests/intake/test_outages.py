"""File systems that come and go, for real: each scene runs in a mount namespace of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.intake.scenes import NAMESPACE, SCENES


@pytest.fixture(scope="module")
def _namespaces() -> None:
    attempt = [*NAMESPACE, "sh", "-c", "mount -t tmpfs tmpfs /mnt"]
    if subprocess.run(attempt, capture_output=True, check=False).returncode != 0:
        pytest.skip("no user and mount namespaces here")


@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.usefixtures("_namespaces")
def test_scene(scene: str, tmp_path: Path, project_root: Path) -> None:
    if scene.startswith("fuse") and not os.access("/dev/fuse", os.R_OK | os.W_OK):
        pytest.skip("no /dev/fuse that may be opened")
    command = [*NAMESPACE, sys.executable, "-W", "error", "-m", "tests.intake.scenes", scene, str(tmp_path)]
    done = subprocess.run(
        command, cwd=project_root, capture_output=True, text=True, check=False, timeout=200, env=dict(os.environ)
    )
    assert done.returncode == 0, f"{SCENES[scene].__doc__}\n{done.stdout}{done.stderr}"
