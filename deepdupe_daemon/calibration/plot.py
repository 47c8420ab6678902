"""The curves and the histograms as a picture. matplotlib is an optional extra and is imported when it is wanted."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from deepdupe_daemon.calibration.run import Outcome
from deepdupe_daemon.calibration.scores import F64Array, Scores
from deepdupe_daemon.errors import ConfigError, DeepDupeError
from deepdupe_daemon.model import display_path
from deepdupe_daemon.vision.copies import EDITED, RE_ENCODED

__all__ = ["check_plot", "save_figure", "write_plot"]

#: Okabe and Ito's colours, which the colour-blind tell apart
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
_COPIES, _EDITED, _OTHERS = "#0072b2", "#56b4e9", "#d55e00"
_WIDTH_IN, _ROW_IN = 11.0, 2.6
#: of legends and heading, and of an axis with its label
_LEGENDS_IN, _LABELS_IN = 1.2, 0.5
_BINS = 80
_STYLE = {
    "svg.hashsalt": "deepdupe-daemon",
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def check_plot(path: Path) -> None:
    """Raises ConfigError where no picture could be written there: before a run of minutes, not after it."""
    if path.suffix.lower() not in (".png", ".svg"):
        raise ConfigError(f"found {path.suffix or 'no suffix'!r}; allowed: FILE.png or FILE.svg", where="--plot")
    try:
        import matplotlib.figure  # noqa: F401 - is it there?
    except ImportError as error:
        hint = "it comes with the extra `plot`: pip install 'deepdupe-daemon[plot]'"
        raise ConfigError("matplotlib is not installed", where="--plot", hint=hint) from error


def write_plot(path: Path, outcomes: Sequence[Outcome]) -> None:
    """Recall against precision of every space, and the similarities of copies and of different photos of each.

    PNG or SVG by the suffix. Raises ConfigError, as `check_plot` does, and where the file cannot be written.
    """
    check_plot(path)
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(_STYLE):
        rows = len(outcomes)
        figure = Figure(figsize=(_WIDTH_IN, max(4.2, _ROW_IN * rows + 0.8)), layout="constrained", dpi=120)
        grid = figure.add_gridspec(rows, 2, width_ratios=(1, 1.25))
        _draw_curves(figure.add_subplot(grid[:, 0]), outcomes)
        for row, outcome in enumerate(outcomes):
            _draw_histogram(figure.add_subplot(grid[row, 1]), outcome, legend=row == rows - 1)
        photos = outcomes[0].calibration.photos
        figure.suptitle(f"Calibration on {photos:,} photos and synthetic copies of them")
        save_figure(path, figure)


def save_figure(path: Path, figure: Any) -> None:
    """A matplotlib figure under its name, whole or not at all. Raises DeepDupeError where it cannot be written."""
    partial = path.with_name(f"{path.name}.part")
    try:
        figure.savefig(partial, format=path.suffix[1:].lower(), metadata={"Date": None} if _is_svg(path) else None)
        os.replace(partial, path)
    except OSError as error:
        where = display_path(os.fsencode(path))
        raise DeepDupeError(f"cannot be written: {error.strerror}", where=where) from error


def _draw_curves(axes: Any, outcomes: Sequence[Outcome]) -> None:
    for number, outcome in enumerate(outcomes):
        colour = _COLOURS[number % len(_COLOURS)]
        for curve, style, text in ((outcome.curve, "-", ""), (outcome.normalised_curve, ":", ", normalised")):
            thresholds = curve.thresholds
            recall, precision = curve.recall(thresholds), curve.precision(thresholds)
            shown = recall > 0
            label = f"{outcome.calibration.space.name}{text}"
            axes.plot(recall[shown], precision[shown], style, color=colour, label=label, linewidth=1.6)
        rates = outcome.calibration.raw.rates
        if rates is not None:
            axes.plot([rates.recall], [rates.precision], "o", color=colour, markersize=7)
    wanted = outcomes[0].calibration.wanted
    axes.axhline(wanted, color="0.6", linewidth=0.8, linestyle="--")
    axes.set_xlabel("recall of re-encoded copies")
    axes.set_ylabel("precision (every second arrival a copy)")
    axes.set_xlim(0, 1.01)
    axes.set_ylim(0.48, 1.005)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, _below(axes)), ncol=2, frameon=False)
    axes.set_title(f"dots: the recommended thresholds for {100 * wanted:g} %", loc="left", fontweight="bold")


def _draw_histogram(axes: Any, outcome: Outcome, *, legend: bool) -> None:
    scores, rates = outcome.scores, outcome.calibration.raw.rates
    parts = (
        (_joined(scores, RE_ENCODED), _COPIES, "re-encoded copies"),
        (_joined(scores, EDITED), _EDITED, "edited copies"),
        (scores.nearest[np.isfinite(scores.nearest)], _OTHERS, "nearest other photo"),
    )
    least = min(float(np.quantile(values, 0.01)) for values, _, _ in parts if len(values))
    bins = np.linspace(max(-1.0, least), 1.0, _BINS)
    for values, colour, label in parts:
        if len(values):
            weights = np.full(len(values), 1 / len(values))
            held = np.clip(values, bins[0], bins[-1])  # float16 rows of norm 1 may have a cosine just above 1
            # outlines, for where they overlap: fillings alone mix into a fourth colour
            axes.hist(held, bins=bins, weights=weights, color=colour, alpha=0.18, histtype="stepfilled")
            axes.hist(held, bins=bins, weights=weights, color=colour, linewidth=1.3, histtype="step", label=label)
    if rates is not None:
        axes.axvline(rates.threshold, color="0.35", linewidth=1.2, linestyle="--")
        on_the_left = rates.threshold > (bins[0] + bins[-1]) / 2
        axes.annotate(
            f"{rates.threshold:.4f}",
            (rates.threshold, 1.0),
            (-4 if on_the_left else 4, -2),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            ha="right" if on_the_left else "left",
            va="top",
        )
    axes.set_yscale("log")
    axes.set_xlim(bins[0], bins[-1] + 0.01 * (bins[-1] - bins[0]))
    axes.set_title(outcome.calibration.space.name, loc="left", fontweight="bold")
    axes.set_ylabel("share")
    if legend:
        axes.set_xlabel("cosine similarity; dashed: the recommended threshold")
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, _below(axes)), ncol=3, frameon=False)


def _below(axes: Any) -> float:
    """Where a legend stands clear of the label of the axis, in heights of the axes."""
    figure = axes.figure
    rows = axes.get_subplotspec().rowspan
    grid = axes.get_subplotspec().get_gridspec().nrows
    height_in: float = (figure.get_figheight() - _LEGENDS_IN) * len(rows) / grid - _LABELS_IN
    return -_LABELS_IN / height_in


def _joined(scores: Scores, names: Sequence[str]) -> F64Array:
    values: F64Array = np.concatenate([scores.copies[name] for name in names])
    return values[np.isfinite(values)]


def _is_svg(path: Path) -> bool:
    return path.suffix.lower() == ".svg"
