"""How files arrive and settle."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from deepdupe_daemon.config.patterns import DEFAULT_EXCLUDE, DEFAULT_INCLUDE
from deepdupe_daemon.config.section import GIB, ByteCount, Glob, Number, Section

__all__ = ["IntakeConfig"]


class IntakeConfig(Section):
    """Which files are looked at, and when a file that is being written counts as finished."""

    settle_s: Annotated[Number, Field(ge=0.05, le=3600)] = Field(
        default=2.0,
        description="Seconds without a change of size or time after which a file counts as finished, when nothing "
        "else says so (network file systems, programs that hold files open).",
    )
    close_settle_s: Annotated[Number, Field(ge=0, le=3600)] = Field(
        default=0.2,
        description="Seconds without a change after a file was closed or moved in, which is the usual case. The "
        "shortest time from a copy to its alert.",
    )
    rescan_interval_s: Annotated[Number, Field(ge=10)] = Field(
        default=3600.0,
        description="Seconds between walks through all folders, which find whatever the kernel's events missed.",
    )
    include: tuple[Glob, ...] = Field(
        default=DEFAULT_INCLUDE,
        min_length=1,
        description="Globs of the files to look at. The bytes of a file decide whether it is a picture, never its "
        "name, so the default is every file. A glob without / matches the name of the file or of any folder above it; "
        "one with / matches the path from the watched folder on; one that ends in / matches folders only; ** stands "
        "for any number of folders. Letters a to z match in either case.",
    )
    exclude: tuple[Glob, ...] = Field(
        default=DEFAULT_EXCLUDE,
        description="Globs of files and folders to leave out; the same rules. What is excluded is not even entered. A "
        "list given here replaces the default one; to add to it, use a root's own exclude.",
    )
    max_file_bytes: ByteCount = Field(
        default=2 * GIB,
        description="A larger file gets a row that says so, and is not read.",
    )
