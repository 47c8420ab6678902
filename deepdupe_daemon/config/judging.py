"""How candidates become verdicts, and which of them are told."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from deepdupe_daemon.config.section import Count, Flag, Glob, Number, Section
from deepdupe_daemon.model import KeeperRule, VerdictClass

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
    keeper: Literal["first", "best"] | Annotated[tuple[KeeperRule, ...], Field(min_length=1)] = Field(
        default="first",
        description="Which of two copies stays. first: the one that was there first. best: the one with more pixels, "
        "else lossless or RAW, else less compressed, else with more metadata, else the first. Or a list of rules in "
        "your order, of path, pixels, lossless, compression, metadata and first. A picture in a protected folder "
        "always goes before, and then prefer_paths, unless the list gives path another place.",
    )
    prefer_paths: tuple[Glob, ...] = Field(
        default=(),
        description="Globs, as in intake.include: of two copies the one whose path matches an earlier glob stays.",
    )
    bundle_wait_s: Annotated[Number, Field(ge=0, le=86400)] = Field(
        default=60.0,
        description="Seconds that an action waits for late files of the same shot (RAW beside JPEG, a Live Photo's "
        "movie, sidecars), which move together or not at all.",
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
    digest: Flag = Field(
        default=True, description="true: one record a day, after midnight, that says how much came in and was found."
    )
