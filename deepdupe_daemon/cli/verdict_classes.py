"""Verdict classes as a person names them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from deepdupe_daemon.errors import ConfigError

if TYPE_CHECKING:
    from deepdupe_daemon.model import VerdictClass

__all__ = ["verdict_classes"]


def verdict_classes(names: Sequence[str], *, where: str = "--class") -> tuple[VerdictClass, ...]:
    """What an option such as `--class` names. Raises ConfigError for a word that is none."""
    from deepdupe_daemon.model import VerdictClass

    known = [str(each) for each in VerdictClass]
    strange = [name for name in names if name not in known]
    if strange:
        raise ConfigError(f"found {strange[0]!r}; allowed: {', '.join(known)}", where=where)
    return tuple(VerdictClass(name) for name in names)
