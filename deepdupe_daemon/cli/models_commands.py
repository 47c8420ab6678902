"""`models list | fetch`"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deepdupe_daemon.cli.download_view import download_view
from deepdupe_daemon.cli.options import AsJson
from deepdupe_daemon.cli.shell import Shell
from deepdupe_daemon.errors import DeepDupeError

if TYPE_CHECKING:
    from deepdupe_daemon.vision import Preset

__all__ = ["models_fetch", "models_list"]


def models_list(ctx: typer.Context, as_json: AsJson = False) -> None:
    """List the models that are known by name, and what is on disk."""
    from deepdupe_daemon.vision import PRESETS

    shell: Shell = ctx.obj
    for preset in PRESETS.values():
        record = _record(preset, shell.environ)
        if as_json:
            shell.json(record)
            continue
        for line in _lines(record):
            shell.line(line)


def models_fetch(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="A preset.")],
    weights: Annotated[str | None, typer.Option(metavar="TAG", help="A weights tag of the preset.")] = None,
    revision: Annotated[str | None, typer.Option(metavar="COMMIT", help="The revision of the repository.")] = None,
    cache_dir: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where to keep it. Default: the service's cache, or yours.")
    ] = None,
) -> None:
    """Download the weights of a model, with a progress bar.

    A download that broke off is taken up where it ended, and what came is checked against its digest.
    """
    from deepdupe_daemon.config import validated
    from deepdupe_daemon.vision import plan_model

    shell: Shell = ctx.obj
    # a whole configuration, so that a wrong option is told in the same words as in the file
    model = {"name": name, "weights": weights, "revision": revision, "cache_dir": cache_dir}
    config = validated({"roots": [{"path": "/"}], "models": [model]})
    with download_view(shell) as show:
        plan = plan_model(config.models[0], environ=shell.environ, on_progress=show)
    for file in plan.files:
        shell.line(os.fspath(file))
    if not plan.files:
        shell.line(f"{name} needs no weights")


def _record(preset: Preset, environ: Mapping[str, str]) -> dict[str, Any]:
    from deepdupe_daemon.config import ModelConfig
    from deepdupe_daemon.vision import plan_model

    try:
        files = [
            os.fspath(file) for file in plan_model(ModelConfig(name=preset.name, offline=True), environ=environ).files
        ]
        state = "on disk" if files else "needs no weights"
    except DeepDupeError as error:
        files, state = [], "not on disk" if "is not on disk" in error.what else error.what
    return {
        "name": preset.name,
        "title": preset.title,
        "library": {"none": "pdqhash", "torchscript": "torch"}.get(preset.backend, preset.backend),
        "dims": dict(preset.dims),
        "embeddings": [*preset.dims, *(["both"] if len(preset.dims) > 1 else [])],
        "input_px": preset.input_px,
        "licence": preset.licence,
        "gated": preset.gated,
        "batch_size_cuda": preset.batch_size_cuda,
        "threshold": preset.threshold.similarity,
        "threshold_status": preset.threshold.status,
        "threshold_source": preset.threshold.source,
        "weights": list(preset.tags),
        "state": state,
        "files": files,
    }


def _lines(record: Mapping[str, Any]) -> Iterator[str]:
    dims = ", ".join(f"{kind} {dim}-dim" for kind, dim in record["dims"].items())
    yield f"{record['name']}  ({record['title']})"
    if record["library"] == "pdqhash":
        yield f"    {dims}; {record['library']}"
    else:
        yield f"    {dims}; {record['input_px']} px; batch {record['batch_size_cuda']} on CUDA; {record['library']}"
    yield f"    threshold {record['threshold']:.3f}, {record['threshold_status']}: {record['threshold_source']}"
    tags = f"; weights {', '.join(record['weights'])}" if record["weights"] else ""
    yield f"    {record['licence']}{tags}"
    yield f"    {record['state']}{''.join(f': {file}' for file in record['files'][:1])}"
