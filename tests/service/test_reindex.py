"""Other weights under the same name: refused, built beside the ones that serve, switched to, dropped."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from deepdupe_daemon.act import Kind
from deepdupe_daemon.clock import SystemClock
from deepdupe_daemon.config import Config, ModelConfig, config_for_folders
from deepdupe_daemon.errors import AlreadyRunning, ConfigError, SpaceMismatch
from deepdupe_daemon.ledger import Ledger
from deepdupe_daemon.service import drop_old_spaces, reindex, reindexing, run_scan
from tests.conftest import Eventually
from tests.service.pictures import photo, save
from tests.service.test_pipeline import running
from tests.vision.networks import save_torchscript

PICTURES = 7


class Small(nn.Module):
    """A copy detector in miniature: a strided convolution, pooled to a 2 x 2 grid, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Conv2d(3, 8, 7, stride=4)
        self.head = nn.Linear(8 * 4, 16)

    def forward(self, pictures: Tensor) -> Tensor:
        pooled: Tensor = nn.functional.adaptive_avg_pool2d(self.body(pictures).abs(), 2)
        result: Tensor = self.head(pooled.flatten(1))
        return result


def write_weights(path: Path, seed: int) -> None:
    torch.manual_seed(seed)
    save_torchscript(Small(), torch.zeros(2, 3, 64, 64), path.with_suffix(".part"))
    path.with_suffix(".part").rename(path)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    write_weights(tmp_path / "small.pt", seed=1)
    return tmp_path / "small.pt"


@pytest.fixture
def config(tmp_path: Path, weights: Path) -> Config:
    """Two models side by side, the weight-free one and a network, over seven pictures of which one is a copy."""
    photos = tmp_path / "photos"
    for seed in range(PICTURES - 1):
        save(photo(seed), photos / f"{seed}.png")
    save(photo(0), photos / "copy.jpg", quality=85)
    for path in photos.iterdir():
        os.utime(path, (1_600_000_000, 1_600_000_000))  # long quiet: nothing to settle
    network = ModelConfig(
        name="small",
        backend="torchscript",
        weights=str(weights),
        device="cpu",
        precision="fp32",
        input_px=64,
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
    )
    base = config_for_folders([photos], state_dir=tmp_path / "state", environ={})
    return base.model_copy(update={"models": (ModelConfig(), network)})


def rows(config: Config, space: str) -> int:
    with Ledger.open(config.state_dir, SystemClock(), readonly=True) as ledger:
        return sum(len(ids) for ids, _ in ledger.vectors(space))


def fingerprints(config: Config) -> dict[str, str]:
    with Ledger.open(config.state_dir, SystemClock(), readonly=True) as ledger:
        return {key.name: key.fingerprint() for key in ledger.spaces()}


def collections(config: Config) -> set[str]:
    """What another program finds in a copy of the store."""
    copy = config.state_dir / "copy"
    shutil.copytree(config.state_dir / "chroma", copy)
    program = f"import chromadb; print(*[c.name for c in chromadb.PersistentClient({str(copy)!r}).list_collections()])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    return set(done.stdout.split())


def rebuild(config: Config, **options: object) -> reindexing.ReindexResult:
    return reindex(config, "small", clock=SystemClock(), environ={}, **options)  # type: ignore[arg-type]  # passed on


def test_other_weights_under_the_same_name_are_refused_with_the_remedy(config: Config, weights: Path) -> None:
    run_scan(config)
    write_weights(weights, seed=2)
    with pytest.raises(SpaceMismatch, match="weights_digest") as refused:
        run_scan(config)
    assert refused.value.hint == "deepdupe-daemon reindex --model small"
    assert rows(config, "small.final") == PICTURES, "and nothing was lost"


def test_a_build_goes_on_where_it_was_stopped_and_takes_over_at_once(
    config: Config, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_scan(config)
    before = fingerprints(config)
    write_weights(weights, seed=2)
    monkeypatch.setattr(reindexing, "BATCH", 2)
    stop = threading.Event()
    first = rebuild(config, stop=stop, on_progress=lambda done, _total: stop.set() if done >= 4 else None)
    assert (first.complete, first.switched, first.embedded) == (False, False, 4)
    assert fingerprints(config) == before, "the old one serves until the new one is whole"
    second = rebuild(config)
    assert (second.complete, second.switched, second.embedded) == (True, True, PICTURES - 4)
    assert fingerprints(config)["small.final"] != before["small.final"]
    assert fingerprints(config)["pdq.hash"] == before["pdq.hash"]
    assert rows(config, "small.final") == PICTURES
    assert run_scan(config).indexed == PICTURES


def test_the_same_weights_need_no_build(config: Config) -> None:
    run_scan(config)
    result = rebuild(config)
    assert (result.spaces, result.embedded, result.switched) == ((), 0, True)


def test_a_running_daemon_serves_on_and_switches_at_its_next_start(
    config: Config, weights: Path, tmp_path: Path, eventually: Eventually
) -> None:
    run_scan(config)
    before = fingerprints(config)
    photos = config.roots[0].path
    with running(config, eventually) as service:
        write_weights(weights, seed=2)
        result = rebuild(config)
        assert (result.complete, result.switched) == (True, False)
        with pytest.raises(AlreadyRunning):
            drop_old_spaces(config, clock=SystemClock(), environ=dict(os.environ))
        shutil.copy(photos / "3.png", photos / "live-copy.png")
        save(photo(77), photos / "live-new.png")
        eventually(lambda: service.told(Kind.DUPLICATE_FOUND), timeout_s=30)
        # the copy shares the vector of its original
        eventually(lambda: rows(config, "small.final") == PICTURES + 1, timeout_s=30)
        assert fingerprints(config) == before
    run_scan(config)
    assert fingerprints(config)["small.final"] != before["small.final"]
    assert rows(config, "small.final") == PICTURES + 1, "what came during the build is embedded too"
    assert [name.split("~")[0] for name in drop_old_spaces(config, clock=SystemClock(), environ=dict(os.environ))] == [
        "small.final"
    ]
    assert rows(config, "small.final") == PICTURES + 1
    assert collections(config) == {"pdq.hash-g0", "small.final-g1"}
    assert run_scan(config).indexed == PICTURES + 2


def test_a_killed_build_is_resumed(config: Config, weights: Path) -> None:
    run_scan(config)
    write_weights(weights, seed=2)
    program = f"""
import os, signal
from deepdupe_daemon.clock import SystemClock
from deepdupe_daemon.config import Config
from deepdupe_daemon.service import reindexing
reindexing.BATCH = 2
config = Config.model_validate_json({config.model_dump_json()!r})
reindexing.reindex(config, "small", clock=SystemClock(), environ={{}},
    on_progress=lambda done, total: os.kill(os.getpid(), signal.SIGKILL) if done >= 4 else None)
"""
    done = subprocess.run([sys.executable, "-c", program], check=False, timeout=120)
    assert done.returncode == -signal.SIGKILL
    result = rebuild(config)
    assert (result.complete, result.switched, result.embedded) == (True, True, PICTURES - 4)
    assert rows(config, "small.final") == PICTURES


def test_weights_that_moved_are_the_same_weights(config: Config, weights: Path, tmp_path: Path) -> None:
    run_scan(config)
    (tmp_path / "elsewhere").mkdir()
    moved = weights.rename(tmp_path / "elsewhere" / "renamed.pt")
    pdq, network = config.models
    there = config.model_copy(update={"models": (pdq, network.model_copy(update={"weights": str(moved)}))})
    assert run_scan(there).indexed == PICTURES
    assert rebuild(there).spaces == ()


def test_a_build_of_weights_that_nobody_wants_any_more_is_forgotten(
    config: Config, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_scan(config)
    monkeypatch.setattr(reindexing, "BATCH", 2)
    write_weights(weights, seed=2)
    stop = threading.Event()
    rebuild(config, stop=stop, on_progress=lambda _done, _total: stop.set())
    write_weights(weights, seed=3)
    assert rebuild(config).switched
    with Ledger.open(config.state_dir, SystemClock(), readonly=True) as ledger:
        assert [spare.state for spare in ledger.spare_spaces()] == ["retired"], "it is kept until it is dropped"


def test_a_model_that_is_not_configured_is_named(config: Config) -> None:
    with pytest.raises(ConfigError, match="no model 'large' is configured") as refused:
        reindex(config, "large", clock=SystemClock(), environ={})
    assert "pdq, small" in (refused.value.hint or "")
