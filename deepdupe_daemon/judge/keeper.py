"""Which of two copies stays: ordered rules, each a total preorder, so that choices never run in a circle."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from deepdupe_daemon.judge.extensions import RAW, extension
from deepdupe_daemon.model import ImageFacts, KeeperRule

__all__ = ["BEST_RULES", "DEFAULT_RULES", "Member", "choose_keeper", "keeper_rules", "preference"]


@dataclass(frozen=True, slots=True)
class Member:
    """One file of a group, as far as the choice of the keeper is concerned. `file_id` is the order of discovery."""

    path: bytes
    file_id: int
    facts: ImageFacts | None = None
    file_bytes: int = 0
    protected: bool = False  # rests in a root of which nothing may be taken
    path_rank: int = 0  # which of the preferred path patterns it is the first to match; their number where none
    digest: bytes = b""  # SHA-256 of the bytes
    chosen_at_ns: int = 0  # when a person said that this one is kept; 0: nobody did
    inode: tuple[int, int] | None = None  # device and inode: two names of one are one file


DEFAULT_RULES: tuple[KeeperRule, ...] = ("protected", "chosen", "first")
BEST_RULES: tuple[KeeperRule, ...] = ("protected", "chosen", "pixels", "lossless", "compression", "metadata", "first")

#: Bytes of JPEG that one byte of the format is worth, so that a HEIC original beats a larger JPEG made of it. From the
#: formats' own published comparisons: WebP saves 25 to 34 % (Google), HEIF, AVIF and JPEG XL about half.
_JPEG_BYTES_PER_BYTE = MappingProxyType({"WEBP": 1.4, "HEIF": 2.0, "AVIF": 2.0, "JXL": 2.0, "JPEG2000": 1.2})

#: Two sizes within this share are the same picture with a cropped edge row or a rounded resize.
_PIXELS_STEP = 1.02


def keeper_rules(
    chosen: Literal["first", "best"] | Sequence[KeeperRule], *, by_path: bool = False
) -> tuple[KeeperRule, ...]:
    """The rules that a configuration names in one word, or one by one; `by_path`: some paths are preferred.

    `protected` leads whatever was chosen, since of such a root nothing may be taken; then a person's own choice of a
    file; then the path, unless it was given another place.
    """
    named = {"first": DEFAULT_RULES, "best": BEST_RULES}.get(chosen) if isinstance(chosen, str) else tuple(chosen)
    rules = [rule for rule in named or () if rule not in ("protected", "chosen")]
    path: list[KeeperRule] = ["path"] if by_path and "path" not in rules else []
    return ("protected", "chosen", *path, *rules)


def preference(member: Member, rules: Sequence[KeeperRule]) -> tuple[float, ...]:
    """What `member` is worth by each rule, and at last by its discovery, which no two files share: more is better."""
    return (*(_WORTH[rule](member) for rule in rules), _first(member))


def choose_keeper(a: Member, b: Member, rules: Sequence[KeeperRule] = DEFAULT_RULES) -> tuple[Member, Member, str]:
    """(keeper, duplicate, rule that decided), whichever is given first; where no rule decides, the first seen stays.

    Raises ValueError when both are one file.
    """
    worths = zip((*rules, "first"), preference(a, rules), preference(b, rules), strict=True)
    for rule, worth_a, worth_b in worths:
        if worth_a != worth_b:
            return (a, b, rule) if worth_a > worth_b else (b, a, rule)
    raise ValueError(f"one file cannot be its own duplicate: file_id {a.file_id}")


def _first(member: Member) -> float:
    return -member.file_id


def _pixels(member: Member) -> float:
    if member.facts is None:
        return 0.0
    pixels = max(1, member.facts.width_px * member.facts.height_px)
    return math.floor(math.log(pixels) / math.log(_PIXELS_STEP))  # steps of 2 %: a bucket keeps the order transitive


def _lossless(member: Member) -> float:
    return float(extension(member.path) in RAW or (member.facts is not None and member.facts.lossless))


def _compression(member: Member) -> float:
    facts = member.facts
    if facts is None or facts.lossless:
        return 0.0  # lossless sizes say nothing of quality
    worth = _JPEG_BYTES_PER_BYTE.get(facts.format, 1.0)
    return member.file_bytes * worth / max(1, facts.width_px * facts.height_px)


def _metadata(member: Member) -> float:
    return float(member.facts.exif.tag_count) if member.facts is not None else 0.0


_WORTH: Mapping[KeeperRule, Callable[[Member], float]] = MappingProxyType(
    {
        "protected": lambda member: float(member.protected),
        "chosen": lambda member: float(member.chosen_at_ns),
        "path": lambda member: -member.path_rank,
        "pixels": _pixels,
        "lossless": _lossless,
        "compression": _compression,
        "metadata": _metadata,
        "first": _first,
    }
)
