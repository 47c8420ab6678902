"""The program inside a sandbox, installed from its wheel, and what systemd and the journal say of it."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

from deepdupe_daemon.service.installing.interpreter import Interpreter
from tests.systemd.booted import Box

__all__ = ["HOME_ROOT", "Installed"]

PROGRAM = "/srv/program"
UNIT = "deepdupe-daemon.service"
#: as awkward as a name in a unit file can be
HOME_ROOT = '/home/ann/My "100%" Pictures: new'

CONFIG = f"""\
roots:
  - path: /srv/photos
  - path: '{HOME_ROOT}'
  - path: /srv/sorted
    action: quarantine
intake:
  close_settle_s: 0.05
judge:
  bundle_wait_s: 0
"""

_SCRIPT = f"""\
#!{PROGRAM}/bin/python
import sys
from deepdupe_daemon.cli import main
sys.exit(main())
"""


class Installed:
    """Owned by the test session's thread."""

    def __init__(self, box: Box, interpreter: Interpreter) -> None:
        self.box = box
        self._python = str(interpreter.executable)

    def prepare(self) -> None:
        """Everything up to `service install`: the wheel in an environment, a configuration, folders."""
        self.box.run(self._python, "-m", "venv", "--without-pip", PROGRAM)
        site = self.site
        self.box.run("sh", "-c", f"{self._python} -m zipfile -e /srv/dist/*.whl {site}")
        self.write(f"{site}/packages.pth", "/srv/packages\n")
        self.write(f"{PROGRAM}/bin/deepdupe-daemon", _SCRIPT, mode=0o755)
        for folder in ("/srv/photos", HOME_ROOT, "/srv/sorted"):
            self.box.path(folder).mkdir(parents=True)
        self.box.path("/srv/sorted").chmod(0o777)  # to quarantine from a folder is to write in it
        self.write("/etc/deepdupe-daemon/deepdupe.yaml", CONFIG)
        self.write(f"/run/systemd/system/{UNIT}.d/quick.conf", "[Service]\nRestartSec=100ms\n")

    def install(self, *options: str) -> str:
        return self.program("service", "install", "--in-place", "--enable", *options)

    @property
    def site(self) -> str:
        name = Path(
            self.box.run(self._python, "-c", "import sysconfig; print(sysconfig.get_path('stdlib'))").strip()
        ).name
        return f"{PROGRAM}/lib/{name}/site-packages"

    def program(self, *words: str, check: bool = True) -> str:
        """What `deepdupe-daemon WORDS` prints."""
        return self.box.run(f"{PROGRAM}/bin/deepdupe-daemon", *words, check=check)

    def write(self, path: str, text: str, *, mode: int = 0o644) -> None:
        target = self.box.path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        target.chmod(mode)

    def drop(self, source: Path, target: str) -> None:
        """A picture arrives, readable for everybody."""
        partial = self.box.path(f"{target}.part")
        shutil.copyfile(source, partial)
        partial.chmod(0o644)
        partial.rename(self.box.path(target))

    def systemctl(self, *words: str, check: bool = True) -> str:
        return self.box.run("systemctl", *words, check=check)

    def show(self, *properties: str) -> dict[str, str]:
        text = self.systemctl("show", UNIT, "-p", ",".join(properties))
        return dict(line.split("=", 1) for line in text.splitlines())

    def main_pid(self) -> int:
        """As seen inside."""
        return int(self.show("MainPID")["MainPID"])

    def journal(self, *matches: str) -> list[dict[str, Any]]:
        """Entries, oldest first. Fields whose bytes are no text come as lists of numbers."""
        self.box.run("journalctl", "--sync")
        text = self.box.run("journalctl", "-q", "-a", "-o", "json", "--no-pager", *matches)
        return [json.loads(line) for line in text.splitlines() if line.startswith("{")]

    def told(self, message_id: str, path: str | None = None) -> list[dict[str, Any]]:
        matches = [f"MESSAGE_ID={message_id}"] + ([f"DEEPDUPE_PATH={path}"] if path is not None else [])
        return self.journal(*matches)

    def log(self) -> str:
        """The end of the unit's journal, for the message of a failing test."""
        text = self.box.run("journalctl", "-q", "--no-pager", "-n", "60", "-u", UNIT, check=False)
        return re.sub(r"(?m)^\w+ \d+ [\d:]+ \S+ ", "", text)
