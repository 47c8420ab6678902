"""On a CUDA device: staged batches, graphs, fp16; skipped where there is none. Padding is arithmetic and runs here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from deepdupe_daemon.config import ModelConfig
from deepdupe_daemon.vision import Embedder, VisionNotice, load_embedder
from deepdupe_daemon.vision.cuda import CudaEmbedder, padded_size
from deepdupe_daemon.vision.embedder import OutOfDeviceMemory, StagedEmbedder
from tests.vision.embedder_contract import check_contract, inputs
from tests.vision.networks import save_safetensors, tiny_clip, tiny_clip_config

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


def test_small_batches_are_padded_to_powers_of_two() -> None:
    assert [padded_size(count) for count in (1, 2, 3, 5, 33, 64, 65, 400)] == [1, 2, 4, 8, 64, 64, 65, 400]


def load(folder: Path, notices: list[VisionNotice], **options: object) -> Embedder:
    save_safetensors(tiny_clip().state_dict(), folder / "own.safetensors")
    settings: dict[str, object] = {
        "name": "own",
        "backend": "open_clip",
        "architecture": str(tiny_clip_config(folder)),
        "weights": str(folder / "own.safetensors"),
        "embedding": "both",
        "device": "cuda",
        "batch_size": 100,
        **options,
    }
    return load_embedder(ModelConfig(**settings), environ={"HOME": "/nowhere"}, on_notice=notices.append)


@pytest.mark.gpu
@needs_cuda
def test_it_keeps_the_contract_in_fp16(tmp_path: Path) -> None:
    notices: list[VisionNotice] = []
    embedder = load(tmp_path, notices)
    assert isinstance(embedder, StagedEmbedder)
    assert embedder.describe().startswith("own fp16 on cuda")
    assert not [notice for notice in notices if notice.kind == "no-graphs"]
    check_contract(embedder, tolerance=0.01)
    exact = load(tmp_path, notices, device="cpu", precision="fp32")
    batch = inputs(embedder, 100)
    for name, rows in embedder.embed(batch).items():
        assert float((rows * exact.embed(batch)[name]).sum(axis=1).min()) >= 0.999


@pytest.mark.gpu
@needs_cuda
def test_graphs_and_eager_agree_at_every_size(tmp_path: Path) -> None:
    embedder = load(tmp_path, [])
    batch = inputs(embedder, 100)
    whole = embedder.embed(batch)["own.final"]
    for count in (1, 2, 3, 31, 64, 65, 100):
        assert float((embedder.embed(batch[:count])["own.final"] * whole[:count]).sum(axis=1).min()) >= 0.999


@pytest.mark.gpu
@needs_cuda
def test_two_batches_in_flight_keep_apart(tmp_path: Path) -> None:
    embedder = load(tmp_path, [])
    assert isinstance(embedder, CudaEmbedder)
    batch = inputs(embedder, 96)
    wanted = embedder.embed(batch)["own.final"]
    flying = embedder.begin(list(batch[:32]))
    found = []
    for at in (32, 64):
        following = embedder.begin(list(batch[at : at + 32]))
        found.append(flying.rows()["own.final"])
        flying = following
    found.append(flying.rows()["own.final"])
    assert float((np.concatenate(found) * wanted).sum(axis=1).min()) >= 0.999
    one, two = embedder.begin(list(batch[:2])), embedder.begin(list(batch[:2]))
    with pytest.raises(RuntimeError, match="in flight already"):
        embedder.begin(list(batch[:2]))
    one.rows()
    two.rows()


@pytest.mark.gpu
@needs_cuda
def test_more_than_is_staged_is_out_of_memory(tmp_path: Path) -> None:
    embedder = load(tmp_path, [])
    with pytest.raises(OutOfDeviceMemory):
        embedder.embed(inputs(embedder, 101))
    assert len(embedder.embed(inputs(embedder, 3))["own.final"]) == 3, "a failed batch leaves its slot free"


@pytest.mark.gpu
@needs_cuda
def test_closing_gives_the_memory_back(tmp_path: Path) -> None:
    before = torch.cuda.memory_allocated()
    embedder = load(tmp_path, [])
    embedder.embed(inputs(embedder, 5))
    embedder.close()
    del embedder
    assert torch.cuda.memory_allocated() <= before + (1 << 20)
