"""The whole configuration."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from deepdupe_daemon.config.chroma import ChromaConfig
from deepdupe_daemon.config.decoder import DecoderConfig
from deepdupe_daemon.config.hooks import HookConfig
from deepdupe_daemon.config.intake import IntakeConfig
from deepdupe_daemon.config.judging import AlertConfig, JudgeConfig
from deepdupe_daemon.config.metrics import MetricsConfig
from deepdupe_daemon.config.model_choice import ModelConfig
from deepdupe_daemon.config.quarantine import QuarantineConfig
from deepdupe_daemon.config.roots import RootConfig
from deepdupe_daemon.config.searching import RecallConfig
from deepdupe_daemon.config.section import Section, Text, absolute

__all__ = ["DEFAULT_STATE_DIR", "Config"]

#: where the unit's StateDirectory=deepdupe-daemon is
DEFAULT_STATE_DIR = Path("/var/lib/deepdupe-daemon")


class Config(Section):
    """Configuration of deepdupe-daemon."""

    roots: Annotated[tuple[RootConfig, ...], Field(min_length=1)] = Field(
        description="The watched folders. None of them may lie inside another one."
    )
    state_dir: Path = Field(
        default=DEFAULT_STATE_DIR,
        description="Folder of the ledger, the vectors and the Chroma database. It "
        "must not lie in a watched folder. One state dir holds one daemon.",
    )
    runtime_dir: Path | None = Field(
        default=None,
        description="Folder of the control socket that `status`, `check` and others use. null: the one that systemd "
        "makes in /run for a service of the machine, else the state dir.",
    )
    models: Annotated[tuple[ModelConfig, ...], Field(min_length=1)] = Field(
        default=(ModelConfig(),),
        description="The models to compare pictures with; all of them stay loaded, and each sees each picture.",
    )
    match: Literal["any", "all"] | Annotated[tuple[Text, ...], Field(min_length=1)] = Field(
        default="any",
        description="Which spaces must propose a pair before it is looked at: any of them, all of them, or all of a "
        "list of space names such as [clip-vit-l-14.final, clip-vit-l-14.hidden].",
    )
    intake: IntakeConfig = Field(default=IntakeConfig(), description="Which files are looked at, and when.")
    decoder: DecoderConfig = Field(default=DecoderConfig(), description="The worker processes that open pictures.")
    recall: RecallConfig = Field(default=RecallConfig(), description="The search for pictures that are alike.")
    chroma: ChromaConfig = Field(default=ChromaConfig(), description="The database that other programs can query.")
    judge: JudgeConfig = Field(default=JudgeConfig(), description="From candidates to verdicts.")
    quarantine: QuarantineConfig = Field(
        default=QuarantineConfig(),
        description="Where quarantined files go, and how many at most without a person's word.",
    )
    hooks: tuple[HookConfig, ...] = Field(
        default=(),
        description="Commands of your own that are run when something happens, each with the record as one JSON object "
        "on its standard input. One that fails is reported and holds nothing up.",
    )
    alerts: AlertConfig = Field(default=AlertConfig(), description="Where alerts go.")
    metrics: MetricsConfig = Field(default=MetricsConfig(), description="Figures for Prometheus.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="The least important messages that are written."
    )

    @field_validator("state_dir", "runtime_dir", mode="before")
    @classmethod
    def _expand(cls, value: object) -> object:
        return os.path.expanduser(value) if isinstance(value, str) and value.startswith("~") else value

    @field_validator("state_dir", "runtime_dir")
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        return None if value is None else absolute(value)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [model.name for model in self.models]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"models: found {', '.join(twice)} twice; allowed: each model once")
        if isinstance(self.match, tuple):
            strangers = [space for space in self.match if space.rpartition(".")[0] not in names]
            if strangers:
                raise ValueError(
                    f"match: found {', '.join(strangers)}; allowed: spaces of the configured models, "
                    f"written model.embedding (models here: {', '.join(names)})"
                )
        return self
