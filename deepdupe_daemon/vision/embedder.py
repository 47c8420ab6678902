"""What turns a batch of decoded inputs into rows of one or more spaces.

Every embedder is used by one thread, the forward thread: it is constructed, called and closed there, so that it alone
owns its device. Nothing here imports torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from deepdupe_daemon.model import F32Array, InputSpec, SpaceKey, U8Array

__all__ = ["Embedder", "OutOfDeviceMemory", "Pending", "StagedEmbedder", "VisionNotice", "input_shape"]


class OutOfDeviceMemory(MemoryError):
    """The batch did not fit; a smaller one may."""


@dataclass(frozen=True, slots=True)
class VisionNotice:
    """Something a person should find in the journal once. `kind` is a stable slug."""

    kind: str  # "model-loaded", "precision-chosen", "ceiling-lowered", "not-finite"
    text: str


class Embedder(Protocol):
    """One resident model (or a weight-free code) with the spaces that it fills."""

    @property
    def spaces(self) -> tuple[SpaceKey, ...]:
        """The spaces that one forward pass fills, at least one."""
        ...

    @property
    def spec(self) -> InputSpec:
        """What a decoding worker must prepare for it."""
        ...

    @property
    def parameters(self) -> int:
        """Numbers in its weights; 0 where it has none."""
        ...

    @property
    def batch_ceiling(self) -> int:
        """The most images in one batch, at least 1."""
        ...

    def describe(self) -> str:
        """For people: `clip-vit-b-32 fp32 on cpu`."""
        ...

    def embed(self, batch: U8Array) -> dict[str, F32Array]:
        """Space name -> (n, dim) float32 rows, each L2-normalised, for `batch` of shape (n, *input_shape(spec)) uint8.

        A row that the model could not compute finitely comes back non-finite, never as zeros. Raises OutOfDeviceMemory.
        """
        ...

    def embed_in_fp32(self, batch: U8Array) -> dict[str, F32Array]:
        """The same in float32 throughout: the second try for rows that were not finite. May be slow."""
        ...

    def close(self) -> None:
        """Give the device's memory back. The embedder is not used afterwards."""
        ...


class Pending(Protocol):
    """A batch that is on its way through a device."""

    def rows(self) -> dict[str, F32Array]:
        """Wait for the device and give what `embed` gives. Called once."""
        ...


@runtime_checkable
class StagedEmbedder(Protocol):
    """An embedder on a device of its own, which can be handed the next batch while it computes one."""

    def begin(self, rows: Sequence[U8Array]) -> Pending:
        """Copy `rows` (each of shape input_shape(spec)) to the device and start, without waiting. Two at a time."""
        ...


def input_shape(spec: InputSpec) -> tuple[int, ...]:
    """The shape of one input: (32,) hash bytes, or (side, side, 3) RGB."""
    return (32,) if spec.kind == "pdq" else (spec.side_px, spec.side_px, 3)


def normalised(rows: F32Array) -> F32Array:
    """`rows` (n, dim) divided by their L2 norms; a zero row becomes non-finite, for it has no direction."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)
