"""`why`: what is known of a file, and what was decided about it, with the evidence."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deepdupe_daemon.cli.file_story import FileStory, read_story, story_json, story_lines
from deepdupe_daemon.cli.given_path import ledger_path
from deepdupe_daemon.cli.options import AsJson, ConfigFile, StateDir
from deepdupe_daemon.cli.pair_story import PairStory, pair_json, pair_lines, read_pair
from deepdupe_daemon.cli.shell import Shell
from deepdupe_daemon.cli.whereabouts import find_config
from deepdupe_daemon.errors import ConfigError, FileFailed

if TYPE_CHECKING:
    from deepdupe_daemon.config import Config
    from deepdupe_daemon.ledger import FileRow, Ledger
    from deepdupe_daemon.service import Viewer

__all__ = ["why"]


def why(
    ctx: typer.Context,
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A file that is known.")],
    other: Annotated[Path | None, typer.Argument(metavar="PATH2", help="Another one, to compare it with.")] = None,
    picture: Annotated[
        Path | None,
        typer.Option(
            "--picture",
            metavar="OUT.png",
            help="Draw the two side by side, aligned, and where they differ. Without PATH2: PATH and what is kept of "
            "it. A file of that name is replaced.",
        ),
    ] = None,
    config: ConfigFile = None,
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """Explain what was decided about a file, or about two.

    With the evidence: digests, similarities, the comparison of the pixels, vetoes, the rule that chose what to keep,
    and what was done.
    """
    from deepdupe_daemon.ledger import Ledger
    from deepdupe_daemon.service import viewer

    shell: Shell = ctx.obj
    found = find_config(config, state_dir, shell.environ)
    with contextlib.ExitStack() as stack:
        ledger = stack.enter_context(Ledger.open(found.state_dir, shell.clock, readonly=True))
        stories = [_story(found, ledger, ledger_path(each)) for each in (path, other) if each is not None]
        sides = _sides(ledger, stories) if picture is not None else None
        pair: PairStory | None = None
        if sides is not None or len(stories) == 2:
            eyes = stack.enter_context(viewer(found, shell.clock))
            if len(stories) == 2:
                pair = read_pair(found, ledger, stories[0], stories[1], eyes)
            if picture is not None and sides is not None:
                _draw(eyes, *sides, picture)
    _print(shell, stories, pair, as_json=as_json)
    if picture is not None:
        shell.remark(f"drawn: {picture}")


def _print(shell: Shell, stories: list[FileStory], pair: PairStory | None, *, as_json: bool) -> None:
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


def _story(config: Config, ledger: Ledger, path: bytes) -> FileStory:
    from deepdupe_daemon.model import display_path

    story = read_story(config, ledger, path)
    if story is None:
        hint = "`deepdupe-daemon check FILE` looks at a file that is in no watched folder"
        raise FileFailed("is not known", kind="unknown", where=display_path(path), hint=hint)
    return story


def _sides(ledger: Ledger, stories: list[FileStory]) -> tuple[FileRow, FileRow]:
    """What to draw: the keeper and its duplicate, or the two as they were given."""
    from deepdupe_daemon.model import display_path

    if len(stories) == 2:
        return stories[0].file, stories[1].file
    verdict = stories[0].verdict
    keeper = ledger.file(verdict.keeper_file_id) if verdict is not None else None
    if keeper is None:
        where = display_path(stories[0].file.key.path)
        raise FileFailed(
            "is no duplicate: there is nothing to draw beside it", kind="alone", where=where, hint="name two"
        )
    return keeper, stories[0].file


def _draw(eyes: Viewer, one: FileRow, other: FileRow, target: Path) -> None:
    from deepdupe_daemon.model import display_path

    for row in (one, other):
        if row.digest is None:
            raise FileFailed("was not seen", kind="unseen", where=display_path(row.key.path))
    assert one.digest is not None
    assert other.digest is not None
    png = eyes.draw((one.key.path, one.digest), (other.key.path, other.digest))
    try:
        target.write_bytes(png)
    except OSError as failed:
        raise ConfigError(f"cannot be written: {failed.strerror}", where=str(target)) from failed
