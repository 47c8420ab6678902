"""The set-up script on machines that lack one thing or another.

The script is the real one and runs in a real shell. What it would call to change the machine (apt-get, sudo, uv) is a
stand-in that writes down how it was called, and PATH holds nothing else that could.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

TOOLS = "awk cat chmod cp cut df dirname env grep head mkdir mktemp rm sed sh sha256sum tail touch true".split()  # noqa: SIM905 - a list of commands

#: an interpreter that is ours but for the journal binding, which is there when a file says so
INTERPRETER = """#!/bin/sh
case "$*" in *systemd.journal*) test -e "{folder}/journal-works"; exit ;; esac
exec {python} "$@"
"""
UV = """#!/bin/sh
echo "uv $*" >>"{folder}/calls"
case "$1 $2" in
"venv --quiet")
    mkdir -p .venv/bin
    cp "{folder}/interpreter" .venv/bin/python
    echo "version_info = {version}" >.venv/pyvenv.cfg ;;
*) case "$*" in */journal) test -e "{folder}/can-build" && touch "{folder}/journal-works"; exit ;; esac ;;
esac
"""
APT = """#!/bin/sh
echo "apt-get $*" >>"{folder}/calls"
case "$*" in *install*)
    for tool in cc c++; do printf '#!/bin/sh\\n' >"{tools}/$tool"; chmod +x "{tools}/$tool"; done
    printf '#!/bin/sh\\nexit 0\\n' >"{tools}/pkg-config"; chmod +x "{tools}/pkg-config"
    touch "{folder}/can-build" ;;
esac
"""
AS_USER = '#!/bin/sh\necho "${FAKE_UID:-0}"\n'
SUDO = '#!/bin/sh\necho "sudo $*" >>"{folder}/calls"\n[ "$1" = -n ] && shift\nexec "$@"\n'
OLD_PYTHON = '#!/bin/sh\ncase "$*" in *platform*) echo 3.10.12 ;; *print*) echo 3.10 ;; *) exit 1 ;; esac\n'


@dataclass(frozen=True)
class Machine:
    """A folder with a project in it, and the only commands that are to be found."""

    folder: Path
    project: Path
    tools: Path

    def has(self, name: str, program: str) -> None:
        version = "{}.{}.{}".format(*sys.version_info[:3])
        text = program
        for key, value in {
            "folder": self.folder,
            "tools": self.tools,
            "python": sys.executable,
            "version": version,
        }.items():
            text = text.replace("{" + key + "}", str(value))
        (self.tools / name).write_text(text)
        (self.tools / name).chmod(0o755)

    def set_up(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.project / ".ci/setup"), *arguments],
            env={"PATH": str(self.tools), "HOME": str(self.folder), **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )

    @property
    def calls(self) -> list[str]:
        written = self.folder / "calls"
        return written.read_text().splitlines() if written.exists() else []


@pytest.fixture
def machine(tmp_path: Path, project_root: Path) -> Machine:
    """Has Python and uv; lacks a compiler, pkg-config and libsystemd; its user is root, without apt-get."""
    made = Machine(tmp_path, tmp_path / "a project", tmp_path / "tools")
    (made.project / ".ci").mkdir(parents=True)
    made.tools.mkdir()
    for name in (".ci/setup", "requirements.lock", "pyproject.toml"):
        shutil.copy(project_root / name, made.project / name)
    # the check for free space asks for what the real packages need
    script = (made.project / ".ci/setup").read_text()
    (made.project / ".ci/setup").write_text(script.replace("SPACE_KB=9000000", "SPACE_KB=0"))
    for tool in TOOLS:
        found = shutil.which(tool)
        assert found is not None
        made.has(
            tool, f'#!/bin/sh\nexec {found} "$@"\n'
        )  # no link: a stand-in written over it would change the machine
    made.has("id", AS_USER)
    made.has("python3", INTERPRETER)
    shutil.copy(made.tools / "python3", tmp_path / "interpreter")
    made.has("uv", UV)
    return made


def test_missing_system_packages_are_announced_and_then_installed(machine: Machine) -> None:
    machine.has("apt-get", APT)
    done = machine.set_up()
    assert done.returncode == 0, done.stdout
    announced = next(line for line in done.stdout.splitlines() if "system packages are missing" in line)
    for package in ("g++", "pkg-config", "libsystemd-dev"):
        assert package in announced
    installation = next(call for call in machine.calls if call.startswith("apt-get") and " install " in call)
    assert " -y " in installation
    assert installation.endswith("g++ pkg-config libsystemd-dev")
    assert not any(call.startswith("sudo") for call in machine.calls)
    assert (machine.folder / "journal-works").exists()
    assert "no journal" not in done.stdout


def test_a_user_who_is_not_root_installs_with_sudo(machine: Machine) -> None:
    machine.has("apt-get", APT)
    machine.has("sudo", SUDO)
    done = machine.set_up(FAKE_UID="1000")
    assert done.returncode == 0, done.stdout
    assert "with sudo apt-get:" in done.stdout
    assert any(
        call.startswith("sudo env DEBIAN_FRONTEND=noninteractive") and " install " in call for call in machine.calls
    )


def test_without_root_and_sudo_only_the_journal_is_left_out_and_it_says_so_once(machine: Machine) -> None:
    machine.has("apt-get", APT)
    done = machine.set_up(FAKE_UID="1000")
    assert done.returncode == 0, done.stdout
    assert not any(call.startswith("apt-get") for call in machine.calls)
    (said,) = [line for line in done.stdout.splitlines() if "no journal" in line]
    assert "sudo apt-get install" in said
    assert "libsystemd-dev" in said
    assert machine.set_up().stdout == ""  # once


def test_make_setup_tries_again_what_was_missing(machine: Machine) -> None:
    assert "no journal" in machine.set_up().stdout
    (machine.folder / "can-build").touch()
    assert machine.set_up().stdout == ""
    done = machine.set_up("--again")
    assert done.returncode == 0, done.stdout
    assert "no journal" not in done.stdout
    assert (machine.folder / "journal-works").exists()


def test_every_package_is_installed_with_its_hash(machine: Machine) -> None:
    assert machine.set_up().returncode == 0
    installs = [call for call in machine.calls if call.startswith("uv pip install") and "--editable" not in call]
    assert installs
    for call in installs:
        assert "--require-hashes" in call
        assert "--only-binary :all:" in call or "--no-build-isolation" in call  # no unchecked build tool is fetched


def test_a_second_run_does_nothing_until_the_lock_or_the_place_changes(machine: Machine) -> None:
    assert machine.set_up().returncode == 0
    calls = len(machine.calls)
    assert machine.set_up().stdout == ""
    assert len(machine.calls) == calls

    with (machine.project / "requirements.lock").open("a") as lock:
        lock.write("one-more==1 \\\n    --hash=sha256:" + "0" * 64 + "\n")
    assert machine.set_up().returncode == 0
    assert not any(call.startswith("uv venv") for call in machine.calls[calls:])
    assert any(call.startswith("uv pip install") for call in machine.calls[calls:])

    moved = Machine(machine.folder, machine.folder / "moved", machine.tools)
    machine.project.rename(moved.project)
    calls = len(machine.calls)
    assert "anew" in moved.set_up().stdout
    assert any(call.startswith("uv venv") for call in moved.calls[calls:])


def test_an_unsuitable_python_is_refused_with_the_remedy(machine: Machine) -> None:
    (machine.tools / "uv").unlink()
    machine.has("python3", OLD_PYTHON)
    done = machine.set_up()
    assert done.returncode == 1
    (line,) = done.stdout.splitlines()
    assert "3.11, 3.12 or 3.13 is needed" in line
    assert "python3 is 3.10.12" in line
    assert "PYTHON=" in line
    assert not (machine.project / ".venv").exists()


def test_a_python_that_was_asked_for_is_the_one_that_is_used_or_refused(machine: Machine) -> None:
    (machine.tools / "uv").unlink()
    machine.has("my-python", OLD_PYTHON)
    done = machine.set_up(PYTHON=str(machine.tools / "my-python"))
    assert done.returncode == 1
    assert "my-python is 3.10.12" in done.stdout


def test_a_full_disk_is_said_before_anything_is_downloaded(machine: Machine) -> None:
    machine.has("df", "#!/bin/sh\nprintf 'Filesystem 1024-blocks Used Available\\nx 9 8 -1\\n'\n")
    done = machine.set_up()
    assert done.returncode == 1
    assert "free space" in done.stdout
    assert machine.calls == []


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@pytest.mark.parametrize("folder", ["", "no such folder", "$(shell touch hit)", 'a"; touch hit; "'])
def test_make_run_refuses_a_folder_that_is_not_there(folder: str, tmp_path: Path, project_root: Path) -> None:
    shutil.copy(project_root / "Makefile", tmp_path / "Makefile")
    done = subprocess.run(
        ["make", "--no-print-directory", "run", f"WATCH={folder}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    first = done.stderr.splitlines()[0]
    assert first.startswith("make run: ")
    assert folder in first
    assert not (tmp_path / "hit").exists()


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_help_lists_every_target(project_root: Path) -> None:
    shown = subprocess.run(
        ["make", "--no-print-directory", "help"],
        cwd=project_root,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout
    phony = {
        line.split()[1] for line in (project_root / "Makefile").read_text().splitlines() if line.startswith(".PHONY: ")
    }
    assert {line.split()[1] for line in shown.splitlines()} == {
        target for target in phony if not target.startswith(".")
    }
