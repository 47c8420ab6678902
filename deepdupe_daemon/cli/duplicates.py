"""`duplicates`: list them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deepdupe_daemon.cli.moment import since_ns
from deepdupe_daemon.cli.options import AsJson, ConfigFile, StateDir
from deepdupe_daemon.cli.shell import Shell
from deepdupe_daemon.cli.verdict_classes import verdict_classes
from deepdupe_daemon.cli.verdict_table import csv_lines, table_lines
from deepdupe_daemon.cli.verdict_text import verdict_json, verdict_line
from deepdupe_daemon.cli.whereabouts import find_config
from deepdupe_daemon.errors import ConfigError

if TYPE_CHECKING:
    from deepdupe_daemon.ledger import VerdictRow

__all__ = ["duplicates", "verdict_classes"]


def duplicates(
    ctx: typer.Context,
    below: Annotated[Path | None, typer.Argument(metavar="DIR", help="Only duplicates below this folder.")] = None,
    classes: Annotated[
        list[str] | None,
        typer.Option(
            "--class",
            metavar="CLASS",
            help="Only this class: identical-bytes, identical-pixels, re-encoded, edited, series, related. Repeatable.",
        ),
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar="WHEN", help="Only what was found since: 2h, 3d, 2026-03-01, ...")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Every class, and files that are no longer there as well.")
    ] = False,
    form: Annotated[
        str | None,
        typer.Option("--format", metavar="FORMAT", help="table, json or csv. Default: a line for each, in words."),
    ] = None,
    print0: Annotated[
        bool, typer.Option("-0", "--print0", help="Only the duplicates' paths, each ended by a NUL: for xargs -0.")
    ] = False,
    config: ConfigFile = None,
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """List the duplicates that were found and are there."""
    from deepdupe_daemon.ledger import Ledger

    shell: Shell = ctx.obj
    chosen = _form(form, as_json=as_json, print0=print0)
    wanted = verdict_classes(classes or [])
    found = find_config(config, state_dir, shell.environ)
    told = wanted or (None if everything else found.alerts.classes)
    since_given = None if since is None else since_ns(since, now_ns=shell.clock.now_ns())
    root = None if below is None else os.fsencode(os.path.realpath(below))
    with Ledger.open(found.state_dir, shell.clock, readonly=True) as ledger:
        rows = ledger.duplicates(classes=told, root=root, since_ns=since_given, living_only=not everything)
        if print0:
            for row in rows:
                shell.raw((row.duplicate_now or row.verdict.duplicate.path) + b"\0")
            return
        for line in _FORMS[chosen](rows):
            shell.line(line)


def _form(form: str | None, *, as_json: bool, print0: bool) -> str:
    """Which of the forms. Raises ConfigError for one that is none, and for two at once."""
    if form is not None and form not in _FORMS:
        raise ConfigError(f"found {form!r}; allowed: {', '.join(_FORMS)}", where="--format")
    given = [*([form] if form is not None else []), *(["json"] if as_json else []), *(["print0"] if print0 else [])]
    if len(set(given)) > 1:
        raise ConfigError("found several forms at once; allowed: one of --format, --json and -0", where="--format")
    return given[0] if given else "lines"


def _json_lines(rows: Iterable[VerdictRow]) -> Iterator[str]:
    return (json.dumps(verdict_json(row)) for row in rows)


#: one of them is the default
_FORMS: Mapping[str, Callable[[Iterable[VerdictRow]], Iterator[str]]] = {
    "lines": lambda rows: (verdict_line(row) for row in rows),
    "table": table_lines,
    "json": _json_lines,
    "csv": csv_lines,
}
