"""Numbers with their noun."""

from __future__ import annotations

__all__ = ["counted"]


def counted(number: int, noun: str) -> str:
    """`1 file`, `2,889 files`"""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
