"""Which models must propose a pair: any, all, or those that are named; with the two embeddings of one model among them.

The networks are programs with a taste of their own, so that each rule has a pair that only it lets through.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from deepdupe_daemon.clock import SystemClock
from deepdupe_daemon.config import Config, ModelConfig, config_for_folders
from deepdupe_daemon.service import check_offline, run_scan
from tests.service.pictures import photo, save
from tests.vision.networks import save_safetensors, save_torchscript, tiny_clip, tiny_clip_config


class Colour(nn.Module):
    """Sees the mean colour of a picture, and no shape."""

    def forward(self, pictures: Tensor) -> Tensor:
        return pictures.mean(dim=(2, 3))


class Shape(nn.Module):
    """Sees light and dark on a 16 x 16 grid, and no colour."""

    def forward(self, pictures: Tensor) -> Tensor:
        grey = nn.functional.adaptive_avg_pool2d(pictures.mean(dim=1, keepdim=True), 16).flatten(1)
        return grey - grey.mean(dim=1, keepdim=True)


def network(name: str, module: nn.Module, folder: Path) -> ModelConfig:
    file = save_torchscript(module, torch.zeros(2, 3, 64, 64), folder / f"{name}.pt")
    return own(name, "torchscript", weights=str(file), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), input_px=64)


def own(name: str, backend: str, **options: Any) -> ModelConfig:
    settings: dict[str, Any] = {"threshold": 0.999, "device": "cpu", "precision": "fp32", **options}
    return ModelConfig(name=name, backend=backend, **settings)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """`base`, `copy` (alike in both), `grey` (its shape without its colours), `flipped` (its colours, other shapes)."""
    folder = tmp_path / "photos"
    base = photo(1)
    save(base, folder / "base.png")
    save(base, folder / "copy.jpg", quality=90)
    grey = np.asarray(base, np.float32).mean(axis=2, keepdims=True).round().astype(np.uint8)
    save(Image.fromarray(np.repeat(grey, 3, axis=2)), folder / "grey.png")
    save(base.transpose(Image.Transpose.FLIP_TOP_BOTTOM), folder / "flipped.png")
    save(photo(2), folder / "other.png")
    for path in folder.iterdir():
        os.utime(path, (1_600_000_000, 1_600_000_000))  # long quiet: nothing to settle
    return folder


def config(photos: Path, models: tuple[ModelConfig, ...], match: Any) -> Config:
    base = config_for_folders([photos], state_dir=photos.parent / "state", environ={})
    values = {**base.model_dump(), "models": [model.model_dump() for model in models], "match": match}
    return Config.model_validate({**values, "chroma": {"mode": "off"}})


def alike(config: Config) -> dict[str, set[str]]:
    """What is proposed for `base`, by name, each with the spaces that found it."""
    run_scan(config)
    base = os.fsencode(config.roots[0].path / "base.png")
    (answer,) = check_offline(config, [base], clock=SystemClock(), environ={})
    assert not answer.failure
    return {
        os.path.basename(os.fsdecode(match.path)).split(".")[0]: set(match.similarities) for match in answer.matches
    }


@pytest.mark.parametrize(
    ("match", "wanted"),
    [
        ("any", {"copy", "grey", "flipped"}),
        ("all", {"copy"}),
        (["shape.final"], {"copy", "grey"}),
        (["colour.final"], {"copy", "flipped"}),
        (["colour.final", "shape.final"], {"copy"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "+".join(sorted(value)),
)
def test_each_rule_lets_its_pairs_through(match: Any, wanted: set[str], photos: Path, tmp_path: Path) -> None:
    models = (network("colour", Colour(), tmp_path), network("shape", Shape(), tmp_path))
    found = alike(config(photos, models, match))
    assert set(found) == wanted
    assert found["copy"] == {"colour.final", "shape.final"}, "each image went through each model"


def test_the_dual_hash_needs_both_embeddings_of_one_forward(photos: Path, tmp_path: Path) -> None:
    """`both` with `all`: each embedding is a space, and a pair that only one of them finds alike is none."""
    weights = save_safetensors(tiny_clip().state_dict(), tmp_path / "own.safetensors")
    settings = {"architecture": str(tiny_clip_config(tmp_path)), "weights": str(weights), "embedding": "both"}
    either = alike(config(photos, (own("own", "open_clip", **settings),), "any"))
    both = alike(config(photos, (own("own", "open_clip", **settings),), "all"))
    assert either["copy"] == {"own.final", "own.hidden"}
    assert set(both) == {name for name, spaces in either.items() if len(spaces) == 2}
