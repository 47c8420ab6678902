"""The configuration that a state dir was last used with, kept in it, so that `status` needs no `--config`."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from deepdupe_daemon.config.schema import Config
from deepdupe_daemon.errors import StateError
from deepdupe_daemon.model import display_path

__all__ = ["recall", "remember"]

_NAME = "configuration.json"
_PATH_KEYS = ("path", "state_dir", "runtime_dir", "cache_dir", "folder")


def remember(config: Config) -> None:
    """Write `config` into its state dir, whole or not at all (mode 0600). Only the holder of the state dir calls this.

    Raises StateError where it cannot be written.
    """
    target = os.path.join(config.state_dir, _NAME)
    partial = f"{target}.part"
    # ASCII escapes carry the bytes of a path that is no UTF-8 as lone surrogates, there and back
    text = json.dumps({"format": 1, "configuration": _plain(config)}, indent=1, ensure_ascii=True)
    try:
        with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "w") as file:
            file.write(text)
        os.replace(partial, target)
    except OSError as error:
        raise StateError(f"cannot be written: {error.strerror}", where=target) from error


def recall(state_dir: Path) -> Config | None:
    """What was remembered in `state_dir`; None where nothing was. Raises StateError where it cannot be read."""
    source = os.path.join(state_dir, _NAME)
    where = display_path(os.fsencode(source))
    try:
        with open(source, encoding="ascii") as file:
            config = Config.model_validate(_with_paths(json.load(file)["configuration"]))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        hint = "run the command as the daemon's user, or with sudo"
        raise StateError(f"cannot be read: {error.strerror}", where=where, hint=hint) from error
    except (ValueError, ValidationError, KeyError, TypeError) as error:
        hint = "name the configuration with --config, or start the daemon once with this version"
        raise StateError("is no configuration of this version", where=where, hint=hint) from error
    # a state dir that was moved or copied is the one where it is now
    return config.model_copy(update={"state_dir": Path(os.path.realpath(state_dir))})


def _plain(value: Any) -> Any:  # Any: JSON
    if isinstance(value, BaseModel):
        return {key: _plain(getattr(value, key)) for key in type(value).model_fields}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def _with_paths(value: Any, key: str = "") -> Any:  # Any: JSON
    """Paths as Path: pydantic refuses a text with lone surrogates, and takes such a Path as it is."""
    if isinstance(value, dict):
        return {name: _with_paths(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [_with_paths(item) for item in value]
    return Path(value) if key in _PATH_KEYS and isinstance(value, str) else value
