"""A model of the list: for people, side by side with others, and for programs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deepdupe_daemon.vision import ModelRow

__all__ = ["comparison_lines", "model_lines", "model_record"]

_LIBRARIES = {"open_clip": "open-clip-torch", "torchscript": "torch (TorchScript)", "none": "none"}


def model_record(row: ModelRow) -> dict[str, Any]:
    return {**row.to_dict(), "embeddings": _embeddings(row), "state": _state(row)}


def model_lines(row: ModelRow) -> Iterator[str]:
    yield f"{row.name}  ({row.title})"
    if row.weights:
        size = f"{row.parameters / 1e6:,.0f} million parameters"
        yield f"    {_dims(row)}; {row.input_px} px; batch {row.batch_size_cuda} on CUDA; {row.library}; {size}"
    else:
        yield f"    {_dims(row)}"
    yield f"    threshold {row.threshold:.3f}, {row.threshold_status}: {row.threshold_source}"
    tags = f"; weights {', '.join(row.tags)}" if row.tags else ""
    gate = "; its licence must be accepted before the download" if row.gated else ""
    yield f"    {row.licence}{tags}{gate}"
    yield f"    {_state(row)}"


def comparison_lines(rows: Sequence[ModelRow]) -> Iterator[str]:
    """A Markdown table with a column a model."""
    table = [("Feature", *(f"**{row.name}**" for row in rows))]
    table += [(f"**{feature}**", *(text(row) for row in rows)) for feature, text in _FEATURES.items()]
    widths = [max(len(line[at]) for line in table) for at in range(len(rows) + 1)]
    for number, line in enumerate(table):
        yield f"| {' | '.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))} |"
        if number == 0:
            yield f"|{'|'.join('-' * (width + 2) for width in widths)}|"


def _embeddings(row: ModelRow) -> list[str]:
    return [*row.dims, *(["both"] if len(row.dims) > 1 else [])]


def _dims(row: ModelRow) -> str:
    return ", ".join(f"{kind} {dim}-dim" for kind, dim in row.dims.items())


def _state(row: ModelRow) -> str:
    if not row.weights:
        return "needs no weights"
    held = f"on disk: {', '.join(row.on_disk)}, {row.bytes_on_disk / 1e6:,.0f} MB" if row.on_disk else "not on disk"
    loaded = f"; loaded as {row.loaded}" if row.loaded else ""
    problem = f"; cannot be loaded: {row.problem}" if row.problem else ""
    return f"{held}{loaded}{problem}"


def _input(row: ModelRow) -> str:
    if row.library == "none":
        return "any"
    multiple = f", or another multiple of {row.input_multiple_px}" if row.input_multiple_px > 1 else ""
    return f"{row.input_px} x {row.input_px} px{multiple}"


#: the rows of the table
_FEATURES: dict[str, Callable[[ModelRow], str]] = {
    "Library": lambda row: _LIBRARIES.get(row.library, row.library),
    "Output": lambda row: row.output,
    "Preprocessing": lambda row: row.preprocessing,
    "Embedding options": lambda row: ", ".join(_embeddings(row)),
    "Feature dimension": lambda row: ", ".join(f"{dim} ({kind})" for kind, dim in row.dims.items()),
    "Parameters": lambda row: f"{row.parameters / 1e6:,.1f} million" if row.parameters else "none",
    "Input": _input,
    "Batch": lambda row: f"{row.batch_size_cuda} on CUDA, {row.batch_size_cpu} on a processor",
    "Threshold": lambda row: f"{row.threshold:.3f}, {row.threshold_status}: {row.threshold_source}",
    "Licence": lambda row: row.licence,
    "Use case": lambda row: row.use,
    "Weights": _state,
    "Taken from": lambda row: f"the loaded model ({row.loaded})" if row.loaded else "what is published",
}
