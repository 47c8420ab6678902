"""What is to be loaded, resolved to files and constants."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from deepdupe_daemon.model import InputSpec
from deepdupe_daemon.vision.preprocessing import Preprocessing
from deepdupe_daemon.vision.thresholds import Threshold

__all__ = ["ModelPlan"]


@dataclass(frozen=True, slots=True)
class ModelPlan:
    """One configured model, with every file found and every constant known or named as an assumption."""

    name: str
    backend: Literal["none", "open_clip", "transformers", "torchscript"]
    embeddings: tuple[str, ...]  # the spaces that it fills, in order
    preprocessing: Preprocessing
    thresholds: Mapping[str, Threshold]  # by space name
    device: str = "auto"
    precision: str = "auto"
    batch_size: int | None = None
    batch_size_cuda: int = 400
    batch_size_cpu: int = 8
    network: str = ""  # what is computed, as far as the weights' bytes do not say it: enters the space's identity
    weights_label: str = ""  # a tag; "" where the digest will name them
    files: tuple[Path, ...] = ()  # weights, shards in order
    folder: Path | None = None  # transformers
    expected_sha256: str | None = None  # hex, possibly a prefix
    open_clip_config: Mapping[str, Any] | None = None  # open_clip's model config
    quick_gelu: bool | None = None  # open_clip: None where neither configuration nor files beside the weights say it
    constants_known: bool = True  # open_clip: False where mean and std are an assumption
    published_dims: Mapping[str, int] = field(default_factory=dict)
    notices: tuple[str, ...] = ()  # assumptions and derived facts that belong in the journal

    @property
    def spec(self) -> InputSpec:
        """What a decoding worker must prepare."""
        return self.preprocessing.spec

    @property
    def space_names(self) -> tuple[str, ...]:
        """`clip-vit-l-14.final`, ..."""
        return tuple(f"{self.name}.{embedding}" for embedding in self.embeddings)
