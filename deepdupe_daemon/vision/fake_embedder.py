"""A deterministic network in miniature, for tests and trials without weights; it keeps what an `Embedder` promises."""

from __future__ import annotations

import json

import numpy as np

from deepdupe_daemon.model import F32Array, InputSpec, SpaceKey, U8Array
from deepdupe_daemon.vision.embedder import normalised

__all__ = ["FakeEmbedder"]

_GRID = 8  # cells a side


class FakeEmbedder:
    """Means of an 8 x 8 grid of RGB cells under a seeded random projection: copies come out near, other pictures far.

    Two embedders of the same arguments give bit-equal rows, alone and in any batch. Used by the forward thread alone.
    """

    def __init__(
        self,
        name: str = "fake",
        *,
        embeddings: tuple[str, ...] = ("final",),
        dim: int = 64,
        side_px: int = 32,
        batch_ceiling: int = 16,
    ) -> None:
        if side_px % _GRID:
            raise ValueError(f"side_px must be a multiple of {_GRID}, not {side_px}")
        self.parameters = 0
        self.spec = InputSpec(kind="picture", side_px=side_px, fit="squash", filter="bilinear")
        self.batch_ceiling = batch_ceiling
        preprocessing = json.dumps({"fake": _GRID, "side_px": side_px}, separators=(",", ":"), sort_keys=True)
        self.spaces = tuple(
            SpaceKey(model=name, embedding=embedding, dim=dim, weights="seeded", preprocessing=preprocessing)
            for embedding in embeddings
        )
        self._projections = [
            np.random.default_rng(seed).standard_normal((_GRID * _GRID * 3 + 1, dim)).astype(np.float32)
            for seed, _ in enumerate(self.spaces)
        ]

    def describe(self) -> str:
        return f"{self.spaces[0].model} fp32 on cpu"

    def embed(self, batch: U8Array) -> dict[str, F32Array]:
        """(n, side, side, 3) uint8 -> space name -> (n, dim) float32 rows of norm 1."""
        side = self.spec.side_px
        if batch.ndim != 4 or batch.shape[1:] != (side, side, 3) or batch.dtype != np.uint8:
            raise ValueError(f"expected (n, {side}, {side}, 3) uint8, not {batch.shape} {batch.dtype}")
        cell = side // _GRID
        cells = batch.reshape(len(batch), _GRID, cell, _GRID, cell, 3).astype(np.float32).mean(axis=(2, 4))
        features = np.ones((len(batch), _GRID * _GRID * 3 + 1), dtype=np.float32)  # the 1 keeps a grey picture off zero
        features[:, :-1] = cells.reshape(len(batch), -1) - 127.5
        # einsum and not matmul: BLAS picks other kernels for other row counts, and rows must not depend on the batch
        return {
            space.name: normalised(np.einsum("nf,fd->nd", features, projection))
            for space, projection in zip(self.spaces, self._projections, strict=True)
        }

    def embed_in_fp32(self, batch: U8Array) -> dict[str, F32Array]:
        return self.embed(batch)

    def close(self) -> None:
        pass
