"""Where a service is installed: for the system, or for one person."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from deepdupe_daemon.errors import ConfigError, StateError

__all__ = ["CPU_ONLY", "DROP_IN", "UNIT", "Target", "shipped_units"]

UNIT = "deepdupe-daemon.service"
#: what `install` writes beside a unit
DROP_IN, CPU_ONLY = "50-watched-folders.conf", "40-cpu-only.conf"


@dataclass(frozen=True, slots=True)
class Target:
    """The places. `shared` holds what systemd's own tools look for (catalog, sysusers); None for one person."""

    user: bool
    prefix: Path  # the program
    units: Path
    drop_ins: Path
    config: Path
    shared: Path | None
    sysctl: Path | None
    instance: str | None = None  # of the template; None: the plain unit

    @classmethod
    def system(cls, prefix: Path | None = None, *, root: Path = Path("/")) -> Self:
        """For the machine. systemd looks below /usr/local/lib for what an administrator installs (systemd.unit(5))."""
        return cls(
            user=False,
            prefix=prefix or root / "opt/deepdupe-daemon",
            units=root / "usr/local/lib/systemd/system",
            drop_ins=root / "etc/systemd/system",
            config=root / "etc/deepdupe-daemon/deepdupe.yaml",
            shared=root / "usr/local/lib",
            sysctl=root / "etc/sysctl.d",
        )

    @classmethod
    def person(cls, environ: Mapping[str, str], prefix: Path | None = None) -> Self:
        """For whoever runs this (XDG Base Directory specification 0.8)."""
        home = Path(environ.get("HOME", "") or os.path.expanduser("~"))
        data, config = (
            Path(found) if os.path.isabs(found := environ.get(name, "")) else home / usual
            for name, usual in (("XDG_DATA_HOME", ".local/share"), ("XDG_CONFIG_HOME", ".config"))
        )
        return cls(
            user=True,
            prefix=prefix or data / "deepdupe-daemon/program",
            units=config / "systemd/user",
            drop_ins=config / "systemd/user",
            config=config / "deepdupe-daemon/deepdupe.yaml",
            shared=None,
            sysctl=None,
        )

    @property
    def systemctl(self) -> tuple[str, ...]:
        return ("systemctl", "--user") if self.user else ("systemctl",)

    @property
    def unit(self) -> str:
        """What is started: the plain unit, or an instance of the template."""
        return UNIT if self.instance is None else UNIT.replace(".", f"@{self.instance}.")

    @property
    def drop_in(self) -> Path:
        """What `install` writes of the configuration into the unit."""
        return self.drop_ins / f"{self.unit}.d" / DROP_IN

    def serving(self, source: Path) -> Self:
        """The target of the configuration `source`: one beside the machine's own is an instance of the template.

        Raises ConfigError for a name that no instance can have.
        """
        if self.user or source.parent != self.config.parent or source == self.config:
            return self
        if not re.fullmatch(r"[A-Za-z0-9_]+", source.stem) or source.suffix != ".yaml":
            hint = "such as /etc/deepdupe-daemon/photos.yaml"
            raise ConfigError("an instance is named by letters, digits and _", where=str(source), hint=hint)
        return replace(self, instance=source.stem, config=source)


def shipped_units() -> Path:
    """The folder of the unit files: within the package where it was installed, beside it in a checkout."""
    package = Path(__file__).resolve().parents[2]
    for folder in (package / "systemd", package.parent / "systemd"):
        if (folder / UNIT).is_file():
            return folder
    raise StateError("the unit files are not here", where=str(package), hint="install the program again")
