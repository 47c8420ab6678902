"""`check`: is it a duplicate of anything known?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deepdupe_daemon.cli.given_path import ledger_path
from deepdupe_daemon.cli.options import AsJson, ConfigFile, StateDir
from deepdupe_daemon.cli.path_json import path_fields
from deepdupe_daemon.cli.scan import FOUND_DUPLICATES, FOUND_ERRORS, FOUND_NONE
from deepdupe_daemon.cli.shell import Shell
from deepdupe_daemon.cli.verdict_text import evidence_text, relation_text
from deepdupe_daemon.cli.whereabouts import find_config

if TYPE_CHECKING:
    from deepdupe_daemon.config import Config
    from deepdupe_daemon.service import CheckMatch, CheckResult

__all__ = ["check"]

#: files asked for at once: few enough that the answers keep coming, many enough that they are decoded side by side
_AT_ONCE = 32


def check(
    ctx: typer.Context,
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Picture files, from anywhere.")],
    config: ConfigFile = None,
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """Say whether files are duplicates of anything known.

    Asks the running daemon where there is one, and writes nothing.

    Exit code: 0 none is, 1 at least one is, 2 at least one could not be read and no other is.
    """
    shell: Shell = ctx.obj
    found = find_config(config, state_dir, shell.environ)
    paths = [ledger_path(file) for file in files]
    results: list[CheckResult] = []
    for result in _results(found, paths, shell):
        results.append(result)
        if as_json:
            shell.json(_json(result))
        else:
            for line in _lines(result):
                shell.line(line)
    if any(result.is_duplicate for result in results):
        raise typer.Exit(FOUND_DUPLICATES)
    raise typer.Exit(FOUND_ERRORS if any(result.failure for result in results) else FOUND_NONE)


def _results(config: Config, paths: Sequence[bytes], shell: Shell) -> Iterator[CheckResult]:
    from deepdupe_daemon.service import CheckResult, ControlClient, check_offline
    from deepdupe_daemon.service.protocol import encode_path

    client = ControlClient.find(config)
    if client is None:
        yield from check_offline(config, paths, clock=shell.clock, environ=shell.environ)
        return
    for start in range(0, len(paths), _AT_ONCE):
        some = [encode_path(path) for path in paths[start : start + _AT_ONCE]]
        for raw in client.request("check", paths_b64=some)["results"]:
            yield CheckResult.from_dict(raw)


def _lines(result: CheckResult) -> Iterator[str]:
    from deepdupe_daemon.model import display_path

    shown = display_path(result.path)
    if result.failure:
        yield f"{shown}: could not be looked at ({result.failure}): {display_path(result.reason.encode())}"
    elif not result.matches:
        yield f"{shown}: new"
    for match in result.matches:
        evidence = evidence_text(match.similarities, match.verifier, match.transform, match.vetoes)
        text = f"{shown}: {match.verdict_class}: {relation_text(match.verdict_class)} {display_path(match.path)}"
        yield f"{text}  ({evidence})" if evidence else text


def _json(result: CheckResult) -> dict[str, Any]:
    return {
        **path_fields("path", result.path),
        "duplicate": result.is_duplicate,
        "digest": result.digest.hex() if result.digest is not None else None,
        "failure": result.failure or None,
        "reason": result.reason or None,
        "matches": [_match_json(match) for match in result.matches],
    }


def _match_json(match: CheckMatch) -> dict[str, Any]:
    return {
        "class": str(match.verdict_class),
        **path_fields("path", match.path),
        "similarities": dict(match.similarities),
        "verifier": match.verifier,
        "transform": match.transform,
        "vetoes": list(match.vetoes),
        "reason": match.reason,
    }
