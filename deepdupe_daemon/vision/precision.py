"""Which number format a model runs in: chosen by its own outputs and, on a processor, by the clock. Imports torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from deepdupe_daemon.clock import Clock
from deepdupe_daemon.errors import ConfigError, ModelError
from deepdupe_daemon.model import U8Array
from deepdupe_daemon.vision.backends.loaded import LoadedModel, Tower
from deepdupe_daemon.vision.devices import DTYPES, translating_memory_errors
from deepdupe_daemon.vision.embedder import OutOfDeviceMemory
from deepdupe_daemon.vision.preprocessing import Preprocessing

__all__ = ["MIN_COSINE", "Chosen", "choose_precision", "normalise", "probe_pictures"]

Name = Literal["fp32", "fp16", "bf16"]

#: a reduced format may turn an embedding by 2.6 degrees at most
MIN_COSINE = 0.999


@dataclass(frozen=True, slots=True, eq=False)
class Chosen:
    """A model that is resident, and why in this format."""

    name: Name
    tower: Tower
    record: str
    dims: Mapping[str, int]  # embedding type -> dimension, of the network's own output


def normalise(pictures: Tensor, preprocessing: Preprocessing, dtype: torch.dtype) -> Tensor:
    """(n, side, side, 3) uint8 on the device -> (n, 3, side, side) `dtype`: (x / 255 - mean) / std, in float32."""
    mean = torch.tensor(preprocessing.mean, device=pictures.device).view(1, 3, 1, 1)
    std = torch.tensor(preprocessing.std, device=pictures.device).view(1, 3, 1, 1)
    scaled = pictures.permute(0, 3, 1, 2).to(torch.float32).div_(255)
    return scaled.sub_(mean).div_(std).to(dtype)


def probe_pictures(side_px: int) -> U8Array:
    """(4, side, side, 3) uint8: two smooth scenes, noise, and black, which drives some networks out of half's range."""
    rng = np.random.default_rng(20240229)
    axis = np.linspace(0, 2 * np.pi, side_px, dtype=np.float32)
    scenes = []
    for _ in range(2):
        waves = [
            np.sin(rng.uniform(1, 6) * axis[:, None] + rng.uniform(1, 6) * axis[None, :] + rng.uniform(0, 6))
            for _ in range(9)
        ]
        scenes.append(np.stack([sum(waves[at::3]) for at in range(3)], axis=-1) * 42 + 127)
    noise = rng.integers(0, 256, (side_px, side_px, 3))
    return np.stack([*scenes, noise, np.zeros((side_px, side_px, 3))]).clip(0, 255).astype(np.uint8)


def choose_precision(loaded: LoadedModel, device: torch.device, wanted: str, clock: Clock) -> Chosen:
    """Place the model on `device` in the format asked for, or, for `auto`, in the best one that its self-test admits.

    CUDA: fp16, else bf16 where fp16 is not finite or turns an embedding too far from float32, else fp32. CPU: bf16
    where a timed forward is faster and as near, else fp32; never fp16 (4 times slower there). Raises ConfigError,
    ModelError.
    """
    if wanted == "fp16" and device.type == "cpu":
        raise ConfigError("fp16 is 4 times slower than fp32 on a processor", hint="precision: auto, bf16 or fp32")
    trial = _Trial(loaded, device, clock)
    if wanted != "auto":
        return trial.as_asked("bf16" if wanted == "bf16" else "fp16" if wanted == "fp16" else "fp32")
    return trial.best_on_cpu() if device.type == "cpu" else trial.best_on_cuda()


class _Trial:
    """One model's self-test. Lives for the length of `choose_precision`."""

    def __init__(self, loaded: LoadedModel, device: torch.device, clock: Clock) -> None:
        self._loaded = loaded
        self._device = device
        self._clock = clock
        self._pictures = torch.from_numpy(probe_pictures(loaded.plan.spec.side_px))

    def as_asked(self, name: Name) -> Chosen:
        tower = self._place(name)
        rows = self._rows(tower, name, self._pictures[:1])
        if name == "fp32" and not _finite(rows):
            raise _not_finite(self._loaded)
        bad = "" if _finite(rows) else "; its probe is not finite: such rows will be computed again in fp32"
        return Chosen(name, tower, f"{name} as configured{bad}", _dims(rows))

    def best_on_cuda(self) -> Chosen:
        exact = self._exact_rows()
        worst = "fp32 does not fit beside it"
        for name in ("fp16", "bf16"):
            tower = self._place(name)
            rows = self._rows(tower, name, self._pictures)
            found = _finding(rows, exact)
            if found.good:
                reason = f"{name}: cosine to fp32 {found}" if name == "fp16" else f"bf16, because fp16 was {worst}"
                return Chosen(name, tower, reason, _dims(rows))
            worst = str(found)
            del tower, rows
            torch.cuda.empty_cache()
        tower = self._place("fp32")
        rows = self._rows(tower, "fp32", self._pictures[:1])
        if not _finite(rows):
            raise _not_finite(self._loaded)
        return Chosen("fp32", tower, f"fp32, because bf16 was {worst}", _dims(rows))

    def best_on_cpu(self) -> Chosen:
        tower = self._place("fp32")
        exact, exact_s = self._timed(tower, "fp32")
        if not _finite(exact):
            raise _not_finite(self._loaded)
        del tower  # before the other is placed: the peak is one of them, and placing again takes a fraction of a second
        tower = self._place("bf16")
        rows, bf16_s = self._timed(tower, "bf16")
        found = _finding(rows, exact)
        timing = f"{exact_s * 1000:.0f} ms an image in fp32, {bf16_s * 1000:.0f} in bf16, cosine {found}"
        if found.good and bf16_s < exact_s:
            return Chosen("bf16", tower, f"bf16: {timing}", _dims(exact))
        del tower
        return Chosen("fp32", self._place("fp32"), f"fp32: {timing}", _dims(exact))

    def _exact_rows(self) -> dict[str, Tensor] | None:
        """The probes in float32 on the device, or on the processor where the device is too small for it."""
        for device in (self._device, torch.device("cpu")):
            try:
                tower = self._place("fp32", device)
                return self._rows(tower, "fp32", self._pictures, device)
            except (OutOfDeviceMemory, MemoryError):
                torch.cuda.empty_cache()
        return None

    def _place(self, name: Name, device: torch.device | None = None) -> Tower:
        with translating_memory_errors():
            return self._loaded.place(device or self._device, DTYPES[name])

    def _rows(
        self, tower: Tower, name: Name, pictures: Tensor, device: torch.device | None = None
    ) -> dict[str, Tensor]:
        with torch.inference_mode(), translating_memory_errors():
            batch = normalise(pictures.to(device or self._device), self._loaded.plan.preprocessing, DTYPES[name])
            return {embedding: rows.float().cpu() for embedding, rows in tower(batch).items()}

    def _timed(self, tower: Tower, name: Name) -> tuple[dict[str, Tensor], float]:
        """The rows of two probes, and the seconds of the second: the first warms up. A large network takes seconds."""
        first = self._rows(tower, name, self._pictures[:1])
        started_s = self._clock.monotonic_s()
        second = self._rows(tower, name, self._pictures[1:2])
        taken_s = self._clock.monotonic_s() - started_s
        return {embedding: torch.cat([first[embedding], second[embedding]]) for embedding in first}, taken_s


@dataclass(frozen=True, slots=True)
class _Finding:
    finite: bool
    cosine: float | None

    @property
    def good(self) -> bool:
        return self.finite and (self.cosine is None or self.cosine >= MIN_COSINE)

    def __str__(self) -> str:
        if not self.finite:
            return "not finite"
        return "unknown (no memory for fp32)" if self.cosine is None else f"{self.cosine:.5f}"


def _not_finite(loaded: LoadedModel) -> ModelError:
    return ModelError(
        "gives embeddings that are not finite, in fp32",
        where=loaded.plan.name,
        hint="its weights are damaged: fetch or copy them again",
    )


def _dims(rows: dict[str, Tensor]) -> dict[str, int]:
    return {embedding: int(block.shape[1]) for embedding, block in rows.items()}


def _finite(rows: dict[str, Tensor]) -> bool:
    return all(bool(torch.isfinite(block).all()) for block in rows.values())


def _finding(rows: dict[str, Tensor], exact: dict[str, Tensor] | None) -> _Finding:
    if not _finite(rows):
        return _Finding(finite=False, cosine=None)
    if exact is None:
        return _Finding(finite=True, cosine=None)
    cosines: Sequence[float] = [
        float(torch.nn.functional.cosine_similarity(rows[name], exact[name]).min()) for name in rows
    ]
    return _Finding(finite=True, cosine=min(cosines))
