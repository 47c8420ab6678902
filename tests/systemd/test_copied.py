"""The whole way of an administrator: the program copied with all its packages (6 GB), and nothing else used by it."""

from __future__ import annotations

from pathlib import Path

import pytest

from deepdupe_daemon.service.installing.interpreter import Interpreter
from tests.systemd.booted import Box, why_not
from tests.systemd.installed import Installed
from tests.systemd.private_root import Plan


@pytest.mark.nightly
@pytest.mark.timeout(1800)
def test_the_copied_program_serves_from_its_own_files_alone(
    plan: Plan, interpreter: Interpreter, tmp_path: Path
) -> None:
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    disk = tmp_path / "disk"
    disk.mkdir()
    with Box(Plan(plan.readonly, [(str(disk), "/disk")], plan.size)) as box:
        installed = Installed(box, interpreter)
        installed.prepare()
        command = ("/srv/program/bin/deepdupe-daemon", "service", "install", "--prefix", "/disk/program", "--enable")
        done = box.run(*command, timeout_s=1200)
        assert "copy the program and the" in done
        assert installed.show("ActiveState") == {"ActiveState": "active"}, installed.log()
        assert "/disk/program/bin/deepdupe-daemon" in installed.show("ExecStart")["ExecStart"]
        mapped = box.run("cat", f"/proc/{installed.main_pid()}/maps")
        assert "/disk/program/" in mapped
        assert "/srv/program/" not in mapped
        assert "/srv/packages/" not in mapped
        assert "running (pid" in box.run("/disk/program/bin/deepdupe-daemon", "status")
        assert "torch" in box.run(
            "/disk/program/bin/python", "-c", "import torch; print(torch.__name__)", timeout_s=300
        )
        box.run("/disk/program/bin/deepdupe-daemon", "service", "uninstall", "--prefix", "/disk/program")
        assert not box.path("/disk/program").exists()
        assert installed.show("LoadState") == {"LoadState": "not-found"}
