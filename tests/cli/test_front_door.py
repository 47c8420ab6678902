"""Help, version, errors and what they import."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from deepdupe_daemon import __version__
from tests.cli.conftest import Deepdupe
from tests.conftest import PROJECT_ROOT

_HEAVY = ("torch", "chromadb", "watchdog", "cv2", "PIL", "systemd", "numpy", "pydantic", "rich", "yaml", "sqlite3")


def test_help_lists_every_command_and_loads_nothing_heavy() -> None:
    program = (
        "import sys\nsys.argv = ['deepdupe-daemon', '--help']\n"
        "from deepdupe_daemon.cli import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    code = end.code\n"
        f"print('LOADED', code, [name for name in {_HEAVY!r} if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=PROJECT_ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.splitlines()[-1] == "LOADED 0 []"
    for name in ("watch", "scan", "check", "duplicates", "why", "status", "rescan", "run", "config", "mark"):
        assert f"\n  {name} " in done.stdout


def test_no_arguments_say_what_can_be_done(here: Deepdupe) -> None:
    done = here()
    assert done.code == 0
    assert "Commands:" in done.out


def test_the_version(here: Deepdupe) -> None:
    done = here("--version")
    assert (done.code, done.out) == (0, f"deepdupe-daemon {__version__}\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ["watch"],
        ["scan"],
        ["check"],
        ["nonsense"],
        ["scan", "--modell", "x", "."],
        ["scan", "--config", "x.yaml", "."],
        ["why"],
        ["mark", "not-duplicate", "a"],
    ],
)
def test_a_wrong_call_ends_with_2_and_says_how_to_get_help(arguments: list[str], here: Deepdupe) -> None:
    done = here(*arguments)
    assert done.code == 2
    assert "--help" in done.err
    assert "Traceback" not in done.err


def test_a_foreseen_failure_is_one_line_with_its_remedy(here: Deepdupe) -> None:
    done = here("run", "--config", "none.yaml")
    assert done.code == 78
    assert done.out == ""
    assert done.err.splitlines() == [
        "error: none.yaml: found no such file; allowed: a YAML file",
        "hint: `deepdupe-daemon config sample > FILE` writes one to start from",
    ]


def test_the_trace_comes_on_demand(here: Deepdupe) -> None:
    done = here("--debug", "run", "--config", "none.yaml")
    assert done.code == 78
    assert "Traceback" in done.err
    assert "error: none.yaml: found no such file" in done.err


def test_a_name_cannot_forge_a_line_of_an_error(here: Deepdupe) -> None:
    done = here("scan", b"a\nerror: \xff\x1b[31m")
    assert done.code == 78
    assert len(done.err.splitlines()) == 1
    assert "a\\nerror: " in done.err
    assert "\x1b" not in done.err


def test_a_failure_that_nobody_foresaw_has_its_trace_and_its_own_code() -> None:
    program = (
        "import sys\nsys.argv = ['deepdupe-daemon', 'config', 'sample']\n"
        "import deepdupe_daemon.config\n"
        "def sample_yaml():\n    raise RuntimeError('unforeseen')\n"
        "deepdupe_daemon.config.sample_yaml = sample_yaml\n"
        "from deepdupe_daemon.cli import main\nmain()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=PROJECT_ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 70, "1 would say that duplicates were found"
    assert "Traceback" in done.stderr
    assert "error: RuntimeError: unforeseen" in done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_can_be_shown(shell: str, deepdupe: Deepdupe, environment: dict[str, str]) -> None:
    environment["_DEEPDUPE_DAEMON_COMPLETE"] = f"source_{shell}"
    done = deepdupe()
    assert done.code == 0
    assert "deepdupe-daemon" in done.out


def test_a_terminal_that_knows_fewer_letters_still_gets_every_line(
    deepdupe: Deepdupe, environment: dict[str, str], tmp_path: Path
) -> None:
    environment["PYTHONIOENCODING"] = "latin-1"
    done = deepdupe("config", "check", "照片.yaml")
    assert (done.code, done.err.splitlines()[0]) == (
        78,
        "error: \\u7167\\u7247.yaml: found no such file; allowed: a YAML file",
    )


def test_a_reader_that_has_enough_is_no_failure_to_speak_of(command: list[str], environment: dict[str, str]) -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [*command, "config", "sample"], stdout=write, stderr=subprocess.PIPE, env=environment, check=False, timeout=60
    )
    os.close(write)
    assert b"Traceback" not in done.stderr
    assert b"BrokenPipe" not in done.stderr
