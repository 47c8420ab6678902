"""`reload`: have the daemon read its configuration again."""

from __future__ import annotations

import os

import typer

from deepdupe_daemon.cli.options import AsJson, ConfigFile, StateDir
from deepdupe_daemon.cli.shell import Shell
from deepdupe_daemon.cli.whereabouts import find_config
from deepdupe_daemon.errors import ConfigError, ControlError

__all__ = ["reload"]


def reload(
    ctx: typer.Context,
    config: ConfigFile = None,
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """Have the daemon read its configuration file again.

    Folders, patterns, thresholds, actions and the log level change at once, and no model is loaded anew. A file with a
    mistake is refused, and the old configuration goes on.
    """
    from deepdupe_daemon.model import display_path
    from deepdupe_daemon.service import ControlClient

    shell: Shell = ctx.obj
    found = find_config(config, state_dir, shell.environ)
    client = ControlClient.find(found)
    if client is None:
        where = display_path(os.fsencode(found.state_dir))
        raise ControlError("no daemon is running", where=where, hint="each start reads the configuration")
    answer = client.request("reload")
    if "refused" in answer:
        raise ConfigError(str(answer["refused"]), hint=answer.get("hint"))
    if as_json:
        shell.json({key: answer[key] for key in ("changed", "needs_restart")})
    else:
        shell.line(str(answer["text"]))
