"""`why`: what is known of a file, and what was decided about it, with the evidence."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deepdupe_daemon.cli.file_story import FileStory, read_story, story_json, story_lines
from deepdupe_daemon.cli.given_path import ledger_path
from deepdupe_daemon.cli.options import AsJson, ConfigFile, StateDir
from deepdupe_daemon.cli.pair_story import pair_json, pair_lines, read_pair
from deepdupe_daemon.cli.shell import Shell
from deepdupe_daemon.cli.whereabouts import find_config
from deepdupe_daemon.errors import FileFailed

if TYPE_CHECKING:
    from deepdupe_daemon.ledger import Ledger

__all__ = ["why"]


def why(
    ctx: typer.Context,
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A file that is known.")],
    other: Annotated[Path | None, typer.Argument(metavar="PATH2", help="Another one, to compare it with.")] = None,
    config: ConfigFile = None,
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """Explain what was decided about a file, or about two.

    With the evidence: similarities, the comparison of the pixels, vetoes, the rule that chose what to keep.
    """
    from deepdupe_daemon.ledger import Ledger

    shell: Shell = ctx.obj
    found = find_config(config, state_dir, shell.environ)
    with Ledger.open(found.state_dir, shell.clock, readonly=True) as ledger:
        stories = [_story(ledger, ledger_path(each)) for each in (path, other) if each is not None]
        pair = read_pair(ledger, *stories) if len(stories) == 2 else None
    if as_json:
        record: dict[str, Any] = story_json(stories[0])
        if pair is not None:
            record |= {"other": story_json(stories[1]), "pair": pair_json(pair)}
        shell.json(record)
        return
    for story in stories:
        for line in story_lines(story):
            shell.line(line)
    if pair is not None:
        for line in pair_lines(pair):
            shell.line(line)


def _story(ledger: Ledger, path: bytes) -> FileStory:
    from deepdupe_daemon.model import display_path

    story = read_story(ledger, path)
    if story is None:
        hint = "`deepdupe-daemon check FILE` looks at a file that is in no watched folder"
        raise FileFailed("is not known", kind="unknown", where=display_path(path), hint=hint)
    return story
