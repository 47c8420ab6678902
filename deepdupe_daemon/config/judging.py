"""How candidates become verdicts, and which of them are told."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from deepdupe_daemon.config.section import Count, Flag, Section
from deepdupe_daemon.model import VerdictClass

__all__ = ["AlertConfig", "JudgeConfig"]


class JudgeConfig(Section):
    """From candidates to verdicts. Embeddings propose, pixels prove."""

    max_candidates: Annotated[Count, Field(ge=1, le=1000)] = Field(
        default=16, description="Most candidates per picture and space that are looked at closely."
    )
    pdq_max_distance: Annotated[Count, Field(ge=0, le=128)] = Field(
        default=31,
        description="Bits of 256 in which the PDQ hashes of two copies may differ. 31 is the threshold that Meta "
        "publishes.",
    )
    pdq_min_quality: Annotated[Count, Field(ge=0, le=100)] = Field(
        default=50,
        description="Below this PDQ quality (black frames, blank scans) a hash proves nothing. 50 is the value that "
        "Meta publishes.",
    )
    related_alerts: Flag = Field(
        default=False,
        description="true: also tell of pictures that are only alike. They are in `duplicates --all` either way.",
    )


class AlertConfig(Section):
    """Where alerts go."""

    to: Literal["auto", "journal", "stderr"] = Field(
        default="auto",
        description="auto: the systemd journal when the service runs under systemd, else standard error. journal, "
        "stderr: that one.",
    )
    classes: tuple[VerdictClass, ...] = Field(
        default=(
            VerdictClass.IDENTICAL_BYTES,
            VerdictClass.IDENTICAL_PIXELS,
            VerdictClass.RE_ENCODED,
            VerdictClass.EDITED,
        ),
        description="Verdicts that are told, of identical-bytes, identical-pixels, re-encoded, edited, series and "
        "related. All of them are kept and listed either way.",
    )
