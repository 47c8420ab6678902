"""The self-test: which number format a model runs in, and why, on networks that behave as feared."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from deepdupe_daemon.clock import ManualClock, SystemClock
from deepdupe_daemon.errors import ConfigError, ModelError
from deepdupe_daemon.model import InputSpec
from deepdupe_daemon.vision.backends.loaded import LoadedModel, Tower
from deepdupe_daemon.vision.embedder import OutOfDeviceMemory
from deepdupe_daemon.vision.plans.plan import ModelPlan
from deepdupe_daemon.vision.precision import _Trial, choose_precision, normalise, probe_pictures
from deepdupe_daemon.vision.preprocessing import Preprocessing

CPU = torch.device("cpu")
PREPROCESSING = Preprocessing(InputSpec(side_px=16), (0.5, 0.4, 0.3), (0.2, 0.3, 0.4))
PLAN = ModelPlan("own", "open_clip", ("final",), PREPROCESSING, {})


def loaded(behaviour: Callable[[torch.dtype, Tensor], Tensor], placed: list[torch.dtype] | None = None) -> LoadedModel:
    """A network of which `behaviour(dtype, pictures)` gives the rows."""

    def place(_device: torch.device, dtype: torch.dtype) -> Tower:
        if placed is not None:
            placed.append(dtype)
        return lambda pictures: {"final": behaviour(dtype, pictures)}

    return LoadedModel(PLAN, "00", 0, place)


def plain(_dtype: torch.dtype, pictures: Tensor) -> Tensor:
    return pictures.float().flatten(1)[:, :32]


def broken_in(*dtypes: torch.dtype, turn: bool = False) -> Callable[[torch.dtype, Tensor], Tensor]:
    """Not finite in `dtypes`, or turned away from float32 with `turn`."""

    def behaviour(dtype: torch.dtype, pictures: Tensor) -> Tensor:
        rows = plain(dtype, pictures)
        if dtype in dtypes:
            return rows + 0.2 * rows.norm(dim=1, keepdim=True) * torch.eye(32)[0] if turn else rows * float("inf")
        return rows

    return behaviour


class Paced(ManualClock):
    """Every second reading lies `steps` further on, in turn."""

    def __init__(self, *steps: float) -> None:
        super().__init__()
        self._steps = iter(steps)
        self._readings = 0

    def monotonic_s(self) -> float:
        self._readings += 1
        if self._readings % 2 == 0:
            self.advance(next(self._steps))
        return super().monotonic_s()


def test_on_a_processor_the_clock_decides() -> None:
    faster = choose_precision(loaded(plain), CPU, "auto", Paced(0.4, 0.1))
    assert (faster.name, faster.record) == ("bf16", "bf16: 400 ms an image in fp32, 100 in bf16, cosine 1.00000")
    slower = choose_precision(loaded(plain), CPU, "auto", Paced(0.1, 0.4))
    assert slower.name == "fp32"


@pytest.mark.parametrize("turn", [False, True])
def test_on_a_processor_a_bad_bf16_is_refused_however_fast(turn: bool) -> None:
    chosen = choose_precision(loaded(broken_in(torch.bfloat16, turn=turn)), CPU, "auto", Paced(0.4, 0.1))
    assert chosen.name == "fp32"
    assert ("not finite" in chosen.record) is not turn


def test_fp16_is_never_tried_on_a_processor() -> None:
    placed: list[torch.dtype] = []
    choose_precision(loaded(plain, placed), CPU, "auto", Paced(0.4, 0.1))
    assert placed == [torch.float32, torch.bfloat16]
    with pytest.raises(ConfigError, match="4 times slower"):
        choose_precision(loaded(plain), CPU, "fp16", SystemClock())


def test_a_network_that_is_not_finite_in_fp32_is_refused() -> None:
    with pytest.raises(ModelError, match="not finite, in fp32"):
        choose_precision(loaded(broken_in(torch.float32)), CPU, "auto", Paced(0.1, 0.1))
    with pytest.raises(ModelError, match="not finite, in fp32"):
        choose_precision(loaded(broken_in(torch.float32)), CPU, "fp32", SystemClock())
    with pytest.raises(ModelError, match="not finite, in fp32"):
        _Trial(loaded(broken_in(torch.float16, torch.bfloat16, torch.float32)), CPU, SystemClock()).best_on_cuda()


@pytest.mark.parametrize(
    ("behaviour", "name", "words"),
    [
        (plain, "fp16", "cosine to fp32 1.0"),
        (broken_in(torch.float16), "bf16", "because fp16 was not finite"),
        (broken_in(torch.float16, turn=True), "bf16", "because fp16 was 0.9"),
        (broken_in(torch.float16, torch.bfloat16), "fp32", "because bf16 was not finite"),
    ],
)
def test_on_cuda_fp16_goes_first_and_each_step_down_is_on_record(
    behaviour: Callable[[torch.dtype, Tensor], Tensor], name: str, words: str
) -> None:
    """The order of choice, walked on the processor: the trial itself does not care where it computes."""
    chosen = _Trial(loaded(behaviour), CPU, SystemClock()).best_on_cuda()
    assert chosen.name == name
    assert words in chosen.record


def test_without_memory_for_fp32_finiteness_alone_decides() -> None:
    def place(_device: torch.device, dtype: torch.dtype) -> Tower:
        if dtype == torch.float32:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return lambda pictures: {"final": plain(dtype, pictures)}

    chosen = _Trial(LoadedModel(PLAN, "00", 0, place), CPU, SystemClock()).best_on_cuda()
    assert chosen.name == "fp16"
    assert "no memory for fp32" in chosen.record
    with pytest.raises(OutOfDeviceMemory):
        choose_precision(LoadedModel(PLAN, "00", 0, place), CPU, "fp32", SystemClock())


def test_a_format_asked_for_is_taken_and_its_weakness_told() -> None:
    chosen = choose_precision(loaded(broken_in(torch.bfloat16)), CPU, "bf16", SystemClock())
    assert chosen.name == "bf16"
    assert "computed again in fp32" in chosen.record


def test_normalisation_is_that_of_torchvision() -> None:
    pictures = torch.from_numpy(probe_pictures(16))
    mean, std = torch.tensor([0.5, 0.4, 0.3]).view(3, 1, 1), torch.tensor([0.2, 0.3, 0.4]).view(3, 1, 1)
    wanted = (pictures.permute(0, 3, 1, 2).float() / 255 - mean) / std
    assert torch.allclose(normalise(pictures, PREPROCESSING, torch.float32), wanted, atol=1e-6)
    assert normalise(pictures, PREPROCESSING, torch.bfloat16).dtype == torch.bfloat16
    assert pictures.dtype == torch.uint8


def test_probes_are_the_same_in_every_run_and_differ() -> None:
    first, second = probe_pictures(48), probe_pictures(48)
    assert np.array_equal(first, second)
    assert first.shape == (4, 48, 48, 3)
    assert len({picture.tobytes() for picture in first}) == 4
    assert first[3].max() == 0


def test_float32_is_float32(tmp_path: Path) -> None:
    """TF32 is switched off explicitly at load: on some cards it would be the default."""
    from deepdupe_daemon.config import ModelConfig
    from deepdupe_daemon.vision import load_embedder
    from tests.vision.networks import save_safetensors, tiny_clip, tiny_clip_config

    torch.backends.cuda.matmul.allow_tf32 = True
    torch.backends.cudnn.allow_tf32 = True
    file = save_safetensors(tiny_clip().state_dict(), tmp_path / "own.safetensors")
    model = ModelConfig(
        name="own",
        backend="open_clip",
        architecture=str(tiny_clip_config(tmp_path)),
        weights=str(file),
        device="cpu",
        precision="fp32",
    )
    load_embedder(model, environ={}, threads=1)
    assert not torch.backends.cuda.matmul.allow_tf32
    assert not torch.backends.cudnn.allow_tf32
    assert torch.get_num_threads() == 1
