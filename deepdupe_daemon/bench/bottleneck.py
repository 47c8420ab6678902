"""Which stage holds the others up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from deepdupe_daemon.bench.stage import Room, Stage

__all__ = ["Bottleneck", "find_bottleneck", "room_rates"]

#: verdicts wait for these; Chroma follows behind them
_WAITED_FOR = (Room.DISK, Room.WORKERS, Room.FORWARD, Room.JUDGING)


@dataclass(frozen=True, slots=True)
class Bottleneck:
    """The slowest room, the stage in it that costs most, and how many images a second the room carries."""

    room: Room
    stage: Stage
    images_per_s: float


def room_rates(stages: Iterable[Stage]) -> dict[Room, float]:
    """Images a second of each room that verdicts wait for.

    The stages of a room take turns, so that the time an image takes there is the sum of theirs: two models on one
    forward thread carry 1 / (1/a + 1/b). Stages that these images do not need count nothing.
    """
    costs_s: dict[Room, float] = {}
    for stage in stages:
        if stage.room in _WAITED_FOR and stage.images_per_s:
            costs_s[stage.room] = costs_s.get(stage.room, 0.0) + 1 / stage.images_per_s
    return {room: 1 / cost_s for room, cost_s in costs_s.items() if cost_s > 0}


def find_bottleneck(stages: Sequence[Stage]) -> Bottleneck:
    """The slowest room and its costliest stage; of the workers' sighting, the costliest step.

    Raises ValueError where nothing was measured that verdicts wait for.
    """
    rates = room_rates(stages)
    if not rates:
        raise ValueError("no stage was measured")
    room = min(rates, key=lambda each: rates[each])
    stage = _slowest(stage for stage in stages if stage.room is room)
    steps = [step for step in stages if step.room is Room.STEP]
    if stage.name == "see" and steps:
        stage = _slowest(steps)
    return Bottleneck(room, stage, rates[room])


def _slowest(stages: Iterable[Stage]) -> Stage:
    return min((stage for stage in stages if stage.images_per_s), key=lambda stage: stage.images_per_s or 0.0)
