"""One sandbox with the program installed from its wheel, for all tests of this folder."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from deepdupe_daemon.errors import StateError
from deepdupe_daemon.service.installing.interpreter import Interpreter, suitable_interpreter
from tests.systemd.booted import Box, binds, why_not
from tests.systemd.installed import Installed
from tests.systemd.private_root import Plan


@pytest.fixture(scope="session")
def wheel(project_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's wheel, built now."""
    if importlib.util.find_spec("hatchling") is None:
        pytest.skip("hatchling is not installed: the wheel cannot be built")
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=project_root, check=True, capture_output=True, timeout=120)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="session")
def interpreter() -> Interpreter:
    """A Python that a sandboxed service can use."""
    try:
        found = suitable_interpreter()
    except StateError as unsuitable:
        pytest.skip(str(unsuitable))
    if found.copied is not None:
        pytest.skip("this Python lies in a home, and the system has none that loads the same libraries")
    return found


@pytest.fixture(scope="session")
def plan(wheel: Path, project_root: Path) -> Plan:
    """The packages of this environment, without ours, and the wheel."""
    packages = sysconfig.get_path("purelib")
    return Plan(
        readonly=binds(
            (packages, "/srv/packages"), (wheel.parent, "/srv/dist"), (project_root / "tests", "/srv/tests")
        ),
        size="4g",  # of what is written; Chroma wants 2 GiB free
    )


@pytest.fixture(scope="session")
def service(plan: Plan, interpreter: Interpreter) -> Iterator[Installed]:
    """The service, installed and started, watching /srv/photos and a folder below /home."""
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    with Box(plan) as box:
        installed = Installed(box, interpreter)
        installed.prepare()
        installed.install()
        yield installed
