"""What every embedder promises, as checks that any test can run on its own instance."""

from __future__ import annotations

import numpy as np

from deepdupe_daemon.model import U8Array
from deepdupe_daemon.vision.embedder import Embedder, StagedEmbedder, input_shape


def inputs(embedder: Embedder, count: int, *, seed: int = 0) -> U8Array:
    """`count` different random inputs for `embedder`."""
    return np.random.default_rng(seed).integers(0, 256, (count, *input_shape(embedder.spec)), dtype=np.uint8)


def check_contract(embedder: Embedder, *, tolerance: float = 1e-5) -> None:
    """Asserts shapes, dtypes, norms, names, and that rows depend neither on the batch nor on the call."""
    batch = inputs(embedder, 5)
    rows = embedder.embed(batch)
    assert set(rows) == {space.name for space in embedder.spaces}
    assert embedder.batch_ceiling >= 1
    assert embedder.describe()
    for space in embedder.spaces:
        block = rows[space.name]
        assert block.dtype == np.float32
        assert block.shape == (5, space.dim)
        assert np.allclose(np.linalg.norm(block, axis=1), 1, atol=1e-4)
        assert space.schema == 1
        assert space.preprocessing
        alone = np.concatenate([embedder.embed(batch[at : at + 1])[space.name] for at in range(5)])
        assert np.abs(alone - block).max() <= tolerance, "a row depends on its batch"
        assert np.abs(embedder.embed(batch[::-1])[space.name][::-1] - block).max() <= tolerance, "order matters"
        exact = embedder.embed_in_fp32(batch)[space.name]
        assert exact.dtype == np.float32
        assert (exact * block).sum(axis=1).min() > 0.999
        assert len({row.tobytes() for row in block}) == 5, "different inputs give one row"
    if isinstance(embedder, StagedEmbedder):
        first, second = embedder.begin(list(batch[:3])), embedder.begin(list(batch[3:]))
        staged = [first.rows(), second.rows()]
        for space in embedder.spaces:
            joined = np.concatenate([part[space.name] for part in staged])
            assert np.abs(joined - rows[space.name]).max() <= tolerance
