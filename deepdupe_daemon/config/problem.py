"""One thing that is wrong with a configuration, and how it is said."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from deepdupe_daemon.errors import ConfigError
from deepdupe_daemon.model import display_path

__all__ = ["Location", "Problem", "config_error", "key_text", "nearest", "suggestion"]

#: the way to a value: keys of mappings and indices of lists, from the top
Location = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong at `location`; `line` counts from 1, None where there is no file or no such line."""

    location: Location
    text: str
    line: int | None = None

    def message(self, source: str) -> str:
        """`FILE:LINE: key.path: text`, on one line."""
        where = source if self.line is None else f"{source}:{self.line}"
        whole = ": ".join(part for part in (where, key_text(self.location), self.text) if part)
        return display_path(whole.encode("utf-8", "surrogateescape"))


def config_error(problems: Sequence[Problem], *, source: str, hint: str | None = None) -> ConfigError:
    """All problems as one error, one a line, in the order of the file."""
    # what is not written in the file (a default that cannot be used here) comes last
    ordered = sorted(problems, key=lambda problem: (problem.line is None, problem.line or 0))
    return ConfigError("\n".join(dict.fromkeys(problem.message(source) for problem in ordered)), hint=hint)


def key_text(location: Location) -> str:
    """`roots[0].path`"""
    text = ""
    for step in location:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that `word` was probably meant to be, or None."""
    by_lower = {name.lower(): name for name in known}
    close = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[close[0]] if close else None


def suggestion(word: str, known: Iterable[str]) -> str:
    """` (did you mean X?)`, or nothing."""
    meant = nearest(word, known)
    return f" (did you mean {meant}?)" if meant else ""
