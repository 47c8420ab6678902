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

_File = Annotated[Path, typer.Argument(metavar="[FILE]", help="The configuration file.")]


def config_check(ctx: typer.Context, file: _File = SYSTEM_CONFIG) -> None:
    """Check a configuration file and its folders; every problem is told with its line."""
    from deepdupe_daemon.config import load_config
    from deepdupe_daemon.model import display_path

    config = load_config(file)
    folders = counted(len(config.roots), "folder")
    models = ", ".join(model.name for model in config.models)
    state = display_path(os.fsencode(config.state_dir))
    ctx.obj.line(f"{display_path(os.fsencode(file))}: fine: {folders}, models {models}, state in {state}")


def config_show(ctx: typer.Context, file: _File = SYSTEM_CONFIG) -> None:
    """Print the configuration in force: the file, with every default filled in."""
    from deepdupe_daemon.config import describe, load_config

    ctx.obj.line(describe(load_config(file, look_at_disk=False)).rstrip())


def config_schema(ctx: typer.Context) -> None:
    """Print the JSON schema of the file, for editors."""
    from deepdupe_daemon.config import json_schema

    ctx.obj.line(json.dumps(json_schema(), indent=2))


def config_sample(ctx: typer.Context) -> None:
    """Print a sample file in which every key is explained."""
    from deepdupe_daemon.config import sample_yaml

    ctx.obj.line(sample_yaml().rstrip())
