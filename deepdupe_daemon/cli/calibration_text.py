"""A calibration for people."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from deepdupe_daemon.cli.counted import counted

if TYPE_CHECKING:
    from deepdupe_daemon.calibration import Calibration, Measured

__all__ = ["LIMITS", "calibration_lines", "calibration_remark", "recommendation_lines"]

_WIDTH = 79
#: of the first column of both tables: the longest name of a copy
_FIRST = 25

#: said with every calibration
LIMITS = (
    "What this does not show: the copies were made here, one change at a time. Real copies go through several hands and"
    " changes, and through programs that nobody has listed; their recall is lower. False proposals were counted in the"
    " sample; a library of more photos has more look-alikes, and one of scans, screenshots or bursts has other ones."
    " A false proposal is no false alarm: it costs a comparison of pixels, which decides."
)


def calibration_remark(calibration: Calibration) -> str:
    """`calibrated 2026-11-23 on 2,000 photos: 0.912 @ 99.5 %`, for `status` and `models list`."""
    day = f"{datetime.fromtimestamp(calibration.made_at_ns / 1e9, tz=UTC).astimezone():%Y-%m-%d}"
    threshold = calibration.raw.threshold
    if threshold is None:
        return f"calibrated {day} on {calibration.photos:,} photos: finds nothing"
    unproven = "" if calibration.raw.proven else ", not proven"
    return (
        f"calibrated {day} on {calibration.photos:,} photos: {threshold:.3f} @ {_percent(calibration.wanted)}{unproven}"
    )


def calibration_lines(calibrations: Sequence[Calibration]) -> Iterator[str]:
    """Every figure, space by space, and the recall of each kind of copy side by side."""
    for calibration in calibrations:
        yield from _space_lines(calibration)
        yield ""
    yield "recall by kind of copy, at these thresholds"
    for part in _abreast(calibrations):
        yield from _copy_lines(part)
        yield ""
    yield from textwrap.wrap(LIMITS, _WIDTH)


def _abreast(calibrations: Sequence[Calibration]) -> Iterator[Sequence[Calibration]]:
    """As many as fit beside each other."""
    fit = max(1, (_WIDTH - _FIRST) // _column(calibrations))
    for first in range(0, len(calibrations), fit):
        yield calibrations[first : first + fit]


def _column(calibrations: Sequence[Calibration]) -> int:
    return 2 + max(9, *(len(part) for each in calibrations for part in (each.space.model, each.space.embedding)))


def _copy_lines(calibrations: Sequence[Calibration]) -> Iterator[str]:
    wide = _column(calibrations)
    for head in ("model", "embedding"):
        yield (f"{'':<{_FIRST}}" + "".join(f"{getattr(each.space, head):>{wide}}" for each in calibrations)).rstrip()
    rates = [calibration.raw.rates for calibration in calibrations]
    for copy in next((each.by_copy for each in rates if each is not None), {}):
        cells = ["-" if each is None else _percent(each.by_copy[copy]) for each in rates]
        yield f"{f'  {copy}':<{_FIRST}}" + "".join(f"{cell:>{wide}}" for cell in cells)


def _comparison_lines(calibrations: Sequence[Calibration]) -> Iterator[str]:
    """What people choose by, a line a space."""
    yield f"{'':<{_FIRST}}{'threshold':>10}{'re-encoded':>12}{'edited':>9}{'false/10,000':>14}{'photos/s':>10}"
    for calibration in calibrations:
        rates = calibration.raw.rates
        name = calibration.space.name
        if len(name) >= _FIRST:
            yield name
            name = ""
        if rates is None:
            yield f"{name:<{_FIRST}}{'finds nothing':>31}"
            continue
        threshold = f"{rates.threshold:.4f}" + (" " if calibration.raw.proven else "*")
        yield (
            f"{name:<{_FIRST}}{threshold:>11}{_percent(rates.recall):>11}{_percent(rates.recall_edited):>9}"
            f"{rates.false_per_10k:>14,.0f}{calibration.images_per_s:>10,.1f}"
        )
    if not all(each.raw.proven or each.raw.rates is None for each in calibrations):
        yield "* not proven: the sample is too small, or too hard, for the wanted precision"


def recommendation_lines(calibrations: Sequence[Calibration]) -> Iterator[str]:
    """Which one to use, and with which threshold."""
    from deepdupe_daemon.calibration import recommended

    best = recommended(calibrations)
    yield ""
    yield from _comparison_lines(calibrations)
    yield ""
    if best is None:
        yield "recommended: none of these; no threshold finds anything"
        return
    yield f"recommended: {best.space.name} at {best.raw.threshold:.4f}"
    yield "  it finds most of the copies; of those that find as many it is the fastest"


def _space_lines(calibration: Calibration) -> Iterator[str]:
    yield f"{calibration.space.name}, on {calibration.photos:,} of {calibration.library:,} files"
    yield from _measured_lines(calibration, calibration.raw, "")
    yield from _measured_lines(calibration, calibration.normalised, "normalised ")
    memory = f"{calibration.memory_bytes / 1e6:,.0f} MB for the model and " if calibration.memory_bytes else ""
    rate = f"{calibration.images_per_s:,.1f} photos/s"
    yield f"  speed and memory      {rate}; {memory}{calibration.row_bytes:,} bytes a photo"
    if calibration.copies_left_out:
        yield f"  left out              {calibration.copies_left_out:,} pairs of these photos, which are copies already"


def _measured_lines(calibration: Calibration, measured: Measured, kind: str) -> Iterator[str]:
    rates = measured.rates
    wanted = _percent(calibration.wanted)
    if rates is None:
        yield f"  {f'{kind}threshold':<22}none finds anything"
        return
    ends = " to ".join("?" if end is None else f"{end:.4f}" for end in (measured.low, measured.high))
    estimate = "none" if measured.estimate is None else f"{measured.estimate:.4f}"
    yield f"  {f'{kind}threshold':<22}{rates.threshold:.4f} for {wanted}"
    yield f"                        (estimate {estimate}, 95 % interval {ends})"
    if not measured.proven:
        yield from _unproven_lines(calibration)
    precision, recall = rates.precision_interval, rates.recall_interval
    yield (
        f"    precision           {_percent(rates.precision)} ({_percent(precision.low)} to {_percent(precision.high)};"
        " Wilson 1927, by photo)"
    )
    yield (
        f"    recall              {_percent(rates.recall)} of re-encoded copies ({_percent(recall.low)} to"
        f" {_percent(recall.high)}),"
    )
    yield f"                        {_percent(rates.recall_edited)} of edited ones"
    yield f"    false proposals     {rates.false_per_10k:,.0f} per 10,000 arrivals in a library like the sample,"
    yield f"                        up to {rates.false_per_10k_library:,.0f} in all {calibration.library:,};"
    any_low, any_high = rates.false_interval.low, rates.false_interval.high
    yield f"                        arrivals with any: {any_low:,.0f} to {any_high:,.0f} of 10,000"
    if rates.bursts:
        share = _percent(rates.bursts_proposed)
        yield f"    bursts              {share} of {counted(rates.bursts, 'pair')} of shots within seconds"


def _unproven_lines(calibration: Calibration) -> Iterator[str]:
    from deepdupe_daemon.calibration import Curve

    least = Curve.photos_needed(calibration.wanted)
    wanted = _percent(calibration.wanted)
    if calibration.photos < least:
        yield f"    not proven          {wanted} takes at least {least:,} photos and no mistake among them;"
    else:
        yield f"    not proven          no threshold keeps mistakes so rare that this sample proves {wanted};"
    yield "                        this is where the sample speaks most clearly for it"


def _percent(share: float) -> str:
    """`81.6 %`, `99.97 %`, `100 %`: never rounded up, and closer where every hundredth counts."""
    steps = 100 if share > 0.99 else 10
    return f"{int(share * 100 * steps + 1e-6) / steps:g} %"
