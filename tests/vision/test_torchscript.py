"""TorchScript files: SSCD's presets and any other by configuration."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from deepdupe_daemon.config import ModelConfig
from deepdupe_daemon.errors import ConfigError, ModelError
from deepdupe_daemon.vision import Embedder, load_embedder
from deepdupe_daemon.vision.presets import IMAGENET_MEAN, IMAGENET_STD
from tests.vision.embedder_contract import check_contract, inputs
from tests.vision.networks import save_torchscript


class Small(nn.Module):
    """A convolution, batch norm and a head, as a copy detector in miniature."""

    def __init__(self, dim: int = 16) -> None:
        super().__init__()
        self.body = nn.Conv2d(3, 8, 7, stride=4)
        self.norm = nn.BatchNorm2d(8)
        self.head = nn.Linear(8 * 4, dim)

    def forward(self, pictures: Tensor) -> Tensor:
        pooled = nn.functional.adaptive_avg_pool2d(self.norm(self.body(pictures)).abs(), 2)
        return self.head(pooled.flatten(1))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    return save_torchscript(Small(), torch.zeros(2, 3, 64, 64), tmp_path / "small.pt")


def load(weights: Path, **options: object) -> Embedder:
    settings: dict[str, object] = {
        "name": "small",
        "backend": "torchscript",
        "weights": str(weights),
        "device": "cpu",
        "precision": "fp32",
        "input_px": 64,
        "mean": IMAGENET_MEAN,
        "std": IMAGENET_STD,
        "offline": True,
        **options,
    }
    return load_embedder(ModelConfig(**settings), environ={"HOME": "/nowhere"}, threads=1)


def test_it_equals_the_module_itself(file: Path) -> None:
    embedder = load(file)
    batch = inputs(embedder, 5)
    torch.manual_seed(0)
    mean, std = torch.tensor(IMAGENET_MEAN).view(3, 1, 1), torch.tensor(IMAGENET_STD).view(3, 1, 1)
    with torch.inference_mode():
        rows = Small().eval()((torch.from_numpy(batch).permute(0, 3, 1, 2) / 255 - mean) / std)
        wanted = torch.nn.functional.normalize(rows).numpy()
    assert float((embedder.embed(batch)["small.final"] * wanted).sum(axis=1).min()) > 0.999999
    assert (embedder.spec.side_px, embedder.spec.fit, embedder.spec.filter) == (64, "squash", "bilinear")


def test_it_keeps_the_contract_in_fp32_and_bf16(file: Path) -> None:
    check_contract(load(file))
    check_contract(load(file, precision="bf16"), tolerance=0.02)


def test_constants_must_be_stated_for_a_model_of_ones_own(file: Path) -> None:
    with pytest.raises(ConfigError, match="does not say its mean and std"):
        load(file, mean=None, std=None)


@pytest.mark.parametrize("name", ["own", "sscd-disc-mixup"])
def test_a_program_is_loaded_only_from_a_path_that_somebody_named(name: str, tmp_path: Path, file: Path) -> None:
    """Not even where a fetch would put it: nothing that lies in a cache runs unasked."""
    put = tmp_path / ".cache" / "deepdupe-daemon" / "weights" / "sscd_disc_mixup.torchscript.pt"
    put.parent.mkdir(parents=True)
    put.write_bytes(file.read_bytes())
    backend = "torchscript" if name == "own" else None
    with pytest.raises(ConfigError, match="only from a path that the configuration names") as raised:
        load_embedder(ModelConfig(name=name, backend=backend), environ={"HOME": str(tmp_path)})
    assert ("models fetch sscd-disc-mixup" in (raised.value.hint or "")) == (name == "sscd-disc-mixup")


def test_the_preset_checks_its_dimension(tmp_path: Path, file: Path) -> None:
    known = {"mean": None, "std": None, "input_px": None, "backend": None}
    with pytest.raises(ModelError, match="gives 16 dimensions for final, sscd-disc-mixup has 512"):
        load(file, name="sscd-disc-mixup", **known)
    right = save_torchscript(Small(512), torch.zeros(2, 3, 320, 320), tmp_path / "512.pt")
    embedder = load(right, name="sscd-disc-mixup", **known)
    assert (embedder.spec.side_px, embedder.spec.fit) == (320, "squash")


def test_what_is_no_torchscript_is_named(tmp_path: Path, file: Path) -> None:
    state = tmp_path / "state.pt"
    torch.save(Small().state_dict(), state)
    with pytest.raises(ModelError, match="is no TorchScript archive"):
        load(state)
    torn = tmp_path / "torn.pt"
    torn.write_bytes(file.read_bytes()[:500])
    with pytest.raises(ModelError, match="is torn"):
        load(torn)

    class Map(nn.Module):
        def forward(self, pictures: Tensor) -> Tensor:
            return pictures * 2

    with pytest.raises(ModelError, match=r"gives \(1, 3, 64, 64\), not rows"):
        load(save_torchscript(Map(), torch.zeros(1, 3, 64, 64), tmp_path / "map.pt"))


def test_the_same_file_is_the_same_space(tmp_path: Path, file: Path) -> None:
    copy = tmp_path / "copy.pt"
    copy.write_bytes(file.read_bytes())
    assert load(file).spaces == load(copy).spaces
    assert np.array_equal(
        load(file).embed(inputs(load(file), 2))["small.final"], load(copy).embed(inputs(load(copy), 2))["small.final"]
    )
