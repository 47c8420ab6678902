"""The drop-in that opens the watched folders in the unit's sandbox, and nothing else."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from deepdupe_daemon.config import DEFAULT_STATE_DIR, Config
from deepdupe_daemon.errors import StateError
from deepdupe_daemon.model import display_path
from deepdupe_daemon.service.installing.interpreter import in_a_home

__all__ = ["drop_in_text", "needs_gpu", "quoted"]

_HEAD = """\
# Written by: deepdupe-daemon service install
# It opens the watched folders of {config}; run that command again when `roots` change.
# Settings of your own belong into another file here: systemctl edit deepdupe-daemon

[Service]
"""


def drop_in_text(config: Config, source: Path, *, user: bool, run_as: str | None, systemd_version: int) -> str:
    """The drop-in for `config`, which was read from `source`."""
    return _HEAD.format(config=source) + "".join(
        f"{line}\n" for line in _lines(config, user=user, run_as=run_as, systemd_version=systemd_version)
    )


def needs_gpu(config: Config, devices: Path = Path("/dev")) -> bool:
    """Whether a model of this configuration may run on a GPU of this machine."""
    models = [model for model in config.models if model.name != "pdq" and model.device != "cpu"]
    wanted = any(model.device.startswith("cuda") for model in models)
    return wanted or (bool(models) and (devices / "nvidiactl").exists())


def quoted(path: str | os.PathLike[str]) -> str:
    """A path as a setting of a unit takes it: quoted, and no specifiers. Raises StateError for a control character."""
    text = os.fspath(path)
    if not text.isprintable():
        where = display_path(os.fsencode(path))
        raise StateError("a folder of this name cannot be opened in a unit", where=where, hint="rename it")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%") + '"'


def _lines(config: Config, *, user: bool, run_as: str | None, systemd_version: int) -> Iterator[str]:
    if run_as is not None:
        yield f"# {run_as} may read these folders."
        yield f"User={run_as}"
        yield "Group="
    if systemd_version >= 254:
        yield "# From 5 s to 5 minutes between attempts to start, in six steps."
        yield "RestartSteps=6"
        yield "RestartMaxDelaySec=300"
    if user:
        return  # a person's own service has that person's rights, and no file system of its own
    for root in config.roots:
        writes = root.action == "quarantine"
        yield f"# {root.action}"
        if in_a_home(root.path):
            # the unit shows no home but these; a folder that is not there now does not keep the service from starting
            yield f"{'BindPaths' if writes else 'BindReadOnlyPaths'}=-{quoted(root.path)}"
        elif writes:
            yield f"ReadWritePaths=-{quoted(root.path)}"
        else:
            yield f"# {root.path} can be read as it is, and not written (ProtectSystem=strict)"
    for folder in (config.state_dir, config.quarantine.folder):
        if folder is not None and not Path(folder).is_relative_to(DEFAULT_STATE_DIR):
            yield f"ReadWritePaths=-{quoted(folder)}"
