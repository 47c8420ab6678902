"""The stages as bars. matplotlib is an optional extra and is imported when it is wanted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from deepdupe_daemon.bench.run import BenchResult
from deepdupe_daemon.bench.stage import Room, Stage
from deepdupe_daemon.calibration.plot import check_plot, save_figure

__all__ = ["write_bench_plot"]

#: Okabe and Ito's colours, which the colour-blind tell apart
_COLOURS = {
    Room.DISK: "#999999",
    Room.WORKERS: "#0072b2",
    Room.STEP: "#56b4e9",
    Room.FORWARD: "#d55e00",
    Room.JUDGING: "#009e73",
    Room.CHROMA: "#cc79a7",
    Room.ALL: "#000000",
}
_WIDTH_IN, _BAR_IN = 11.0, 0.34


def write_bench_plot(path: Path, result: BenchResult) -> None:
    """Images a second and milliseconds of every stage. PNG or SVG by the suffix. Raises ConfigError, DeepDupeError."""
    check_plot(path)
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    stages = result.stages[::-1]
    with rc_context({"svg.hashsalt": "deepdupe-daemon", "font.size": 9, "axes.spines.top": False}):
        figure = Figure(figsize=(_WIDTH_IN, 1.6 + _BAR_IN * len(stages)), layout="constrained", dpi=120)
        rates, times = figure.subplots(1, 2, sharey=True)
        _draw_rates(rates, stages, result)
        _draw_times(times, stages)
        figure.suptitle(
            f"{result.images:,} pictures, {result.megapixels:.1f} MP on average: {', '.join(result.models)}"
        )
        save_figure(path, figure)


def _draw_rates(axes: Any, stages: tuple[Stage, ...], result: BenchResult) -> None:
    names = [stage.title for stage in stages]
    values = [stage.images_per_s or stage.per_s for stage in stages]
    colours = [_COLOURS[stage.room] for stage in stages]
    bars = axes.barh(range(len(stages)), values, color=colours)
    axes.bar_label(bars, [f"{value:,.0f}" for value in values], padding=3, fontsize=7)
    axes.set_yticks(range(len(stages)), names)
    axes.axvline(result.bottleneck.images_per_s, color="0.5", linestyle="--", linewidth=0.9)
    axes.set_xscale("log")
    axes.set_xlabel(f"images/s; dashed: what the {result.bottleneck.room} carry")
    axes.margins(x=0.12)


def _draw_times(axes: Any, stages: tuple[Stage, ...]) -> None:
    timed = [(at, stage) for at, stage in enumerate(stages) if stage.p50_ms is not None and stage.p99_ms is not None]
    for at, stage in timed:
        axes.plot([stage.p50_ms, stage.p99_ms], [at, at], color=_COLOURS[stage.room], linewidth=2)
        axes.plot([stage.p50_ms], [at], "o", color=_COLOURS[stage.room], markersize=5)
    axes.set_xscale("log")
    axes.set_xlabel("milliseconds a call: dot p50, end of the line p99")
