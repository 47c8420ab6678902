"""A watched folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from deepdupe_daemon.config.intake import IntakeConfig
from deepdupe_daemon.config.patterns import PathFilter
from deepdupe_daemon.config.section import Glob, Section

__all__ = ["RootConfig"]


class RootConfig(Section):
    """A watched folder, with everything below it."""

    path: Path = Field(
        description="The folder, as an absolute path. Everything below it is watched; symbolic links below it are not "
        "followed.",
        examples=["/srv/photos"],
    )
    action: Literal["observe", "protected"] = Field(
        default="observe",
        description="observe: duplicates found here are reported, and nothing is moved. protected: the same, and in a "
        "pair the picture in a protected folder is always the one to keep.",
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

    @field_validator("action", mode="before")
    @classmethod
    def _quarantine_comes_later(cls, value: object) -> object:
        if value == "quarantine":
            raise ValueError("found 'quarantine', but this version never moves a file; allowed: observe or protected")
        return value


def absolute(value: Path) -> Path:
    """`value` without `.` and `..` in the spelling; ValueError when it is relative."""
    if not value.is_absolute():
        raise ValueError(f"found the relative path {str(value)!r}; allowed: an absolute path, starting with /")
    return value
