"""What was measured of one stage."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

__all__ = ["Room", "Stage", "StageName", "Unit", "percentile", "stage_of"]

StageName = Literal[
    "read", "see", "hash", "decode", "preprocess", "forward", "recall", "commit", "verify", "upsert", "alone", "whole"
]
Unit = Literal["images", "pairs", "rows"]


class Room(StrEnum):
    """Who does a stage. Stages of one room take turns, those of different rooms run side by side."""

    DISK = "disk"
    WORKERS = "decoding workers"
    STEP = "step of a worker"  # a part of `see`, not a load of its own
    FORWARD = "forward thread"
    JUDGING = "judging thread"
    CHROMA = "Chroma's process"  # behind the verdicts: nothing waits for it
    ALL = "all of them"


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage's figures.

    `per_s`: items a second with as many at once as the daemon would have. `images_per_s`: how many images a second that
    carries; None where these images do not need the stage. `p50_ms`, `p99_ms`: what one call takes, which holds `batch`
    items; None where there are no single calls.
    """

    name: StageName
    room: Room
    subject: str  # the model or the space, "" where there is none
    items: int
    unit: Unit
    per_s: float
    images_per_s: float | None
    p50_ms: float | None
    p99_ms: float | None
    batch: int = 1

    @property
    def title(self) -> str:
        """`forward clip-vit-b-32 bf16 on cpu`."""
        return f"{self.name} {self.subject}".rstrip()


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest of `values` that at least `share` (0 to 1) of them do not exceed: the nearest rank, never a number
    that was not measured. Raises ValueError for none.
    """
    if not values:
        raise ValueError("no values")
    ranked = sorted(values)
    return ranked[max(1, math.ceil(share * len(ranked))) - 1]


def stage_of(
    name: StageName,
    room: Room,
    calls_s: Sequence[float],
    *,
    subject: str = "",
    items: int,
    unit: Unit = "images",
    took_s: float,
    images_per_item: float | None = 1.0,
    batch: int = 1,
) -> Stage:
    """A stage from what `items` took all together and what each call took. `images_per_item` None: not needed."""
    per_s = items / took_s if took_s > 0 else math.inf
    return Stage(
        name,
        room,
        subject,
        items,
        unit,
        per_s,
        None if images_per_item is None else per_s * images_per_item,
        percentile(calls_s, 0.5) * 1e3 if calls_s else None,
        percentile(calls_s, 0.99) * 1e3 if calls_s else None,
        batch,
    )
