"""A configuration made of folder names alone: what `watch` and `scan` use."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError

from deepdupe_daemon.config.load import resolved, schema_problems
from deepdupe_daemon.config.places import Place, check_roots, check_socket, check_state_dir
from deepdupe_daemon.config.problem import Problem, config_error
from deepdupe_daemon.config.schema import Config
from deepdupe_daemon.config.yaml_lines import Document

__all__ = ["config_for_folders", "user_state_dir", "validated"]


def user_state_dir(environ: Mapping[str, str]) -> Path:
    """`$XDG_STATE_HOME/deepdupe-daemon`, or `~/.local/state/deepdupe-daemon` (XDG Base Directory specification 0.8)."""
    state_home = environ.get("XDG_STATE_HOME", "")
    if not os.path.isabs(state_home):  # the specification: a relative path is to be ignored
        home = environ.get("HOME", "") or os.path.expanduser("~")
        state_home = os.path.join(home, ".local", "state")
    return Path(state_home, "deepdupe-daemon")


def config_for_folders(
    folders: Sequence[str | os.PathLike[str]],
    *,
    state_dir: Path | None = None,
    models: Sequence[str] | None = None,
    environ: Mapping[str, str],
) -> Config:
    """The defaults for these folders (relative ones from the working directory) and models.

    A model is a preset, or `PRESET=WEIGHTS` with a tag or the path of a checkpoint (relative ones likewise). Raises
    ConfigError with every problem, one a line.
    """
    places = [_place(folder, "another folder given") for folder in folders]
    state = Place(os.path.abspath(state_dir or user_state_dir(environ)), (), "the state dir")
    problems = check_roots(places) + [
        _with_remedy(problem) for problem in [*check_state_dir(state, places), *check_socket(state)]
    ]
    if problems:
        raise config_error(problems, source="")
    values = {
        "roots": [{"path": Path(place.path)} for place in places],
        "state_dir": Path(state.path),
        "models": [_model(text) for text in models or ("pdq",)],
    }
    return resolved(validated(values))


def validated(values: Mapping[str, object]) -> Config:
    """The configuration that these values make, for a program that has them at hand; nothing is looked at on the disk.

    Raises ConfigError with every problem, one a line.
    """
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        raise config_error(schema_problems(error, Document(dict(values))), source="") from error


def _model(text: str) -> dict[str, str]:
    name, given, weights = text.partition("=")
    if not given:
        return {"name": name}
    path = os.path.expanduser(weights)
    return {"name": name, "weights": os.path.abspath(path) if os.path.exists(path) else weights}


def _place(folder: str | os.PathLike[str], name: str) -> Place:
    return Place(os.path.abspath(os.path.expanduser(folder)), (), name)


def _with_remedy(problem: Problem) -> Problem:
    return Problem(problem.location, f"state dir: {problem.text}; --state-dir names another one")
