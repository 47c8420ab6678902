"""The configuration that a state dir remembers."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from deepdupe_daemon.config import Config, ModelConfig, RootConfig, recall, remember
from deepdupe_daemon.errors import StateError


def test_what_was_remembered_is_recalled_whatever_the_names(tmp_path: Path) -> None:
    config = Config(
        roots=(RootConfig(path=Path(os.fsdecode(b"/caf\xe9\n\xff")), exclude=("*é",)),),
        state_dir=tmp_path,
        models=(ModelConfig(name="x", mean=(0.1, 0.2, 0.3), std=(1, 1, 1), cache_dir=Path("/c")), ModelConfig()),
        match=("pdq.hash",),
    )
    remember(config)
    assert recall(tmp_path) == config
    assert (tmp_path / "configuration.json").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["configuration.json"]


def test_a_moved_state_dir_is_the_one_where_it_is_now(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    remember(Config(roots=(RootConfig(path=Path("/p")),), state_dir=tmp_path / "old"))
    (tmp_path / "old").rename(tmp_path / "new")
    recalled = recall(tmp_path / "new")
    assert recalled is not None
    assert recalled.state_dir == tmp_path / "new"


def test_an_unused_state_dir_remembers_nothing(tmp_path: Path) -> None:
    assert recall(tmp_path) is None
    assert recall(tmp_path / "none") is None


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"configuration": {"roots": 3}}', '{"configuration": {"new": 1}}', "é"]
)
def test_what_cannot_be_understood_is_told_with_the_remedy(tmp_path: Path, text: str) -> None:
    (tmp_path / "configuration.json").write_text(text)
    with pytest.raises(StateError, match="no configuration of this version") as caught:
        recall(tmp_path)
    assert "--config" in str(caught.value)


def test_a_state_dir_that_vanished_is_told(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="cannot be written"):
        remember(Config(roots=(RootConfig(path=Path("/p")),), state_dir=tmp_path / "none"))
