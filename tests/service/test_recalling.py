"""Which search the configuration asks for. That each of them finds the same, `vision/test_scorer.py` shows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from deepdupe_daemon.clock import SystemClock
from deepdupe_daemon.config import Config, ModelConfig, RecallConfig, config_for_folders
from deepdupe_daemon.errors import ModelError
from deepdupe_daemon.index import ExactIndex
from deepdupe_daemon.model import SpaceKey
from deepdupe_daemon.service.recalling import exact_index
from deepdupe_daemon.vision import PDQ_SPACE

NEURAL = SpaceKey("own", "final", 64)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    (tmp_path / "photos").mkdir()
    (tmp_path / "state").mkdir()
    base = config_for_folders([tmp_path / "photos"], state_dir=tmp_path / "state", environ={})
    network = ModelConfig(name="own", backend="torchscript", device="cpu")
    return base.model_copy(update={"models": (ModelConfig(), network)})


def filled(config: Config, **recall: object) -> ExactIndex:
    index = exact_index(
        config.model_copy(update={"recall": RecallConfig(**recall)}), [PDQ_SPACE, NEURAL], SystemClock()
    )
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((9000, 64)).astype(np.float32)
    index.add(NEURAL.name, np.arange(9000), rows / np.linalg.norm(rows, axis=1, keepdims=True))
    bits = (rng.integers(0, 2, (50, 256)) * 2.0 - 1.0).astype(np.float32) / 16
    index.add(PDQ_SPACE.name, np.arange(50), bits)
    return index


@pytest.mark.parametrize("device", ["auto", "host", "cpu"])
def test_a_network_s_rows_are_searched_where_it_says_and_pdq_s_on_the_host(config: Config, device: str) -> None:
    index = filled(config, device=device)
    kinds = {"float32 on the host"} | ({"bfloat16 on cpu"} if device != "host" else set())
    assert index.describe(NEURAL.name) in kinds, "whichever a timed product found faster"
    assert index.describe(PDQ_SPACE.name) == "256-bit words on the host"


def test_a_device_that_is_not_there_ends_the_start(config: Config) -> None:
    with pytest.raises(ModelError, match="cuda:63 is not there"):
        filled(config, device="cuda:63")


def test_rows_beyond_the_budget_lie_in_files_and_are_found(config: Config) -> None:
    whole, tight = filled(config, device="host"), filled(config, device="host", budget_bytes=1)
    assert (whole.filed_bytes(), tight.filed_bytes() > 0) == (0, True)
    assert list(config.state_dir.iterdir()) == [], "the files have no names"
    queries = np.random.default_rng(1).standard_normal((5, 64)).astype(np.float32)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    assert tight.search(NEURAL.name, queries, 0.3, 10) == whole.search(NEURAL.name, queries, 0.3, 10)
