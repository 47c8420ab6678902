"""PDQ as a space: weight-free, exact, and through the same batches, collection and judge as any model."""

from __future__ import annotations

import json

import numpy as np

from deepdupe_daemon.model import F32Array, InputSpec, SpaceKey, U8Array

__all__ = ["PDQ_INPUT", "PDQ_SPACE", "PdqEmbedder"]

PDQ_INPUT = InputSpec(kind="pdq")

PDQ_SPACE = SpaceKey(
    model="pdq",
    embedding="hash",
    dim=256,
    weights="none",
    preprocessing=json.dumps({"hash": "pdq-256", "component": "+-1/16"}, separators=(",", ":"), sort_keys=True),
)


class PdqEmbedder:
    """256 components of +-1/16, so that a row has norm 1 and cosine similarity is 1 - 2d/256 for Hamming distance d.

    Exact in float16 and float32 alike. Stateless, so any thread may use it.
    """

    spaces = (PDQ_SPACE,)
    spec = PDQ_INPUT
    parameters = 0
    batch_ceiling = 1024

    def describe(self) -> str:
        return "pdq on cpu"

    def embed(self, batch: U8Array) -> dict[str, F32Array]:
        """(n, 32) uint8 hash bytes, bit 0 first -> (n, 256) float32."""
        if batch.ndim != 2 or batch.shape[1] != 32 or batch.dtype != np.uint8:
            raise ValueError(f"expected (n, 32) uint8, not {batch.shape} {batch.dtype}")
        bits = np.unpackbits(batch, axis=1).astype(np.float32)
        return {PDQ_SPACE.name: (bits * 2.0 - 1.0) / 16.0}

    def embed_in_fp32(self, batch: U8Array) -> dict[str, F32Array]:
        return self.embed(batch)

    def close(self) -> None:
        pass
