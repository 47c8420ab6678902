"""Which of two copies stays: ordered rules, each a total preorder, so that choices never run in a circle."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from deepdupe_daemon.model import ImageFacts

__all__ = ["BEST_RULES", "DEFAULT_RULES", "KeeperRule", "Member", "choose_keeper", "keeper_rules"]

KeeperRule = Literal["protected", "first", "pixels", "lossless", "compression", "metadata", "earlier"]


@dataclass(frozen=True, slots=True)
class Member:
    """One file of a group, as far as the choice of the keeper is concerned. `file_id` is the order of discovery."""

    path: bytes
    file_id: int
    facts: ImageFacts | None = None
    file_bytes: int = 0
    protected: bool = False  # rests in a root of which nothing may be taken
    arrived_at_ns: int = 0


DEFAULT_RULES: tuple[KeeperRule, ...] = ("protected", "first")
BEST_RULES: tuple[KeeperRule, ...] = ("protected", "pixels", "lossless", "compression", "metadata", "earlier")

#: Bytes of JPEG that one byte of the format is worth, so that a HEIC original beats a larger JPEG made of it. From the
#: formats' own published comparisons: WebP saves 25 to 34 % (Google), HEIF, AVIF and JPEG XL about half.
_JPEG_BYTES_PER_BYTE = MappingProxyType({"WEBP": 1.4, "HEIF": 2.0, "AVIF": 2.0, "JXL": 2.0, "JPEG2000": 1.2})

#: Two sizes within this share are the same picture with a cropped edge row or a rounded resize.
_PIXELS_STEP = 1.02


def keeper_rules(name: Literal["first", "best"]) -> tuple[KeeperRule, ...]:
    """The rules that a configuration names in one word."""
    return BEST_RULES if name == "best" else DEFAULT_RULES


def choose_keeper(a: Member, b: Member, rules: Sequence[KeeperRule] = DEFAULT_RULES) -> tuple[Member, Member, str]:
    """(keeper, duplicate, rule that decided), whichever is given first; where no rule decides, the first seen stays.

    Raises ValueError when both are one file.
    """
    for rule in (*rules, "first"):
        key = _KEYS[rule]
        worth_a, worth_b = key(a), key(b)
        if worth_a != worth_b:
            return (a, b, rule) if worth_a > worth_b else (b, a, rule)
    raise ValueError(f"one file cannot be its own duplicate: file_id {a.file_id}")


def _pixels(member: Member) -> float:
    if member.facts is None:
        return 0.0
    pixels = max(1, member.facts.width_px * member.facts.height_px)
    return math.floor(math.log(pixels) / math.log(_PIXELS_STEP))  # steps of 2 %: a bucket keeps the order transitive


def _lossless(member: Member) -> float:
    return float(member.facts is not None and member.facts.lossless)


def _compression(member: Member) -> float:
    facts = member.facts
    if facts is None or facts.lossless:
        return 0.0  # lossless sizes say nothing of quality
    worth = _JPEG_BYTES_PER_BYTE.get(facts.format, 1.0)
    return member.file_bytes * worth / max(1, facts.width_px * facts.height_px)


def _metadata(member: Member) -> float:
    return float(member.facts.exif.tag_count) if member.facts is not None else 0.0


_KEYS: dict[str, Callable[[Member], float]] = {
    "protected": lambda member: float(member.protected),
    "first": lambda member: -member.file_id,
    "pixels": _pixels,
    "lossless": _lossless,
    "compression": _compression,
    "metadata": _metadata,
    "earlier": lambda member: -member.arrived_at_ns,
}
