"""`models list | fetch | verify`"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deepdupe_daemon.cli.download_view import download_view
from deepdupe_daemon.cli.options import AsJson, ConfigFile
from deepdupe_daemon.cli.shell import Shell

if TYPE_CHECKING:
    from deepdupe_daemon.config import ModelConfig
    from deepdupe_daemon.vision import ModelRow

__all__ = ["models_fetch", "models_list", "models_verify"]

Name = Annotated[str, typer.Argument(metavar="NAME", help="A preset; with --config, a model of that file.")]
Tag = Annotated[str | None, typer.Option("--weights", metavar="TAG", help="A weights tag of the preset, or a file.")]
CacheDir = Annotated[Path | None, typer.Option(metavar="DIR", help="Where weights are kept. Default: the usual cache.")]


def models_list(ctx: typer.Context, cache_dir: CacheDir = None, as_json: AsJson = False) -> None:
    """List the models that are known by name, and what is on disk."""
    from deepdupe_daemon.vision import list_models

    shell: Shell = ctx.obj
    for row in list_models(shell.environ, cache_dir=cache_dir):
        if as_json:
            shell.json(_record(row))
            continue
        for line in _lines(row):
            shell.line(line)


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
    from deepdupe_daemon.vision import fetch_model

    shell: Shell = ctx.obj
    model = _model(config, {"name": name, "weights": weights, "revision": revision, "cache_dir": cache_dir})
    with download_view(shell) as show:
        fetched = fetch_model(model, environ=shell.environ, on_progress=show)
    if not fetched.files:
        shell.line(f"{name} needs no weights")
        return
    for file in fetched.files:
        shell.line(os.fspath(file))
    pinned = f", revision {fetched.revision}" if fetched.revision else ""
    shell.remark(f"{name}: {fetched.bytes / 1e6:,.0f} MB, SHA-256 {fetched.sha256}{pinned}")


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
    found = verify_model(model, environ=shell.environ, clock=shell.clock)
    if as_json:
        files = [os.fspath(file) for file in found.files]
        record = {"name": found.name, "files": files, "sha256": found.sha256, "dims": dict(found.dims)}
        shell.json({**record, "description": found.description, "notes": list(found.notes)})
        return
    for file in found.files:
        shell.line(os.fspath(file))
    dims = ", ".join(f"{space} {dim}-dim" for space, dim in found.dims.items())
    digest = f", SHA-256 {found.sha256}" if found.sha256 else ""
    shell.line(f"{found.description}: {dims}{digest}: sound")
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


def _record(row: ModelRow) -> dict[str, Any]:
    return {
        **row.to_dict(),
        "embeddings": [*row.dims, *(["both"] if len(row.dims) > 1 else [])],
        "state": _state(row),
    }


def _state(row: ModelRow) -> str:
    if not row.weights:
        return "needs no weights"
    return f"on disk: {', '.join(row.on_disk)}, {row.bytes_on_disk / 1e6:,.0f} MB" if row.on_disk else "not on disk"


def _lines(row: ModelRow) -> Iterator[str]:
    dims = ", ".join(f"{kind} {dim}-dim" for kind, dim in row.dims.items())
    yield f"{row.name}  ({row.title})"
    if row.weights:
        yield f"    {dims}; {row.input_px} px; batch {row.batch_size_cuda} on CUDA; {row.library}"
    else:
        yield f"    {dims}"
    yield f"    threshold {row.threshold:.3f}, {row.threshold_status}: {row.threshold_source}"
    tags = f"; weights {', '.join(row.tags)}" if row.tags else ""
    gate = "; its licence must be accepted before the download" if row.gated else ""
    yield f"    {row.licence}{tags}{gate}"
    yield f"    {_state(row)}"
