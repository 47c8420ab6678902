"""The configured models with the thresholds of their spaces, loaded in the forward thread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from deepdupe_daemon.config import Config, ModelConfig
from deepdupe_daemon.model import InputSpec, SpaceKey
from deepdupe_daemon.vision import PDQ_SPACE, Embedder

__all__ = ["Resident", "ResidentModels", "space_threshold"]


@dataclass(frozen=True, slots=True)
class Resident:
    """What the other threads need to know of the models: their spaces, thresholds and inputs."""

    spaces: tuple[SpaceKey, ...]
    thresholds: dict[str, float]  # space name -> cosine from which a pair is a candidate
    specs: tuple[InputSpec, ...]
    batch_ceiling: int
    normalised: frozenset[str] = frozenset()  # spaces whose scores are normalised

    @property
    def space_names(self) -> tuple[str, ...]:
        return tuple(space.name for space in self.spaces)


class ResidentModels:
    """Loads once, in the forward thread; `described` is read by others after that thread said that it is ready."""

    def __init__(
        self,
        config: Config,
        load: Callable[[ModelConfig], Embedder],
        threshold: Callable[[ModelConfig, SpaceKey], float],
    ) -> None:
        """`threshold(model, space)`: the space's own threshold where the configuration gives none."""
        self._config = config
        self._load_one = load
        self._threshold = threshold
        self._described: Resident | None = None
        self._spaces: list[tuple[SpaceKey, ...]] = []  # of each configured model

    def load(self) -> Sequence[Embedder]:
        """Every configured model, resident. Raises ModelError."""
        embedders: list[Embedder] = []
        thresholds: dict[str, float] = {}
        try:
            for model in self._config.models:
                embedder = self._load_one(model)
                embedders.append(embedder)
                thresholds |= {space.name: self._threshold_of(model, space) for space in embedder.spaces}
        except BaseException:
            for embedder in embedders:
                embedder.close()
            raise
        self._spaces = [tuple(embedder.spaces) for embedder in embedders]
        self._described = Resident(
            spaces=tuple(space for embedder in embedders for space in embedder.spaces),
            thresholds=thresholds,
            specs=tuple(dict.fromkeys(embedder.spec for embedder in embedders)),
            batch_ceiling=max(embedder.batch_ceiling for embedder in embedders),
            normalised=self._normalised_spaces(),
        )
        return embedders

    def retune(self, config: Config) -> None:
        """Take the thresholds of `config`, which has the same models; they stay loaded. The supervising thread."""
        self._config = config
        pairs = zip(config.models, self._spaces, strict=True)
        thresholds = {space.name: self._threshold_of(model, space) for model, spaces in pairs for space in spaces}
        self._described = replace(self.described, thresholds=thresholds, normalised=self._normalised_spaces())

    @property
    def described(self) -> Resident:
        """Raises RuntimeError before the models are resident."""
        if self._described is None:
            raise RuntimeError("the models are not resident yet")
        return self._described

    def _normalised_spaces(self) -> frozenset[str]:
        pairs = zip(self._config.models, self._spaces, strict=True)
        return frozenset(
            space.name for model, spaces in pairs for space in spaces if model.normalised_threshold is not None
        )

    def _threshold_of(self, model: ModelConfig, space: SpaceKey) -> float:
        return space_threshold(self._config, model, space.name, self._threshold(model, space))


def space_threshold(config: Config, model: ModelConfig, space: str, own: float) -> float:
    """The score from which a pair is a candidate in a space of `model`; `own`: where the configuration gives none."""
    if model.normalised_threshold is not None:
        return model.normalised_threshold
    if model.threshold is not None:
        return model.threshold
    if space == PDQ_SPACE.name:  # cosine of two sign vectors of 256 components at Hamming distance d
        return 1.0 - 2.0 * config.judge.pdq_max_distance / PDQ_SPACE.dim
    return own
