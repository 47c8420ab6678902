"""The configuration of `watch` and `scan`, made of folder names alone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from deepdupe_daemon.config import config_for_folders, user_state_dir
from deepdupe_daemon.errors import ConfigError


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"XDG_STATE_HOME": "/s", "HOME": "/h"}, "/s/deepdupe-daemon"),
        ({"XDG_STATE_HOME": "relative", "HOME": "/h"}, "/h/.local/state/deepdupe-daemon"),
        ({"HOME": "/h"}, "/h/.local/state/deepdupe-daemon"),
    ],
)
def test_the_state_dir_follows_the_xdg_specification(environ: dict[str, str], expected: str) -> None:
    assert user_state_dir(environ) == Path(expected)


def test_a_model_may_bring_its_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own.pt").touch()
    monkeypatch.chdir(tmp_path)
    names = ["pdq", "clip-vit-b-32=datacomp_xl_s13b_b90k", "sscd-disc-mixup=own.pt", "clip-vit-l-14=gone.pt"]
    config = config_for_folders(["."], models=names, state_dir=Path("/s"), environ={})
    assert [(model.name, model.weights) for model in config.models] == [
        ("pdq", None),
        ("clip-vit-b-32", "datacomp_xl_s13b_b90k"),
        ("sscd-disc-mixup", str(tmp_path / "own.pt")),
        ("clip-vit-l-14", "gone.pt"),
    ]


def test_folders_may_be_relative_linked_and_undecodable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = os.fsdecode(b"caf\xe9")
    for name in ("a", odd):
        (tmp_path / name).mkdir()
    (tmp_path / "link").symlink_to("a")
    monkeypatch.chdir(tmp_path)
    config = config_for_folders(["link", odd], environ={"XDG_STATE_HOME": str(tmp_path / "state")})
    assert [root.path_bytes for root in config.roots] == [
        os.fsencode(tmp_path / "a"),
        os.fsencode(tmp_path) + b"/caf\xe9",
    ]
    assert config.state_dir == tmp_path / "state" / "deepdupe-daemon"
    assert [model.name for model in config.models] == ["pdq"]


def test_models_and_the_state_dir_can_be_named(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    config = config_for_folders([tmp_path / "a"], state_dir=tmp_path / "s", models=["clip-vit-b-32", "pdq"], environ={})
    assert [model.name for model in config.models] == ["clip-vit-b-32", "pdq"]
    assert config.state_dir == tmp_path / "s"


def test_every_problem_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "file\n").touch()
    with pytest.raises(ConfigError) as caught:
        config_for_folders(
            [tmp_path / "a", tmp_path / "a" / "b", tmp_path / "none", tmp_path / "file\n"],
            state_dir=tmp_path / "a" / "state",
            environ={},
        )
    told = caught.value.what.split("\n")
    assert len(told) == 4
    assert "which does not exist" in told[0]
    assert "file\\n', which is a file" in told[1]
    assert "lies inside another folder given" in told[2]
    assert told[3].startswith("state dir: found")
    assert told[3].endswith("--state-dir names another one")


@pytest.mark.parametrize("models", [["pdq", "pdq"], ["CLIP"]])
def test_a_wrong_model_name_is_told(tmp_path: Path, models: list[str]) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(ConfigError, match=r"models.*found.*allowed"):
        config_for_folders([tmp_path / "a"], state_dir=tmp_path / "s", models=models, environ={})


def test_no_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="roots: found a list of 0; allowed"):
        config_for_folders([], state_dir=tmp_path / "s", environ={})
