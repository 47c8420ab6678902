"""The pool of decoding workers."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DecoderPool", "PoolStatus"]


@dataclass(frozen=True, slots=True)
class PoolStatus:
    """What the pool is doing: sizes of now, counts since the start."""

    workers: int
    busy: int
    queued: int
    restarts: int


class DecoderPool:
    """Being written."""
