"""Which daemon a command is about: `--config`, else `--state-dir`, else the person's own, else the system's."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from deepdupe_daemon.cli.options import SYSTEM_CONFIG
from deepdupe_daemon.errors import ConfigError, StateError

if TYPE_CHECKING:
    from deepdupe_daemon.config import Config

__all__ = ["find_config"]


def find_config(
    config_file: Path | None, state_dir: Path | None, environ: Mapping[str, str], *, system_config: Path = SYSTEM_CONFIG
) -> Config:
    """The configuration of the daemon to ask, or of the ledger to read. Its folders may be missing.

    Raises ConfigError, StateError.
    """
    from deepdupe_daemon.config import load_config, recall, user_state_dir
    from deepdupe_daemon.model import display_path

    if config_file is not None and state_dir is not None:
        raise ConfigError("--config and --state-dir were both given", hint="give one of them")
    if config_file is not None:
        return load_config(config_file, look_at_disk=False)
    if state_dir is not None:
        found = recall(state_dir)
        if found is None:
            hint = "`deepdupe-daemon scan DIR --state-dir ...` or `watch` fills it"
            raise StateError("nothing is known here yet", where=display_path(os.fsencode(state_dir)), hint=hint)
        return found
    own = user_state_dir(environ)
    found = recall(own)
    if found is not None:
        return found
    if system_config.exists():
        return load_config(system_config, look_at_disk=False)
    raise StateError(
        f"nothing is known yet: {display_path(os.fsencode(own))} is empty, and there is no {system_config}",
        hint="`deepdupe-daemon scan DIR` or `watch DIR` first; or name --config or --state-dir",
    )
