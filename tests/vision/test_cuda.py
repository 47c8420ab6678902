"""On a CUDA device: staged batches, graphs, fp16; skipped where there is none. Padding is arithmetic and runs here."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import pytest
import torch

from deepdupe_daemon.config import ModelConfig
from deepdupe_daemon.model import InputSpec, SpaceKey
from deepdupe_daemon.vision import Embedder, VisionNotice, load_embedder
from deepdupe_daemon.vision.cuda import CudaEmbedder, padded_size
from deepdupe_daemon.vision.embedder import OutOfDeviceMemory, StagedEmbedder
from deepdupe_daemon.vision.precision import Chosen
from deepdupe_daemon.vision.preprocessing import Preprocessing
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


class Idle:
    """A stream, an event or a graph of a device that does at once what it is told."""

    def __init__(self, *_: object) -> None:
        pass

    def __getattr__(self, _name: str) -> object:
        return lambda *_: None


@pytest.fixture
def staged(monkeypatch: pytest.MonkeyPatch) -> CudaEmbedder:
    """The staging of a CudaEmbedder over the processor: its slots and their order, without a device or graphs."""
    empty = torch.empty
    monkeypatch.setattr(torch, "empty", lambda *shape, pin_memory=False, **options: empty(*shape, **options))
    for name in ("Stream", "Event"):
        monkeypatch.setattr(torch.cuda, name, Idle)
    monkeypatch.setattr(torch.cuda, "stream", lambda _stream: contextlib.nullcontext())
    for name in ("synchronize", "empty_cache"):
        monkeypatch.setattr(torch.cuda, name, lambda *_: None)
    chosen = Chosen("fp32", lambda pictures: {"final": pictures.flatten(1)[:, ::7]}, "", {"final": 28})
    return CudaEmbedder(
        name="own",
        spaces=(SpaceKey("own", "final", 28, preprocessing="{}"),),
        preprocessing=Preprocessing(InputSpec(side_px=8), (0.1, 0.2, 0.3), (1.0, 1.0, 1.0)),
        chosen=chosen,
        device=torch.device("cpu"),
        batch_ceiling=8,
        exact=lambda: chosen.tower,
    )


def test_staging_keeps_the_contract(staged: CudaEmbedder) -> None:
    check_contract(staged)


def test_a_third_batch_in_flight_and_one_too_large_are_refused_and_leave_the_slots_free(staged: CudaEmbedder) -> None:
    batch = inputs(staged, 9)
    one, two = staged.begin(list(batch[:2])), staged.begin(list(batch[2:4]))
    with pytest.raises(RuntimeError, match="in flight already"):
        staged.begin(list(batch[:1]))
    first = one.rows()["own.final"]
    three = staged.begin(list(batch[4:6]))
    assert np.array_equal(two.rows()["own.final"], staged.embed(batch[2:4])["own.final"])
    assert np.array_equal(first, staged.embed(batch[:2])["own.final"])
    with pytest.raises(OutOfDeviceMemory, match="more than the 8"):
        staged.begin(list(batch))
    three.rows()
    staged._tower = None
    for _ in range(3):
        with pytest.raises(RuntimeError, match="is closed"):
            staged.begin(list(batch[:1]))


def test_without_graphs_it_says_so_and_runs(staged: CudaEmbedder, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    monkeypatch.setattr(torch.cuda, "CUDAGraph", refuse)
    notices: list[VisionNotice] = []
    staged.warm_up(notices.append)
    assert [notice.text for notice in notices] == [
        "own fp32 on cpu: runs without CUDA graphs: operation not permitted when stream is capturing"
    ]
    assert staged.embed(inputs(staged, 2))["own.final"].shape == (2, 28)


def test_a_graph_is_captured_for_each_padded_size_and_replayed(
    staged: CudaEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Replay computes what was captured, over what lies in the graph's own pictures at that moment."""
    captured: list[int] = []

    class Graph:
        def pool(self) -> int:
            return 0

        def replay(self) -> None:
            own = next(graph for graph in staged._graphs.values() if graph.graph is self)
            for name, block in staged._forward(own.pictures).items():
                own.rows[name].copy_(block)

    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "graph", lambda graph, **_: contextlib.nullcontext(captured.append(id(graph))))
    staged.warm_up(lambda notice: pytest.fail(notice.text))
    assert list(staged._graphs) == [8, 4, 2, 1]
    assert len(set(captured)) == 4
    with torch.inference_mode():
        check_contract(staged)


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
