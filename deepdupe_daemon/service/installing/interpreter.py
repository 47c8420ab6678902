"""A Python that a service may rely on: one that does not lie in somebody's home."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from deepdupe_daemon.errors import StateError

__all__ = ["Interpreter", "in_a_home", "suitable_interpreter"]

#: what ProtectHome= hides from the service
HOMES = ("/home", "/root", "/run/user")
#: where distributions and administrators put interpreters
_SYSTEM = ("/usr/bin", "/usr/local/bin", "/opt/python/bin")
_ASK = """
import json, sys, sysconfig
maps = {line.split(None, 5)[5].strip() for line in open("/proc/self/maps") if "/" in line}
print(json.dumps([sysconfig.get_config_var("SOABI"), sys.base_prefix, sorted(maps)]))
"""


@dataclass(frozen=True, slots=True)
class Interpreter:
    """`copied`: the folder of a Python that has to be copied below the prefix, because it lies in a home."""

    executable: Path
    copied: Path | None = None


def in_a_home(path: str | os.PathLike[str]) -> bool:
    """Whether ProtectHome= would hide it."""
    real = os.path.realpath(path)
    return any(real == home or real.startswith(f"{home}/") for home in HOMES)


def suitable_interpreter(candidates: Iterable[str] = _SYSTEM) -> Interpreter:
    """The running one where it lies outside all homes, else one of the system that loads the same libraries, else a
    copy of the running one.

    Raises StateError where a copy would still need files of that home.
    """
    running = Path(getattr(sys, "_base_executable", sys.executable))
    soabi, prefix, maps = _ask(running)
    if not any(in_a_home(path) for path in [*maps, prefix]):
        return Interpreter(running)
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for folder in candidates:
        other = Path(folder, name)
        if os.access(other, os.X_OK):
            its_soabi, its_prefix, its_maps = _ask(other)
            if its_soabi == soabi and not any(in_a_home(path) for path in [*its_maps, its_prefix]):
                return Interpreter(other)
    rpath = _fixed_libraries(running)
    if rpath:
        raise StateError(
            f"this Python lies in a home ({prefix}) and cannot be copied: it finds {rpath} only there",
            where=str(running),
            hint=f"install {name} of the distribution (it is found in {', '.join(candidates)}), or Python by uv",
        )
    return Interpreter(running, copied=Path(prefix))


def _ask(python: Path) -> tuple[str, str, list[str]]:
    try:
        done = subprocess.run([python, "-I", "-c", _ASK], capture_output=True, text=True, check=True, timeout=60)
    except (OSError, subprocess.SubprocessError) as error:
        raise StateError(f"does not run: {error}", where=str(python)) from error
    soabi, prefix, maps = json.loads(done.stdout)
    return soabi, prefix, maps


def _fixed_libraries(python: Path) -> str:
    """A libpython that this interpreter finds by an absolute path into a home; "" where it would move along."""
    if shutil.which("readelf") is None:
        return ""  # what cannot be seen shows when the copy is tried
    shown = subprocess.run(["readelf", "-d", python], capture_output=True, text=True, check=False).stdout
    paths = [line.partition("[")[2].rstrip("]") for line in shown.splitlines() if "RUNPATH" in line or "RPATH" in line]
    return next((path for path in paths if path.startswith("/") and in_a_home(path)), "")
