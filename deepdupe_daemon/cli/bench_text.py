"""What `bench` says of its figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from deepdupe_daemon.cli.counted import counted

if TYPE_CHECKING:
    from deepdupe_daemon.bench import BenchResult, Stage

__all__ = ["bench_lines", "result_json", "stage_json"]

_NAME_WIDE, _RATE_WIDE, _MS_WIDE = 46, 12, 10


def bench_lines(result: BenchResult) -> Iterator[str]:
    """A table within 80 columns, and what holds the rest up."""
    yield f"{counted(result.images, 'picture')}, {result.megapixels:.1f} MP and {result.megabytes:.1f} MB on average"
    yield f"  {result.source}"
    if result.not_pictures:
        yield f"  {counted(result.not_pictures, 'file')} beside them could not be decoded"
    yield f"{counted(result.processors, 'processor')}, {counted(result.workers, 'decoding worker')}"
    yield ""
    yield f"{'':<{_NAME_WIDE}}{'images/s':>{_RATE_WIDE}}{'p50 ms':>{_MS_WIDE}}{'p99 ms':>{_MS_WIDE}}"
    for stage in result.stages:
        yield _stage_line(stage, result)
    yield ""
    found = result.bottleneck
    yield f"bottleneck: {found.stage.name}, in the {found.room}: {_rate(found.images_per_s)} images/s"
    share = result.whole_share
    if share is not None:
        yield f"all together reach {share:.2f} of that"
    if not result.complete:
        yield "the scan was stopped: there is no figure for all together"


def _stage_line(stage: Stage, result: BenchResult) -> str:
    rate = stage.images_per_s
    shown = "-" if rate is None else _rate(rate)
    name = _name(stage, result)
    name = name if len(name) < _NAME_WIDE else f"{name[: _NAME_WIDE - 4]}..."
    return f"{name:<{_NAME_WIDE}}{shown:>{_RATE_WIDE}}{_ms(stage.p50_ms):>{_MS_WIDE}}{_ms(stage.p99_ms):>{_MS_WIDE}}"


def _name(stage: Stage, result: BenchResult) -> str:
    match stage.name:
        case "see":
            return f"see, in {counted(result.workers, 'worker')}"
        case "hash" | "decode" | "preprocess":
            return f"  {stage.name}"
        case "upsert":
            return f"upsert {stage.subject}, {stage.batch} rows a call"
        case "verify" if stage.images_per_s is None:
            return f"verify, {_rate(stage.per_s)} unlike pairs/s"
        case "verify":
            return f"verify, {_rate(stage.per_s)} pairs/s"
        case "alone":
            return "one at a time, bytes to candidates"
        case "whole":
            return "all together, as `scan` does it"
        case _:
            return stage.title


def _rate(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:,.1f}"


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:,.2f}" if value < 100 else f"{value:,.0f}"


def stage_json(stage: Stage) -> Mapping[str, Any]:
    return {"kind": "stage", **asdict(stage)}


def result_json(result: BenchResult) -> Mapping[str, Any]:
    """All but the stages, which are lines of their own."""
    return {
        "kind": "bench",
        "source": result.source,
        "images": result.images,
        "not_pictures": result.not_pictures,
        "megapixels": result.megapixels,
        "megabytes": result.megabytes,
        "processors": result.processors,
        "workers": result.workers,
        "models": list(result.models),
        "rooms": {str(room): rate for room, rate in result.rooms.items()},
        "bottleneck": {
            "room": str(result.bottleneck.room),
            "stage": result.bottleneck.stage.name,
            "subject": result.bottleneck.stage.subject,
            "images_per_s": result.bottleneck.images_per_s,
        },
        "whole_share": result.whole_share,
        "complete": result.complete,
    }
