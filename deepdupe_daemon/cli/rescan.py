"""`rescan`: look through the folders now."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from deepdupe_daemon.cli.options import ConfigFile, StateDir
from deepdupe_daemon.cli.shell import Shell
from deepdupe_daemon.cli.whereabouts import find_config
from deepdupe_daemon.errors import ConfigError, ControlError

__all__ = ["rescan"]


def rescan(
    ctx: typer.Context,
    folder: Annotated[Path | None, typer.Argument(metavar="DIR", help="Only this watched folder.")] = None,
    config: ConfigFile = None,
    state_dir: StateDir = None,
) -> None:
    """Ask the daemon to look through its folders now."""
    from deepdupe_daemon.model import display_path
    from deepdupe_daemon.service import ControlClient
    from deepdupe_daemon.service.protocol import encode_path

    shell: Shell = ctx.obj
    found = find_config(config, state_dir, shell.environ)
    arguments = {}
    if folder is not None:
        root = os.fsencode(os.path.realpath(folder))
        roots = [each.path_bytes for each in found.roots]
        if root not in roots:
            shown = ", ".join(display_path(each) for each in roots)
            raise ConfigError(f"found {display_path(root)}, which is not watched; allowed: {shown}", where="DIR")
        arguments["root_b64"] = encode_path(root)
    client = ControlClient.find(found)
    if client is None:
        hint = "start it: each start begins with a walk through all folders"
        raise ControlError("no daemon is running", where=display_path(os.fsencode(found.state_dir)), hint=hint)
    client.request("rescan", **arguments)
    shell.line("the walk has begun; `deepdupe-daemon status` says how it goes")
