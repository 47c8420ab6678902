"""From the answers of `setup` to a configuration."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepdupe_daemon.errors import ConfigError

if TYPE_CHECKING:
    from deepdupe_daemon.config import Config

__all__ = ["Answers", "check_answers", "make_config"]


@dataclass(frozen=True, slots=True)
class Answers:
    """What a person said; None: nothing, so the default holds."""

    folders: tuple[str, ...]
    model: str | None
    embedding: str | None
    weights: str | None
    device: str | None
    precision: str | None
    action: str | None
    state_dir: Path


def check_answers(folders: Sequence[str], state_dir: Path, environ: Mapping[str, str]) -> None:
    """Raises ConfigError, a problem a line, where these folders cannot be watched."""
    from deepdupe_daemon.config import config_for_folders

    config_for_folders(folders, state_dir=state_dir, environ=environ)


def make_config(answers: Answers, *, default_model: str) -> Config:
    """The configuration; its folders are looked at. Raises ConfigError with every problem, one a line."""
    from deepdupe_daemon.config import config_for_folders, validated
    from deepdupe_daemon.model import display_path

    if not answers.folders:
        raise ConfigError("no folder was given", hint="--folder DIR names one; several may be given")
    plain = config_for_folders(answers.folders, state_dir=answers.state_dir, environ={})
    for root in plain.roots:
        if not _is_utf8(root.path_bytes):
            where = display_path(root.path_bytes)
            hint = "rename it, or use `deepdupe-daemon watch`, which needs no file"
            raise ConfigError("a name that is not UTF-8 cannot stand in a YAML file", where=where, hint=hint)
    model: dict[str, Any] = {"name": answers.model or default_model}
    for key in ("embedding", "device", "precision", "weights"):
        value = getattr(answers, key)
        if value is not None:
            model[key] = value
    if answers.weights is not None and os.path.exists(answers.weights):
        model["weights"] = os.path.abspath(answers.weights)
    roots = [{"path": root.path, "action": answers.action or "observe"} for root in plain.roots]
    values = {"roots": roots, "state_dir": plain.state_dir, "models": [model]}
    # the dual hash: one forward pass, and a pair counts only where both embeddings agree
    if answers.embedding == "both":
        values["match"] = "all"
    return validated(values)


def _is_utf8(name: bytes) -> bool:
    try:
        name.decode()
    except UnicodeDecodeError:
        return False
    return True
