"""The options and arguments that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "SYSTEM_CONFIG",
    "AsJson",
    "ConfigFile",
    "Folders",
    "Models",
    "StateDir",
]

#: the configuration of the system's own service
SYSTEM_CONFIG = Path("/etc/deepdupe-daemon/deepdupe.yaml")

Folders = Annotated[list[str], typer.Argument(metavar="DIR...", help="Folders, with everything below them.")]
Models = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        "-m",
        metavar="NAME[=WEIGHTS]",
        help="Model to compare pictures with, and a weights tag or a checkpoint where it shall not be the model's own. "
        "Give it several times for several. Default: pdq, which needs no weights.",
    ),
]
StateDir = Annotated[
    Path | None,
    typer.Option("--state-dir", metavar="DIR", help="Where to keep what is known. Default: your XDG state folder."),
]
ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", "-c", metavar="FILE", help="The configuration of the daemon to ask."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")]
