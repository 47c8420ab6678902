"""Where quarantined files go, and what stops a mistake from emptying a library."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, WithJsonSchema, field_validator

from deepdupe_daemon.config.section import Count, Number, Section, absolute
from deepdupe_daemon.model import VerdictClass

__all__ = ["ACTIONABLE", "BreakerConfig", "QuarantineClass", "QuarantineConfig"]

#: what may be acted on at all: series and related prove no copy
ACTIONABLE = (
    VerdictClass.IDENTICAL_BYTES,
    VerdictClass.IDENTICAL_PIXELS,
    VerdictClass.RE_ENCODED,
    VerdictClass.EDITED,
)


def _actionable(value: VerdictClass) -> VerdictClass:
    if value not in ACTIONABLE:
        words = ", ".join(ACTIONABLE[:-1])
        raise ValueError(
            f"found '{value}', which proves no copy and is never acted on; allowed: {words} or {ACTIONABLE[-1]}"
        )
    return value


QuarantineClass = Annotated[
    VerdictClass,
    AfterValidator(_actionable),
    WithJsonSchema({"type": "string", "enum": [str(each) for each in ACTIONABLE]}),
]


class BreakerConfig(Section):
    """The circuit breaker: so much may be quarantined, and then a person has to say that it was right."""

    most: Annotated[Count, Field(ge=1)] = Field(
        default=200,
        description="Files that may be quarantined within interval_s, in all folders together. Before the next one "
        "everything stops until `deepdupe-daemon quarantine resume`.",
    )
    interval_s: Annotated[Number, Field(ge=1)] = Field(
        default=3600.0, description="Seconds over which most and most_share count."
    )
    most_share: Annotated[Number, Field(gt=0, le=1)] = Field(
        default=0.1,
        description="Share of the files known in one watched folder that may be quarantined within interval_s, from 0 "
        "to 1. 1: only most counts.",
    )
    always_allowed: Annotated[Count, Field(ge=0)] = Field(
        default=10,
        description="So many files of one folder are never too large a share, so that a folder of 20 pictures can be "
        "quarantined from as well.",
    )


class QuarantineConfig(Section):
    """Where quarantined files go. They stay there, and can be restored, until a person purges them."""

    folder: Path | None = Field(
        default=None,
        description="null: .deepdupe-quarantine in the watched folder itself, where a move is a rename and costs "
        "nothing. A folder of its own elsewhere, not in a watched folder: on another file system files are copied, "
        "compared, and only then removed from their place.",
    )
    breaker: BreakerConfig = Field(
        default=BreakerConfig(),
        description="The circuit breaker: stops quarantining when it does too much, as after a wrong threshold, until "
        "a person says `deepdupe-daemon quarantine resume`. What a person quarantines by command does not count.",
    )
    retention_days: Annotated[Number, Field(gt=0)] | None = Field(
        default=None,
        description="Days after which quarantined files are deleted for good. null: never, only `deepdupe-daemon "
        "quarantine purge` does.",
    )

    @field_validator("folder", mode="before")
    @classmethod
    def _expand(cls, value: object) -> object:
        return os.path.expanduser(value) if isinstance(value, str) and value.startswith("~") else value

    @field_validator("folder")
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        return None if value is None else absolute(value)
