"""What an installation is made of: the drop-in, the interpreter, the copied program. tests/systemd boots it."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from deepdupe_daemon.config import Config, validated
from deepdupe_daemon.errors import ConfigError, StateError
from deepdupe_daemon.service.installing import installation as installing
from deepdupe_daemon.service.installing import program
from deepdupe_daemon.service.installing.installation import Wish, installation, removal
from deepdupe_daemon.service.installing.interpreter import Interpreter, in_a_home, suitable_interpreter
from deepdupe_daemon.service.installing.opening import drop_in_text, needs_gpu, quoted
from deepdupe_daemon.service.installing.program import build_program, distributions_needed, remove_program
from deepdupe_daemon.service.installing.step import write_file
from deepdupe_daemon.service.installing.target import UNIT, Target, shipped_units


def configured(*roots: tuple[str, str], **values: Any) -> Config:
    return validated({"roots": [{"path": path, "action": action} for path, action in roots], **values})


def settings(config: Config, *, user: bool = False, run_as: str | None = None, version: int = 252) -> list[str]:
    text = drop_in_text(config, Path("/etc/d.yaml"), user=user, run_as=run_as, systemd_version=version)
    assert "[Service]\n" in text
    return [line for line in text.partition("[Service]\n")[2].splitlines() if not line.startswith("#")]


def test_folders_are_opened_exactly_as_far_as_their_action_needs() -> None:
    config = configured(
        ("/home/a/Pictures", "observe"),
        ("/home/b", "quarantine"),
        ("/srv/photos", "observe"),
        ("/srv/sorted", "quarantine"),
    )
    assert settings(config) == [
        'BindReadOnlyPaths=-"/home/a/Pictures"',
        'BindPaths=-"/home/b"',
        'ReadWritePaths=-"/srv/sorted"',
    ]
    assert settings(config, user=True) == []


def test_other_places_that_it_writes_are_opened_too() -> None:
    config = configured(("/srv/p", "quarantine"), state_dir="/data/state", quarantine={"folder": "/data/aside"})
    assert settings(config)[-2:] == ['ReadWritePaths=-"/data/state"', 'ReadWritePaths=-"/data/aside"']


def test_settings_that_only_a_newer_systemd_knows_are_left_to_it() -> None:
    config = configured(("/srv/p", "observe"))
    assert settings(config, version=252) == []
    assert settings(config, version=254) == ["RestartSteps=6", "RestartMaxDelaySec=300"]
    assert settings(config, run_as="ann") == ["User=ann", "Group="]


def test_a_folder_with_a_name_that_no_unit_can_hold_is_refused() -> None:
    assert quoted('/a "b" 100% \\ c') == '"/a \\"b\\" 100%% \\\\ c"'
    with pytest.raises(StateError, match="cannot be opened in a unit"):
        quoted("/a\nReadWritePaths=/")


@pytest.mark.parametrize(
    ("models", "gpu_is_there", "needed"),
    [
        ([{"name": "pdq"}], True, False),
        ([{"name": "clip-vit-b-32"}], True, True),
        ([{"name": "clip-vit-b-32"}], False, False),
        ([{"name": "clip-vit-b-32", "device": "cpu"}], True, False),
        ([{"name": "clip-vit-b-32", "device": "cuda"}], False, True),
    ],
)
def test_devices_are_open_only_where_a_model_may_use_them(
    tmp_path: Path, models: list[dict[str, str]], gpu_is_there: bool, needed: bool
) -> None:
    if gpu_is_there:
        (tmp_path / "nvidiactl").touch()
    assert needs_gpu(configured(("/p", "observe"), models=models), tmp_path) is needed


def test_a_python_in_a_home_is_not_what_a_service_stands_on() -> None:
    assert in_a_home("/home/ann/.pyenv/bin/python")
    assert in_a_home("/root")
    assert not in_a_home("/homestead/python")
    found = suitable_interpreter()
    assert found.copied is not None or not in_a_home(found.executable)
    soabi = "import sysconfig; print(sysconfig.get_config_var('SOABI'))"
    said = [
        subprocess.run([python, "-c", soabi], capture_output=True, text=True, check=True).stdout
        for python in (found.executable, sys.executable)
    ]
    assert said[0] == said[1]


def test_what_the_program_needs_is_found_and_no_tool_of_ours_is() -> None:
    names = distributions_needed()
    assert {"deepdupe-daemon", "chromadb", "torch", "typer", "numpy"} <= set(names)
    assert not {"pytest", "mypy", "ruff", "hatchling", "hypothesis"} & set(names)


def test_a_package_that_is_missing_is_named() -> None:
    def without(name: str) -> metadata.Distribution:
        if name == "watchdog":
            raise metadata.PackageNotFoundError(name)
        return metadata.distribution(name)

    with pytest.raises(StateError, match="deepdupe-daemon needs watchdog"):
        distributions_needed(without)


SMALL = [
    *("deepdupe-daemon", "typer", "click", "rich", "shellingham", "annotated-doc", "typing-extensions"),
    *("pydantic", "pydantic-core", "typing-inspection", "annotated-types", "numpy", "pyyaml"),
]


def installed_names(names: list[str]) -> list[str]:
    here = {str(found.metadata["Name"]).lower().replace("_", "-") for found in metadata.distributions()}
    return [name for name in names if name in here]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    prefix = tmp_path_factory.mktemp("opt") / "deepdupe-daemon"
    build_program(prefix, Interpreter(Path(sys.executable).resolve()), installed_names(SMALL), shipped_units())
    return prefix


def test_the_copied_program_runs_from_its_own_files_alone(built: Path) -> None:
    where = "import deepdupe_daemon, click, sys; print(deepdupe_daemon.__file__, click.__file__, sys.prefix, sep='\\n')"
    done = subprocess.run(
        [built / "bin/python", "-I", "-c", where], capture_output=True, text=True, check=True, cwd="/"
    )
    assert all(line.startswith(str(built)) for line in done.stdout.splitlines())
    version = subprocess.run([built / "bin/deepdupe-daemon", "--version"], capture_output=True, text=True, check=True)
    assert version.stdout.startswith("deepdupe-daemon ")
    assert (built / "bin/deepdupe-daemon").read_text().startswith(f"#!{built}/bin/python\n")
    assert list(built.glob(f"lib/*/site-packages/deepdupe_daemon/systemd/{UNIT}"))


def test_nobody_else_can_change_the_copied_program(built: Path) -> None:
    found = [path.lstat() for path in built.rglob("*") if not path.is_symlink()]
    assert not [status for status in found if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)]
    assert not [status for status in found if stat.S_ISREG(status.st_mode) and status.st_nlink > 1]
    assert not list(built.glob("lib/*/site-packages/*editable*"))


def test_an_upgrade_replaces_the_program_and_nothing_else_ever_is(built: Path, tmp_path: Path) -> None:
    (built / "lib" / "left-over").touch()
    build_program(built, Interpreter(Path(sys.executable).resolve()), installed_names(SMALL), shipped_units())
    assert not (built / "lib" / "left-over").exists()
    assert [path.name for path in built.parent.iterdir()] == [built.name]
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(StateError, match="something else than this program"):
        build_program(tmp_path, Interpreter(Path(sys.executable)), [], shipped_units())
    remove_program(tmp_path)
    assert (tmp_path / "thesis.txt").exists()


def test_a_program_that_would_not_run_does_not_take_the_old_ones_place(
    built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    before = (built / "bin/deepdupe-daemon").stat().st_ino
    monkeypatch.setattr(program, "_copy_distribution", broken)
    with pytest.raises(StateError, match="No space left"):
        build_program(built, Interpreter(Path(sys.executable).resolve()), ["x"], shipped_units())
    assert (built / "bin/deepdupe-daemon").stat().st_ino == before


def test_a_checkout_is_not_used_in_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installing, "is_checkout", lambda: True)
    wish = Wish(configured(("/p", "observe")), tmp_path / "d.yaml", in_place=True)
    with pytest.raises(ConfigError, match="checkout or lies in a home"):
        installation(Target.system(root=tmp_path), wish)


def test_another_configuration_is_not_overwritten(tmp_path: Path) -> None:
    target = Target.system(root=tmp_path)
    target.config.parent.mkdir(parents=True)
    target.config.write_text("mine\n")
    (tmp_path / "other.yaml").write_text("roots: []\n")
    wish = Wish(configured(("/p", "observe")), tmp_path / "other.yaml")
    with pytest.raises(ConfigError, match="another configuration already"):
        installation(target, wish)
    assert target.config.read_text() == "mine\n"


def test_a_configuration_beside_the_machines_own_is_an_instance(tmp_path: Path) -> None:
    target = Target.system(root=tmp_path)
    assert target.serving(target.config).unit == UNIT
    assert target.serving(tmp_path / "elsewhere.yaml").unit == UNIT
    other = target.serving(target.config.with_name("photos.yaml"))
    assert other.unit == "deepdupe-daemon@photos.service"
    assert other.drop_in.parent.name == "deepdupe-daemon@photos.service.d"
    with pytest.raises(ConfigError, match="named by letters"):
        target.serving(target.config.with_name("my photos.yaml"))


def test_a_removal_of_nothing_touches_nothing(tmp_path: Path) -> None:
    texts = [step.text for step in removal(Target.system(root=tmp_path))]
    assert not [text for text in texts if text.startswith("remove ")]


def test_a_file_is_written_whole_and_through_no_link(tmp_path: Path) -> None:
    target = tmp_path / "a" / "b.conf"
    write_file(target, "one\n").do()
    write_file(target, "two\n", mode=0o600).do()
    assert (target.read_text(), target.stat().st_mode & 0o777) == ("two\n", 0o600)
    assert os.listdir(target.parent) == ["b.conf"]
    (tmp_path / "file").touch()
    with pytest.raises(StateError, match="cannot be written"):
        write_file(tmp_path / "file" / "c", "").do()
