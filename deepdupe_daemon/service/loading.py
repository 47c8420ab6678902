"""The real models of a configuration, and the folders that a check without a daemon needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from deepdupe_daemon.config import Config, ModelConfig
from deepdupe_daemon.model import SpaceKey
from deepdupe_daemon.service.resident import ResidentModels, space_threshold
from deepdupe_daemon.vision import Embedder, VisionNotice

__all__ = ["configured_thresholds", "resident_models"]


def configured_thresholds(config: Config) -> dict[str, float]:
    """Space name -> score from which a pair is a candidate, without loading any model."""
    from deepdupe_daemon.vision import thresholds_of

    found = {}
    for model in config.models:
        for space, threshold in thresholds_of(model).items():
            found[space] = space_threshold(config, model, space, threshold.similarity)
    return found


def resident_models(
    config: Config, environ: Mapping[str, str], on_notice: Callable[[VisionNotice], None] = lambda _notice: None
) -> ResidentModels:
    """Loaders of what `config.models` names; nothing is loaded yet."""

    def load(model: ModelConfig) -> Embedder:
        from deepdupe_daemon.vision import load_embedder

        return load_embedder(model, environ=environ, on_notice=on_notice)

    def threshold(model: ModelConfig, space: SpaceKey) -> float:
        from deepdupe_daemon.vision import default_threshold

        return default_threshold(model, space)

    return ResidentModels(config, load, threshold)
