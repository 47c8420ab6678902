"""Moments, for people and for programs."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from deepdupe_daemon.errors import ConfigError

__all__ = ["duration_text", "iso_moment", "local_moment", "since_ns"]

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_AGO = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([smhdw])")


def local_moment(at_ns: int) -> str:
    """`2026-03-01 14:02:11`, on the clock on the wall."""
    return f"{datetime.fromtimestamp(at_ns / 1e9, tz=UTC).astimezone():%Y-%m-%d %H:%M:%S}"


def iso_moment(at_ns: int) -> str:
    """`2026-03-01T13:02:11.123456+00:00`"""
    return datetime.fromtimestamp(at_ns / 1e9, tz=UTC).isoformat()


def duration_text(seconds: float) -> str:
    """`47 s`, `3 min 20 s`, `2 h 5 min`"""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def since_ns(text: str, *, now_ns: int, where: str = "--since") -> int:
    """The moment that `2h`, `3d`, `2026-03-01` or `2026-03-01T14:00` names, local time unless it says otherwise.

    Nanoseconds since the epoch. Raises ConfigError for anything else.
    """
    ago = _AGO.fullmatch(text.strip())
    try:
        if ago:
            return now_ns - int(timedelta(**{_UNITS[ago[2]]: float(ago[1])}).total_seconds() * 1e9)
        return int(datetime.fromisoformat(text.strip()).astimezone().timestamp() * 1e9)
    except (ValueError, OverflowError):
        raise ConfigError(f"found {text!r}; allowed: 90s, 30m, 2h, 3d, 1w, or a date", where=where) from None
