"""The unit files are sound, and their sandbox is as tight as the unit says of itself."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

UNITS = ("deepdupe-daemon.service", "deepdupe-daemon@.service")

pytestmark = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze on this machine")


def staged(project_root: Path, tmp_path: Path, unit: str) -> Path:
    """The unit with a program that exists everywhere: `verify` wants ExecStart= to be there."""
    text = (project_root / "systemd" / unit).read_text()
    staged_unit = tmp_path / Path(unit).name.replace("@.", "@x.")
    staged_unit.write_text(text.replace("/opt/deepdupe-daemon/bin/deepdupe-daemon", "/bin/true"))
    return staged_unit


@pytest.mark.parametrize("unit", UNITS)
def test_systemd_has_nothing_to_say_against_it(project_root: Path, tmp_path: Path, unit: str) -> None:
    # It exits 0 on unknown keys and bad values: only silence counts.
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(staged(project_root, tmp_path, unit))],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    about_us = [line for line in done.stderr.splitlines() if "deepdupe" in line]
    assert about_us == []
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("unit", UNITS)
def test_the_sandbox_scores_at_most_0_6(project_root: Path, tmp_path: Path, unit: str) -> None:
    done = subprocess.run(
        [
            *("systemd-analyze", "security", "--offline=yes", "--threshold=6"),
            str(staged(project_root, tmp_path, unit)),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout[-300:] + done.stderr


@pytest.mark.parametrize("unit", UNITS)
def test_without_a_gpu_it_scores_at_most_0_3(project_root: Path, tmp_path: Path, unit: str) -> None:
    path = staged(project_root, tmp_path, unit)
    settings = (project_root / "systemd" / "deepdupe-daemon-cpu.conf").read_text().partition("[Service]\n")[2]
    path.write_text(path.read_text().replace("[Install]", f"{settings}\n[Install]"))
    command = ["systemd-analyze", "security", "--offline=yes", "--threshold=3", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout[-300:] + done.stderr


def test_a_loosened_unit_would_be_found(project_root: Path, tmp_path: Path) -> None:
    path = staged(project_root, tmp_path, UNITS[0])
    path.write_text(path.read_text().replace("PrivateNetwork=yes\n", "").replace("IPAddressDeny=any\n", ""))
    command = ["systemd-analyze", "security", "--offline=yes", "--threshold=6", str(path)]
    assert subprocess.run(command, capture_output=True, check=False, timeout=60).returncode == 1


def test_a_service_of_ones_own_is_sound_too(project_root: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir(mode=0o700)
    done = subprocess.run(
        ["systemd-analyze", "--user", "verify", "--man=no", str(staged(project_root, tmp_path, "user/" + UNITS[0]))],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path / "run"), "HOME": str(tmp_path)},
    )
    assert [line for line in done.stderr.splitlines() if "deepdupe" in line] == []
    assert done.returncode == 0, done.stderr


def test_every_loosened_directive_has_its_reason(project_root: Path) -> None:
    """What a tighter unit would set, and ours does not, is spoken of in a comment."""
    for unit in UNITS:
        text = (project_root / "systemd" / unit).read_text()
        comments = " ".join(line for line in text.splitlines() if line.startswith("#"))
        for directive in ("ProcSubset", "MemoryDenyWriteExecute", "PrivateDevices", "@resources"):
            assert directive in comments, directive


def test_the_template_differs_from_the_unit_only_in_its_instance(project_root: Path) -> None:
    plain, template = (
        [line for line in (project_root / "systemd" / unit).read_text().splitlines() if not line.startswith("#")]
        for unit in UNITS
    )
    assert len(plain) == len(template)
    for a, b in zip(plain, template, strict=True):
        assert a == b or "%i" in b


def test_the_units_restart_is_not_tried_for_a_wrong_configuration(project_root: Path) -> None:
    from deepdupe_daemon.errors import ConfigError

    for unit in UNITS:
        text = (project_root / "systemd" / unit).read_text()
        assert f"RestartPreventExitStatus={ConfigError.exit_code}" in text
        assert "Type=notify\n" in text
