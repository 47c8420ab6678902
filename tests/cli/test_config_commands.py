"""`config check | show | schema | sample`, and what commands say before anything is known."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.cli.conftest import Deepdupe


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    (tmp_path / "photos").mkdir()
    path = tmp_path / "deepdupe.yaml"
    path.write_text(f"roots:\n  - path: {tmp_path}/photos\nstate_dir: {tmp_path}/state\n")
    return path


def test_check_says_fine(here: Deepdupe, config_file: Path, tmp_path: Path) -> None:
    done = here("config", "check", config_file)
    assert (done.code, done.err) == (0, "")
    assert done.out == f"{config_file}: fine: 1 folder, models pdq, state in {tmp_path}/state\n"
    assert not (tmp_path / "state").exists()
    assert here("config", "check", "--config", config_file).out == done.out


WRONG = {
    "a missing folder": (
        "  - path: {photos}\n",
        "  - path: {photos}x\n",
        "2: roots[0].path: found '{photos}x', which ",
    ),
    "a file as a folder": (
        "  - path: {photos}\n",
        "  - path: {file}\n",
        "2: roots[0].path: found '{file}', which is a",
    ),
    "an unknown key": ("state_dir", "sate_dir", "3: sate_dir: found an unknown key; allowed here: "),
    "a bad number": (
        "state_dir",
        "decoder: {{workers: many}}\nstate_dir",
        "3: decoder.workers: found 'many'; allowed: ",
    ),
    "two roots one inside the other": (
        "state_dir",
        "  - path: {inner}\nstate_dir",
        "3: roots[1].path: found '{inner}', which lies inside roots[0].path",
    ),
    "a state dir that is not writable": (
        "state_dir: {state}",
        "state_dir: /proc/state",
        "3: state_dir: found '/proc/state', which user {uid} cannot write",
    ),
    "a bad YAML indent": (
        "state_dir",
        "   - path: /\nstate_dir",
        "3: bad indentation: found a line that ",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_every_wrong_example_gets_its_message_and_exit_code(
    name: str, here: Deepdupe, config_file: Path, tmp_path: Path
) -> None:
    (tmp_path / "photos" / "inner").mkdir()
    (tmp_path / "photos" / "file").touch()
    names = {
        "photos": f"{tmp_path}/photos",
        "inner": f"{tmp_path}/photos/inner",
        "file": f"{tmp_path}/photos/file",
        "state": f"{tmp_path}/state",
        "uid": str(os.geteuid()),
    }
    old, new, expected = (text.format(**names) for text in WRONG[name])
    text = config_file.read_text()
    assert old in text
    config_file.write_text(text.replace(old, new))
    for command in (["config", "check", str(config_file)], ["run", "--config", str(config_file)]):
        done = here(*command)
        assert done.code == 78
        assert done.err.startswith(f"error: {config_file}:{expected}"), done.err
        assert "Traceback" not in done.err


def test_show_prints_what_is_in_force_and_can_be_read_again(here: Deepdupe, config_file: Path, tmp_path: Path) -> None:
    shown = here("config", "show", config_file)
    assert shown.code == 0
    (tmp_path / "again.yaml").write_text(shown.out)
    assert here("config", "check", "again.yaml").code == 0
    assert "settle_s: 2.0" in shown.out


def test_schema_and_sample_are_printed(here: Deepdupe) -> None:
    assert json.loads(here("config", "schema").out)["title"] == "Config"
    sample = here("config", "sample")
    assert sample.out == (Path(__file__).parents[2] / "config" / "deepdupe.yaml").read_text()


@pytest.mark.parametrize("words", [["status"], ["duplicates"], ["why", "x"], ["rescan"], ["check", "x"]])
def test_before_anything_is_known_each_command_says_so(words: list[str], here: Deepdupe) -> None:
    if Path("/etc/deepdupe-daemon/deepdupe.yaml").exists():
        pytest.skip("this machine has a daemon of its own")
    done = here(*words)
    assert done.code == 78
    assert done.err.startswith("error: nothing is known yet")
    assert "hint: `deepdupe-daemon scan DIR`" in done.err
    elsewhere = here(*words, "--state-dir", "nowhere")
    assert elsewhere.code == 78
    assert elsewhere.err.startswith("error: nowhere: nothing is known here yet")


def test_two_answers_to_where_are_one_too_many(here: Deepdupe, config_file: Path) -> None:
    done = here("status", "--config", config_file, "--state-dir", "x")
    assert done.code == 78
    assert "--config and --state-dir were both given" in done.err


@pytest.mark.parametrize("option", [["--since", "yesterday-ish"], ["--class", "copied"]])
def test_a_wrong_option_value_is_told(option: list[str], here: Deepdupe, config_file: Path) -> None:
    done = here("duplicates", "--config", config_file, *option)
    assert done.code == 78
    assert f"error: {option[0]}: found '{option[1]}'; allowed: " in done.err
