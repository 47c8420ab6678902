"""A watched folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator

from deepdupe_daemon.config.intake import IntakeConfig
from deepdupe_daemon.config.patterns import PathFilter
from deepdupe_daemon.config.quarantine import ACTIONABLE, QuarantineClass
from deepdupe_daemon.config.section import Glob, Section, absolute

__all__ = ["RootConfig"]


class RootConfig(Section):
    """A watched folder, with everything below it."""

    path: Path = Field(
        description="The folder, as an absolute path. Everything below it is watched; symbolic links below it are not "
        "followed.",
        examples=["/srv/photos"],
    )
    action: Literal["observe", "quarantine", "protected"] = Field(
        default="observe",
        description="observe: duplicates found here are reported, and nothing is moved. quarantine: proven duplicates "
        "that arrive here from now on are moved to quarantine, from where they can be restored. protected: nothing is "
        "moved, and in a pair the picture in a protected folder is always the one to keep.",
    )
    quarantine_classes: Annotated[tuple[QuarantineClass, ...], Field(min_length=1)] = Field(
        default=tuple(each for each in ACTIONABLE if each.proven),
        description="With action quarantine: which verdicts are acted on, of identical-bytes, identical-pixels, "
        "re-encoded and, if you add it, edited. series and related never are.",
    )
    strategy: Literal["auto", "inotify", "poll"] = Field(
        default="auto",
        description="How arrivals are noticed. auto: by the kernel's events, and by walks at adaptive intervals (from "
        "10 s up to intake.rescan_interval_s) where a network or FUSE file system is part of the folder, because "
        "others can change files there without an event. inotify: by events whatever the file system is. poll: by "
        "such walks alone.",
    )
    if_missing: Literal["fail", "wait"] = Field(
        default="fail",
        description="When the folder does not exist at start, as before its disk is mounted. fail: the service does "
        "not start, which finds a mistyped name at once. wait: it starts, says so, and watches the folder once it is "
        "there.",
    )
    include: tuple[Glob, ...] = Field(
        default=(),
        description="Globs of the files to look at in this folder, in place of intake.include. Empty: intake.include "
        "holds.",
    )
    exclude: tuple[Glob, ...] = Field(
        default=(),
        description="Globs of files and folders to leave out in this folder, added to intake.exclude.",
    )

    @property
    def path_bytes(self) -> bytes:
        """The folder's name as the file system has it."""
        return os.fsencode(self.path)

    def path_filter(self, intake: IntakeConfig) -> PathFilter:
        """The filter of this root: its own include or else intake's, intake's exclude and its own."""
        return PathFilter(self.include or intake.include, intake.exclude + self.exclude)

    @field_validator("path", mode="before")
    @classmethod
    def _expand(cls, value: object) -> object:
        return os.path.expanduser(value) if isinstance(value, str) and value.startswith("~") else value

    @field_validator("path")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return absolute(value)
