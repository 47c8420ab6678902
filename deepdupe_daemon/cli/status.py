"""`status`: is it running, how far is it, what could not be read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deepdupe_daemon.cli.builds import build_records
from deepdupe_daemon.cli.calibration_text import calibration_remark
from deepdupe_daemon.cli.moment import iso_moment, local_moment
from deepdupe_daemon.cli.options import AsJson, ConfigFile, StateDir
from deepdupe_daemon.cli.path_json import path_fields
from deepdupe_daemon.cli.shell import Shell
from deepdupe_daemon.cli.status_text import status_lines
from deepdupe_daemon.cli.whereabouts import find_config
from deepdupe_daemon.errors import StateError

if TYPE_CHECKING:
    from deepdupe_daemon.config import Config
    from deepdupe_daemon.ledger import FileRow
    from deepdupe_daemon.model import SpaceKey

__all__ = ["status"]

_MOST_FAILED = 1_000_000


def status(
    ctx: typer.Context,
    failed: Annotated[bool, typer.Option("--failed", help="List the files that could not be read, and why.")] = False,
    config: ConfigFile = None,
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """Say whether a daemon runs, and what it knows."""
    from deepdupe_daemon.service import ControlClient

    shell: Shell = ctx.obj
    found = find_config(config, state_dir, shell.environ)
    if failed:
        _list_failed(found, shell, as_json=as_json)
        return
    client = ControlClient.find(found)
    answer = client.request("status") if client is not None else {}
    answer.pop("ok", None)
    try:
        at_rest = _at_rest(found, shell)
    except StateError:
        if client is None:
            raise
        at_rest = _from_outside(found)  # who may ask the daemon need not be able to read its files
    report = {"running": client is not None, **at_rest, **answer}
    if as_json:
        shell.json(report)
        return
    for line in status_lines(report):
        shell.line(line)


def _at_rest(config: Config, shell: Shell) -> dict[str, Any]:
    """What the ledger says, whether or not a daemon runs."""
    from deepdupe_daemon.ledger import Ledger
    from deepdupe_daemon.model import display_path
    from deepdupe_daemon.service import quarantine_numbers

    with Ledger.open(config.state_dir, shell.clock, readonly=True) as ledger:
        lag = ledger.unstored_counts()
        return {
            "state_dir": display_path(os.fsencode(config.state_dir)),
            "roots": [display_path(root.path_bytes) for root in config.roots],
            "models": [model.name for model in config.models],
            "files": {str(state): count for state, count in ledger.counts().items()},
            "images": len(ledger.living_images()),
            "duplicates": sum(1 for _ in ledger.duplicates(classes=config.alerts.classes)),
            "quarantine": quarantine_numbers(ledger),
            "calibrated": _calibrated(config, ledger.spaces()),
            "chroma_behind": {space.name: lag.get(space.name, 0) for space in ledger.spaces()},
            "reindex": build_records(ledger),
        }


def _calibrated(config: Config, spaces: Sequence[SpaceKey]) -> dict[str, str]:
    """Space name -> what was measured; of other weights or preprocessing it is said that it is."""
    from deepdupe_daemon.calibration import read_calibrations

    known = read_calibrations(config.state_dir)
    found = {}
    for space in spaces:
        calibration = known.get(space.name)
        if calibration is not None:
            other = calibration.fingerprint != space.fingerprint()
            found[space.name] = calibration_remark(calibration) + (", with other weights or settings" if other else "")
    return found


def _from_outside(config: Config) -> dict[str, Any]:
    """What is known without the ledger; the daemon's own answer says the rest."""
    return {
        "state_dir": str(config.state_dir),
        "roots": [],
        "models": [model.name for model in config.models],
        "files": {},
        "images": None,
        "duplicates": None,
        "quarantine": None,
        "calibrated": {},
        "chroma_behind": {},
        "reindex": [],
    }


def _list_failed(config: Config, shell: Shell, *, as_json: bool) -> None:
    from deepdupe_daemon.ledger import Ledger

    with Ledger.open(config.state_dir, shell.clock, readonly=True) as ledger:
        for row in ledger.failed(_MOST_FAILED):
            if as_json:
                shell.json(_failed_json(row))
            else:
                shell.line(_failed_line(row))


def _failed_line(row: FileRow) -> str:
    from deepdupe_daemon.model import display_path

    reason = display_path((row.error or "").encode())
    text = f"{display_path(row.key.path)}: {row.error_kind}: {reason}"
    return f"{text}; next try {local_moment(row.retry_at_ns)}" if row.retry_at_ns is not None else text


def _failed_json(row: FileRow) -> dict[str, Any]:
    return {
        **path_fields("path", row.key.path),
        "kind": row.error_kind,
        "reason": row.error,
        "attempts": row.attempts,
        "retry_at": iso_moment(row.retry_at_ns) if row.retry_at_ns is not None else None,
    }
