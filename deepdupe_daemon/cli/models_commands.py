"""`models list | fetch | verify`"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deepdupe_daemon.cli.calibration_text import calibration_remark
from deepdupe_daemon.cli.download_view import download_view
from deepdupe_daemon.cli.model_menu import menu
from deepdupe_daemon.cli.model_text import comparison_lines, model_lines, model_record
from deepdupe_daemon.cli.options import AsJson, ConfigFile, StateDir
from deepdupe_daemon.cli.shell import Shell
from deepdupe_daemon.cli.weights_place import service_environ
from deepdupe_daemon.cli.whereabouts import find_config
from deepdupe_daemon.errors import ConfigError, StateError

if TYPE_CHECKING:
    from deepdupe_daemon.config import ModelConfig

__all__ = ["models_fetch", "models_list", "models_verify"]

Name = Annotated[str, typer.Argument(metavar="NAME", help="A preset; with --config, a model of that file.")]
Tag = Annotated[str | None, typer.Option("--weights", metavar="TAG", help="A weights tag of the preset, or a file.")]
CacheDir = Annotated[Path | None, typer.Option(metavar="DIR", help="Where weights are kept. Default: the usual cache.")]


def models_list(
    ctx: typer.Context,
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME...", help="These alone. Default: all.")] = None,
    loaded: Annotated[
        bool, typer.Option("--loaded", help="Load what is on disk, and show what the networks themselves say.")
    ] = False,
    compare: Annotated[
        bool, typer.Option("--compare", help="A table with a column a model. Default: the first three networks.")
    ] = False,
    cache_dir: CacheDir = None,
    config: ConfigFile = None,
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """List the models that are known by name, and what is on disk."""
    from deepdupe_daemon.vision import list_models

    shell: Shell = ctx.obj
    wanted = names or ([each.name for each in menu()[:3]] if compare else [])
    rows = list_models(service_environ(shell.environ), cache_dir=cache_dir, names=wanted, loaded=loaded)
    calibrated = {row.name: _calibrated(row.name, config, state_dir, shell) for row in rows}
    if as_json:
        for row in rows:
            shell.json({**model_record(row), "calibrated": calibrated[row.name]})
        return
    if compare:
        for line in comparison_lines(rows):
            shell.line(line)
        return
    for row in rows:
        remarks = (f"    {space} {text}" for space, text in calibrated[row.name].items())
        for line in (*model_lines(row), *remarks):
            shell.line(line)


def _calibrated(model: str, config: Path | None, state_dir: Path | None, shell: Shell) -> dict[str, str]:
    """Space name -> what `calibrate` measured of this model, where this person has a state dir."""
    from deepdupe_daemon.calibration import read_calibrations
    from deepdupe_daemon.config import user_state_dir

    try:
        folder = find_config(config, state_dir, shell.environ).state_dir
    except (ConfigError, StateError):  # a list of models need not wait until the system's configuration is right
        if config is not None or state_dir is not None:
            raise
        folder = user_state_dir(shell.environ)
    known = read_calibrations(folder)
    return {name: calibration_remark(each) for name, each in known.items() if each.space.model == model}


def models_fetch(
    ctx: typer.Context,
    name: Name,
    weights: Tag = None,
    revision: Annotated[str | None, typer.Option(metavar="COMMIT", help="The revision of the repository.")] = None,
    cache_dir: CacheDir = None,
    config: ConfigFile = None,
) -> None:
    """Download the weights of a model, with a progress bar.

    A download that broke off is taken up where it ended, and what came is checked against its digest.
    """
    from deepdupe_daemon.vision import fetch_model, with_fetched_file

    shell: Shell = ctx.obj
    model = _model(config, {"name": name, "weights": weights, "revision": revision, "cache_dir": cache_dir})
    with download_view(shell) as show:
        fetched = fetch_model(model, environ=service_environ(shell.environ), on_progress=show)
    if not fetched.files:
        shell.line(f"{name} needs no weights")
        return
    for file in fetched.files:
        shell.line(os.fspath(file))
    pinned = f", revision {fetched.revision}" if fetched.revision else ""
    shell.remark(f"{name}: {fetched.bytes / 1e6:,.0f} MB, SHA-256 {fetched.sha256}{pinned}")
    if with_fetched_file(model, shell.environ) is not model:
        shell.remark("a TorchScript file is a program: it is loaded where the configuration has its path as `weights`")


def models_verify(
    ctx: typer.Context,
    name: Name,
    weights: Tag = None,
    cache_dir: CacheDir = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Hash a model's files again, load it, and embed two pictures as a self-test. Downloads nothing."""
    from deepdupe_daemon.vision import verify_model

    shell: Shell = ctx.obj
    model = _model(config, {"name": name, "weights": weights, "cache_dir": cache_dir})
    found = verify_model(model, environ=service_environ(shell.environ), clock=shell.clock)
    if as_json:
        files = [os.fspath(file) for file in found.files]
        record: dict[str, object] = {
            "name": found.name,
            "files": files,
            "sha256": found.sha256,
            "dims": dict(found.dims),
        }
        record |= {"parameters": found.parameters, "description": found.description, "notes": list(found.notes)}
        shell.json(record)
        return
    for file in found.files:
        shell.line(os.fspath(file))
    dims = ", ".join(f"{space} {dim}-dim" for space, dim in found.dims.items())
    digest = f", SHA-256 {found.sha256}" if found.sha256 else ""
    size = f", {found.parameters / 1e6:,.1f} million parameters" if found.parameters else ""
    shell.line(f"{found.description}: {dims}{size}{digest}: sound")
    for note in found.notes:
        shell.remark(note)


def _model(config: Path | None, asked: Mapping[str, Any]) -> ModelConfig:
    """The model of that name in the file, else a preset with these options. Raises ConfigError."""
    from deepdupe_daemon.config import load_config, validated

    if config is not None:
        for model in load_config(config, look_at_disk=False).models:
            if model.name == asked["name"]:
                return model
    # a whole configuration, so that a wrong option is told in the same words as in the file
    return validated({"roots": [{"path": "/"}], "models": [dict(asked)]}).models[0]
