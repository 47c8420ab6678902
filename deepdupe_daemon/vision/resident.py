"""A network that stays on its device from start to stop. Imports torch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from deepdupe_daemon.model import F32Array, InputSpec, SpaceKey, U8Array
from deepdupe_daemon.vision.backends.loaded import Tower
from deepdupe_daemon.vision.devices import DTYPES, translating_memory_errors
from deepdupe_daemon.vision.precision import Chosen, normalise
from deepdupe_daemon.vision.preprocessing import Preprocessing

__all__ = ["ResidentEmbedder"]


class ResidentEmbedder:
    """One placed tower as an `Embedder`. Owned by the forward thread, which also constructed it.

    `exact` loads the same weights in float32 on the processor, for rows that were not finite; called once at most.
    """

    def __init__(
        self,
        *,
        name: str,
        spaces: tuple[SpaceKey, ...],
        preprocessing: Preprocessing,
        chosen: Chosen,
        device: torch.device,
        batch_ceiling: int,
        exact: Callable[[], Tower],
        parameters: int = 0,
    ) -> None:
        self.spaces = spaces
        self.parameters = parameters
        self.batch_ceiling = batch_ceiling
        self._name = name
        self._preprocessing = preprocessing
        self._precision = chosen.name
        self._dtype = DTYPES[chosen.name]
        self._tower: Tower | None = chosen.tower
        self._device = device
        self._load_exact = exact
        self._exact: Tower | None = None

    @property
    def spec(self) -> InputSpec:
        return self._preprocessing.spec

    def describe(self) -> str:
        return f"{self._name} {self._precision} on {self._device}"

    def embed(self, batch: U8Array) -> dict[str, F32Array]:
        """(n, side, side, 3) uint8 -> space name -> (n, dim) float32, norm 1 or not finite."""
        pictures = self._checked(batch)
        with translating_memory_errors(), torch.inference_mode():
            rows = self._forward(pictures.to(self._device))
            return {name: block.cpu().numpy() for name, block in rows.items()}

    def embed_in_fp32(self, batch: U8Array) -> dict[str, F32Array]:
        """As `embed`, in float32 on the processor throughout."""
        given = self._checked(batch)
        if self._exact is None:
            on_cpu = self._dtype == torch.float32 and self._device.type == "cpu"
            self._exact = self._resident if on_cpu else self._load_exact()
        with torch.inference_mode():
            rows = self._named(self._exact(normalise(given, self._preprocessing, torch.float32)))
            return {name: block.numpy() for name, block in rows.items()}

    def close(self) -> None:
        self._tower = self._exact = None
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    @property
    def _resident(self) -> Tower:
        if self._tower is None:
            raise RuntimeError(f"{self.describe()} is closed")
        return self._tower

    def _forward(self, pictures: Tensor) -> dict[str, Tensor]:
        """uint8 pictures on the device -> space name -> float32 rows on the device."""
        return self._named(self._resident(normalise(pictures, self._preprocessing, self._dtype)))

    def _named(self, rows: dict[str, Tensor]) -> dict[str, Tensor]:
        """By space name, L2-normalised in float32. No epsilon: a zero row has no direction and must come out as NaN."""
        named = {}
        for space in self.spaces:
            block = rows[space.embedding].float()
            named[space.name] = block / block.norm(dim=1, keepdim=True)
        return named

    def _checked(self, batch: U8Array) -> Tensor:
        side = self.spec.side_px
        if batch.ndim != 4 or batch.shape[1:] != (side, side, 3) or batch.dtype != np.uint8:
            raise ValueError(f"expected (n, {side}, {side}, 3) uint8, not {batch.shape} {batch.dtype}")
        return torch.from_numpy(np.require(batch, requirements=["C", "W"]))  # copies where torch would balk
