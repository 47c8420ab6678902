"""The decoding workers' share: sightings of all pictures, and what each step of them took."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from deepdupe_daemon.bench.stage import Room, Stage, StageName, stage_of
from deepdupe_daemon.clock import Clock
from deepdupe_daemon.errors import FileFailed
from deepdupe_daemon.judge import PICTURE_SIDE_PX, compare_pictures
from deepdupe_daemon.model import FileKey, Sighting
from deepdupe_daemon.vision import DecoderPool, StepTimes

__all__ = ["Pair", "Seen", "see_all", "verify_pairs"]

#: two pictures as (path, SHA-256 of the bytes)
Pair = tuple[tuple[bytes, bytes], tuple[bytes, bytes]]
_STEPS: tuple[tuple[StageName, str], ...] = (("hash", "hash_s"), ("decode", "decode_s"), ("preprocess", "prepare_s"))


@dataclass(frozen=True, slots=True)
class Seen:
    """The sightings of those that are pictures, and the stages `see`, `hash`, `decode` and `preprocess`."""

    sightings: tuple[Sighting, ...]
    stages: tuple[Stage, ...]


def see_all(pool: DecoderPool, keys: Sequence[FileKey], clock: Clock, on_step: Callable[[int, int], None]) -> Seen:
    """Read, hash, decode and prepare every file, with all workers."""
    workers = pool.status().size
    for future in [pool.time(key) for key in keys[: 2 * workers]]:
        _result(future)  # every worker is started, and has decoded something
    began_s = clock.monotonic_s()
    futures = [pool.time(key) for key in keys]
    found: list[tuple[Sighting, StepTimes]] = []
    for number, future in enumerate(futures):
        result = _result(future)
        if result is not None:
            found.append(result)
        on_step(number + 1, len(keys))
    took_s = clock.monotonic_s() - began_s
    if not found:
        return Seen((), ())
    steps = [step for _, step in found]
    whole_s = [step.read_s + step.hash_s + step.decode_s + step.prepare_s for step in steps]
    stages = [stage_of("see", Room.WORKERS, whole_s, items=len(found), took_s=took_s)]
    for name, field in _STEPS:
        each_s = [getattr(step, field) for step in steps]
        stages.append(stage_of(name, Room.STEP, each_s, items=len(found), took_s=sum(each_s) / workers))
    return Seen(tuple(sighting for sighting, _ in found), tuple(stages))


def verify_pairs(
    pool: DecoderPool,
    pairs: Sequence[Pair],
    clock: Clock,
    *,
    pairs_per_image: float,
    on_step: Callable[[int, int], None],
) -> Stage | None:
    """Compare the pixels of each pair, as many at a time as there are workers; None where none could be compared.

    `pairs_per_image`: how many of them one of these images brings; 0 where recall proposes none.
    """
    workers = pool.status().size
    flying: deque[tuple[float, Future[Any]]] = deque()
    calls_s: list[float] = []
    began_s = clock.monotonic_s()
    for number, (a, b) in enumerate(pairs):
        if len(flying) == workers:
            _land(flying, calls_s, clock)
        flying.append((clock.monotonic_s(), pool.compare(a, b, compare_pictures, PICTURE_SIDE_PX)))
        on_step(number + 1, len(pairs))
    while flying:
        _land(flying, calls_s, clock)
    if not calls_s:
        return None
    return stage_of(
        "verify",
        Room.WORKERS,
        calls_s,
        items=len(calls_s),
        unit="pairs",
        took_s=clock.monotonic_s() - began_s,
        images_per_item=1 / pairs_per_image if pairs_per_image else None,
    )


def _land(flying: deque[tuple[float, Future[Any]]], calls_s: list[float], clock: Clock) -> None:
    begun_s, future = flying.popleft()
    if _result(future) is not None:
        calls_s.append(clock.monotonic_s() - begun_s)


def _result(future: Future[Any]) -> Any:
    try:
        return future.result()
    except FileFailed:
        return None
