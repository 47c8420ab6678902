"""The exact index that a configuration asks for: on which device, and in how much memory."""

from __future__ import annotations

from collections.abc import Sequence

from deepdupe_daemon.clock import Clock
from deepdupe_daemon.config import Config
from deepdupe_daemon.index import ExactIndex, Scorer
from deepdupe_daemon.model import SpaceKey
from deepdupe_daemon.vision import PDQ_SPACE

__all__ = ["exact_index"]


def exact_index(config: Config, spaces: Sequence[SpaceKey], clock: Clock) -> ExactIndex:
    """An index with `spaces` open and empty, owned by the calling thread. Raises ModelError for a device not there."""
    index = ExactIndex(
        _scorer(config, spaces, clock), budget_bytes=config.recall.budget_bytes, spill_dir=config.state_dir
    )
    for space in spaces:
        index.open_space(space.name, space.dim)
    return index


def _scorer(config: Config, spaces: Sequence[SpaceKey], clock: Clock) -> Scorer | None:
    """None: the index's own. PDQ's bits are faster there than any product, and want no torch loaded for them."""
    dims = [space.dim for space in spaces if space != PDQ_SPACE]
    device = config.recall.device
    if device == "host" or not dims:
        return None
    if device == "auto" and all(model.device == "cpu" for model in config.models if model.name != PDQ_SPACE.model):
        device = "cpu"  # who keeps the networks off the GPU wants it for something else
    from deepdupe_daemon.vision import choose_scorer

    return choose_scorer(device, clock, dim=max(dims))
