"""A model, as the configuration names it. Which names are presets is known to the vision room alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from deepdupe_daemon.config.section import Count, Flag, Number, Section, Text

__all__ = ["ModelConfig"]

_Triple = tuple[Number, Number, Number]


class ModelConfig(Section):
    """A model to compare pictures with. Each embedding type of each model is a space of its own."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")] = Field(
        default="pdq",
        json_schema_extra={"x-allowed": "a name of small letters, digits, - and _, such as clip-vit-l-14"},
        description="A preset (`deepdupe-daemon models list` shows them), or a name of your own together with "
        "backend. pdq needs no weights and no GPU.",
    )
    weights: Text | None = Field(
        default=None,
        description="A weights tag of the preset, or the path of a local checkpoint file or folder. null: the "
        "preset's own.",
    )
    embedding: Literal["final", "hidden", "both", "pooler", "hash"] | None = Field(
        default=None,
        description="Which embedding is taken: final (projected), hidden (class token before the projection), both "
        "(two spaces from one forward pass), pooler (DINOv3), hash (pdq). null: the preset's own.",
    )
    threshold: Annotated[Number, Field(gt=0, le=1)] | None = Field(
        default=None,
        description="Cosine similarity from which two pictures are candidates. null: the preset's own for this space.",
    )
    normalised_threshold: Annotated[Number, Field(gt=-1, le=1)] | None = Field(
        default=None,
        description="A rule in place of threshold: the similarity less what both pictures have in common with "
        "unrelated ones. null: the plain similarity counts. The unrelated ones are a sample of your own pictures, "
        "taken once 1000 are known; until then the plain similarity is held against this number.",
    )
    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda|cuda:[0-9]{1,2})$")] = Field(
        default="auto",
        json_schema_extra={"x-allowed": "auto, cpu, cuda or cuda:N"},
        description="auto, cpu, cuda or cuda:N. auto: the first GPU, else the processor.",
    )
    precision: Literal["auto", "fp16", "bf16", "fp32"] = Field(
        default="auto",
        description="Number format of weights and activations. auto: fp16 on CUDA and fp32 on the "
        "processor, or bf16 where a self-test at start prefers it.",
    )
    batch_size: Annotated[Count, Field(ge=1, le=65536)] | None = Field(
        default=None,
        description="Most pictures in one forward pass; lowered to what the device holds. null: the preset's own.",
    )
    linger_ms: Annotated[Number, Field(ge=0, le=1000)] = Field(
        default=0.0,
        description="Milliseconds that an idle device waits for a batch to fill; of several models, the longest counts "
        "for all. 0: it starts at once with what is there, which is best but for very fast models.",
    )
    input_px: Annotated[Count, Field(ge=16, le=4096)] | None = Field(
        default=None, description="Side of the input picture, in pixels. null: the preset's own."
    )
    backend: Literal["open_clip", "transformers", "torchscript"] | None = Field(
        default=None, description="For a model that is no preset: the library that loads it."
    )
    architecture: Text | None = Field(
        default=None, description="For a model that is no preset: its name in that library, or a folder."
    )
    mean: _Triple | None = Field(
        default=None, description="Mean of red, green and blue (0 to 1), where the weights do not say it themselves."
    )
    std: _Triple | None = Field(
        default=None, description="Standard deviation of red, green and blue, where the weights do not say it."
    )
    revision: Text | None = Field(default=None, description="Commit of the Hugging Face repository to use.")
    cache_dir: Path | None = Field(
        default=None, description="Folder for downloaded weights. null: the usual Hugging Face cache."
    )
    offline: Flag = Field(default=False, description="true: never download, fail with a message instead.")

    @field_validator("mean")
    @classmethod
    def _of_one(cls, value: _Triple | None) -> _Triple | None:
        if value is not None and not (min(value) >= 0 and max(value) <= 1):
            raise ValueError(f"found {list(value)}; allowed: three numbers from 0 to 1 (of 255: divide by 255)")
        return value

    @field_validator("std")
    @classmethod
    def _positive(cls, value: _Triple | None) -> _Triple | None:
        if value is not None and not (min(value) > 0 and max(value) <= 1):
            raise ValueError(f"found {list(value)}; allowed: three numbers above 0, at most 1 (of 255: divide by 255)")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.name == "pdq":
            given = [
                key
                for key in (
                    "weights",
                    "backend",
                    "architecture",
                    "mean",
                    "std",
                    "revision",
                    "input_px",
                    "normalised_threshold",
                )
                if getattr(self, key) is not None
            ]
            if given:
                raise ValueError(f"found {', '.join(given)} for pdq, which has no weights; allowed: without")
            if self.embedding not in (None, "hash"):
                raise ValueError(f"embedding: found {self.embedding!r}; allowed for pdq: hash or null")
        if (self.mean is None) != (self.std is None):
            raise ValueError("found one of mean and std; allowed: both of them, or neither")
        return self
