"""The same on CUDA: two batches in flight, and small ones replayed from graphs. Imports torch.

Eager launches cost 1 to 5 ms of processor time a forward, which bounds a fast card below batch 8 (ViT-L) to 64
(ViT-B/32); a replayed graph costs one launch. Used by the forward thread alone, which owns the device.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from deepdupe_daemon.model import F32Array, U8Array
from deepdupe_daemon.vision.devices import translating_memory_errors
from deepdupe_daemon.vision.embedder import OutOfDeviceMemory, Pending, VisionNotice, input_shape
from deepdupe_daemon.vision.resident import ResidentEmbedder

__all__ = ["CudaEmbedder", "padded_size"]

_GRAPH_CEILING = 64
_WARM_UPS = 3  # before a capture, so that cuBLAS and cuDNN have chosen and allocated (torch.cuda.graphs documentation)


def _stream(device: torch.device) -> torch.cuda.Stream:
    stream: torch.cuda.Stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call] # torch has no types for it
    return stream


def padded_size(count: int) -> int:
    """The power of two that holds `count`, where a graph is worth it; `count` itself above."""
    return 1 << (count - 1).bit_length() if count <= _GRAPH_CEILING else count


class CudaEmbedder(ResidentEmbedder):
    """A `StagedEmbedder`: batch n+1 is gathered into pinned memory and copied while batch n computes."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        shape = (self.batch_ceiling, *input_shape(self.spec))
        self._copies, self._computes = _stream(self._device), _stream(self._device)
        with translating_memory_errors():
            self._slots = [_Slot.of(shape, self._device) for _ in range(2)]
        self._graphs: dict[int, _Graph] = {}

    def warm_up(self, on_notice: Callable[[VisionNotice], None]) -> None:
        """Capture a graph per padded size, largest first so that they share its memory; none where that fails."""
        pool = None
        size = padded_size(min(_GRAPH_CEILING, self.batch_ceiling))
        try:
            while size >= 1 and self.batch_ceiling >= 1:
                graph = self._captured(size, pool)
                self._graphs[size] = graph
                pool = graph.graph.pool()
                size //= 2
        except (RuntimeError, OutOfDeviceMemory) as problem:
            self._graphs.clear()
            torch.cuda.synchronize(self._device)
            reason = str(problem).splitlines()[0]
            on_notice(VisionNotice("no-graphs", f"{self.describe()}: runs without CUDA graphs: {reason}"))

    def begin(self, rows: Sequence[U8Array]) -> Pending:
        """Gather, copy and launch; waits for nothing but a free slot, of which there are two."""
        count = len(rows)
        slot = next((slot for slot in self._slots if not slot.taken), None)
        if slot is None:
            raise RuntimeError("two batches are in flight already")
        if count > len(slot.host):
            raise OutOfDeviceMemory(f"{count} images are more than the {len(slot.host)} that are staged")
        np.stack(rows, out=slot.host[:count].numpy())
        slot.taken = True
        try:
            with translating_memory_errors(), torch.inference_mode():
                return self._launched(slot, count)
        except BaseException:
            torch.cuda.synchronize(self._device)
            slot.taken = False
            torch.cuda.empty_cache()
            raise

    def embed(self, batch: U8Array) -> dict[str, F32Array]:
        self._checked(batch)
        return self.begin(list(batch)).rows()

    def close(self) -> None:
        torch.cuda.synchronize(self._device)
        self._graphs.clear()
        self._slots.clear()
        super().close()

    def _launched(self, slot: _Slot, count: int) -> Pending:
        with torch.cuda.stream(self._copies):
            slot.device[:count].copy_(slot.host[:count], non_blocking=True)
        self._computes.wait_stream(self._copies)
        with torch.cuda.stream(self._computes):
            graph = self._graphs.get(padded_size(count))
            if graph is not None:
                graph.pictures[:count].copy_(slot.device[:count])
                graph.graph.replay()
                rows = {name: block[:count] for name, block in graph.rows.items()}
            else:
                rows = self._forward(slot.device[:count])
            # one stream computes and copies out, so a later replay cannot overwrite what is still being copied
            host = {name: torch.empty(block.shape, pin_memory=True) for name, block in rows.items()}
            for name, block in rows.items():
                host[name].copy_(block, non_blocking=True)
            slot.done.record(self._computes)
        return _Flying(slot, host)

    def _captured(self, size: int, pool: Any) -> _Graph:
        pictures = torch.zeros((size, *input_shape(self.spec)), dtype=torch.uint8, device=self._device)
        with translating_memory_errors(), torch.inference_mode():
            with torch.cuda.stream(self._computes):
                for _ in range(_WARM_UPS):
                    self._forward(pictures)
            torch.cuda.synchronize(self._device)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, pool=pool, stream=self._computes):
                rows = self._forward(pictures)
        return _Graph(graph, pictures, rows)


@dataclass(slots=True, eq=False)
class _Slot:
    """Staging for one batch in flight: pinned host memory and its counterpart on the device."""

    host: Tensor
    device: Tensor
    done: torch.cuda.Event
    taken: bool = False

    @classmethod
    def of(cls, shape: tuple[int, ...], device: torch.device) -> _Slot:
        return cls(
            torch.empty(shape, dtype=torch.uint8, pin_memory=True),
            torch.empty(shape, dtype=torch.uint8, device=device),
            torch.cuda.Event(),  # type: ignore[no-untyped-call] # torch has no types for it
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Graph:
    graph: Any
    pictures: Tensor
    rows: dict[str, Tensor]


class _Flying:
    """A launched batch. `rows` waits for its event and frees its slot."""

    def __init__(self, slot: _Slot, host: dict[str, Tensor]) -> None:
        self._slot = slot
        self._host = host

    def rows(self) -> dict[str, F32Array]:
        try:
            self._slot.done.synchronize()
        finally:
            self._slot.taken = False
        return {name: block.numpy().copy() for name, block in self._host.items()}
