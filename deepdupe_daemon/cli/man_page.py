"""`man`: the manual page, made from the commands and their help."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import typer
import typer.main

if TYPE_CHECKING:
    from deepdupe_daemon.cli.shell import Shell

__all__ = ["man", "man_page"]

_HEAD = r"""'\" made by: deepdupe-daemon man
.TH DEEPDUPE\-DAEMON 1 "" "deepdupe-daemon {version}" "User Commands"
.SH NAME
deepdupe\-daemon \- watch folders for new pictures and tell which of them you already have
.SH SYNOPSIS
.B deepdupe\-daemon
.RI [ OPTION ]...
.I COMMAND
.RI [ ARGUMENT ]...
"""
_TAIL = r""".SH EXIT STATUS
.TP
.B 0
Done; for
.B scan
and
.BR check :
no duplicates.
.TP
.B 1
Duplicates found (\fBscan\fR, \fBcheck\fR), or it failed.
.TP
.B 2
Used wrongly, or not finished, or files could not be read.
.TP
.B 69
The running daemon could not be asked.
.TP
.B 70
A mistake of this program, with its trace.
.TP
.B 75
It may work later.
.TP
.B 78
The configuration or the state cannot be used as it is.
.SH FILES
.TP
.I /etc/deepdupe-daemon/deepdupe.yaml
The configuration of the system's service.
.TP
.I ~/.local/state/deepdupe-daemon
What is known, where no configuration says otherwise ($XDG_STATE_HOME is obeyed).
.SH SEE ALSO
.BR journalctl (1),
.BR systemd (1)
"""


def man(ctx: typer.Context) -> None:
    """Print the manual page, for `man -l -`."""
    shell: Shell = ctx.obj
    root = ctx.find_root().command
    for line in man_page(root).splitlines():
        shell.line(line)


def man_page(root: Any) -> str:  # Any: click's command, whichever of its homes Typer takes it from
    """The page in the man macros of troff, for the command that `build_app` makes."""
    from deepdupe_daemon import __version__

    parts = [_HEAD.format(version=__version__), ".SH DESCRIPTION\n", _prose(root.help or ""), ".SH OPTIONS\n"]
    parts += [*_parameters(root), ".SH COMMANDS\n", *_commands(root, "")]
    return "".join([*parts, _TAIL])


def _commands(group: Any, before: str) -> Iterator[str]:
    for name in group.list_commands(None):
        command = group.commands[name]
        if getattr(command, "hidden", False):
            continue
        if hasattr(command, "commands"):
            yield from _commands(command, f"{before}{name} ")
            continue
        arguments = " ".join(
            each.metavar or each.name.upper() for each in command.params if each.param_type_name == "argument"
        )
        yield f".SS {_text(f'{before}{name} {arguments}'.strip())}\n"
        yield _prose(command.help or "")
        yield from _parameters(command)


def _parameters(command: Any) -> Iterator[str]:
    for each in command.params:
        if each.param_type_name != "option" or each.hidden or not each.help:
            continue
        names = ", ".join(rf"\fB{_text(name)}\fR" for name in (*each.opts, *each.secondary_opts))
        value = "" if each.is_flag else rf" \fI{_text(each.metavar or 'VALUE')}\fR"
        yield f".TP\n{names}{value}\n{_prose(each.help)}"


def _prose(text: str) -> str:
    paragraphs = [" ".join(part.split()) for part in re.split(r"\n\s*\n", text.strip())]
    return "\n.PP\n".join(_text(part) for part in paragraphs) + "\n"


def _text(text: str) -> str:
    """`text` as troff shows it: backslashes, hyphens, and no line that begins as a request."""
    escaped = text.replace("\\", r"\e").replace("-", r"\-")
    escaped = re.sub(r"`([^`]*)`", r"\\fB\1\\fR", escaped)
    return rf"\&{escaped}" if escaped.startswith((".", "'")) else escaped
