"""What an import may cost, and what it may do."""

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import deepdupe_daemon

ROOMS = (
    "config",
    "ledger",
    "intake",
    "vision",
    "index",
    "judge",
    "act",
    "calibration",
    "bench",
    "page",
    "service",
    "cli",
)
#: what `--help` must not wait for: each takes between 0.1 s and several seconds to import
HEAVY = {
    "PIL",
    "chromadb",
    "cv2",
    "onnxruntime",
    "open_clip",
    "systemd",
    "torch",
    "torchvision",
    "transformers",
    "watchdog",
}


def imported_by(*arguments: str) -> tuple[set[str], str]:
    """The top-level modules that an interpreter imports when it runs `arguments`, and what it prints."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *arguments], capture_output=True, text=True, check=True, timeout=60
    )
    return {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}, done.stdout


def test_help_imports_nothing_heavy() -> None:
    modules, shown = imported_by("-m", "deepdupe_daemon", "--help")
    assert "watch" in shown
    assert "deepdupe_daemon" in modules  # the report was read as it is meant
    assert not modules & HEAVY


@pytest.mark.parametrize("room", ROOMS)
def test_importing_a_room_is_cheap(room: str) -> None:
    modules, _ = imported_by("-c", f"import deepdupe_daemon.{room}")
    assert "deepdupe_daemon" in modules
    assert not modules & HEAVY


def test_the_version_is_written_once(project_root: Path) -> None:
    project = tomllib.loads((project_root / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["dynamic"] == ["version"]
    assert "version" not in project
    assert importlib.metadata.version("deepdupe-daemon") == deepdupe_daemon.__version__
    newest = re.search(r"^## \[?(\d+\.\d+\.\d+)", (project_root / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert newest is not None
    assert newest[1] == deepdupe_daemon.__version__


def test_both_ways_to_start_it_are_the_same_program() -> None:
    script = os.path.join(os.path.dirname(sys.executable), "deepdupe-daemon")
    shown = [
        subprocess.run([*command, "--version"], capture_output=True, text=True, check=True, timeout=60).stdout
        for command in ([script], [sys.executable, "-m", "deepdupe_daemon"])
    ]
    assert shown[0] == shown[1]
    assert deepdupe_daemon.__version__ in shown[0]
