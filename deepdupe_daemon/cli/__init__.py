"""The command line: one thin file a command.

The room promises that every failure the program foresees is one readable line with its remedy and its exit code, that
no file name can forge a line, that `--json` prints one object a line, and that `--help` loads no model, no database and
no numpy. Results go to standard output; progress, remarks and errors go to standard error.
"""

from __future__ import annotations

import io
import os
import sys

__all__ = ["main"]


def main() -> None:
    """The console script: runs the command that `sys.argv` names, and ends the process with its exit code."""
    from deepdupe_daemon.cli.app import build_app
    from deepdupe_daemon.cli.failure import exit_code_of
    from deepdupe_daemon.cli.shell import Shell
    from deepdupe_daemon.clock import SystemClock

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a Latin-1 terminal must not end a command at a name
    shell = Shell(stdin=sys.stdin, stdout=sys.stdout, stderr=sys.stderr, environ=os.environ, clock=SystemClock())
    try:
        build_app()(obj=shell, prog_name="deepdupe-daemon")
    except Exception as error:  # noqa: BLE001 - the edge of the process: everything is told, and has an exit code
        sys.exit(exit_code_of(error, shell))
