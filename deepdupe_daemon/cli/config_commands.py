"""`config check | show | schema | sample`"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from deepdupe_daemon.cli.counted import counted
from deepdupe_daemon.cli.options import SYSTEM_CONFIG

__all__ = ["config_check", "config_sample", "config_schema", "config_show"]

_File = Annotated[Path | None, typer.Argument(metavar="FILE", help=f"The configuration file, else {SYSTEM_CONFIG}.")]
_Option = Annotated[Path | None, typer.Option("--config", "-c", metavar="FILE", help="The same, as for `run`.")]


def config_check(ctx: typer.Context, file: _File = None, config: _Option = None) -> None:
    """Check a configuration file and its folders; every problem is told with its line."""
    from deepdupe_daemon.config import load_config
    from deepdupe_daemon.model import display_path

    path = config or file or SYSTEM_CONFIG
    loaded = load_config(path)
    folders = counted(len(loaded.roots), "folder")
    models = ", ".join(model.name for model in loaded.models)
    state = display_path(os.fsencode(loaded.state_dir))
    ctx.obj.line(f"{display_path(os.fsencode(path))}: fine: {folders}, models {models}, state in {state}")


def config_show(ctx: typer.Context, file: _File = None, config: _Option = None) -> None:
    """Print the configuration in force: the file, with every default filled in."""
    from deepdupe_daemon.config import describe, load_config

    ctx.obj.line(describe(load_config(config or file or SYSTEM_CONFIG, look_at_disk=False)).rstrip())


def config_schema(ctx: typer.Context) -> None:
    """Print the JSON schema of the file, for editors."""
    from deepdupe_daemon.config import json_schema

    ctx.obj.line(json.dumps(json_schema(), indent=2))


def config_sample(ctx: typer.Context) -> None:
    """Print a sample file in which every key is explained."""
    from deepdupe_daemon.config import sample_yaml

    ctx.obj.line(sample_yaml().rstrip())
