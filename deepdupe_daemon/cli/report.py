"""`report`: the duplicates as a page that a browser opens from the disk."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deepdupe_daemon.cli.counted import counted
from deepdupe_daemon.cli.moment import local_moment, since_ns
from deepdupe_daemon.cli.options import ConfigFile, StateDir
from deepdupe_daemon.cli.progress import progress_view
from deepdupe_daemon.cli.shell import Shell
from deepdupe_daemon.cli.verdict_classes import verdict_classes
from deepdupe_daemon.cli.whereabouts import find_config

if TYPE_CHECKING:
    from collections.abc import Callable

    from deepdupe_daemon.cli.progress import ProgressView
    from deepdupe_daemon.clock import Clock
    from deepdupe_daemon.page import PageStep

__all__ = ["report"]


def report(
    ctx: typer.Context,
    html: Annotated[Path, typer.Option("--html", metavar="DIR", help="Folder to write the page into.")] = Path(
        "deepdupe-report"
    ),
    since: Annotated[
        str | None, typer.Option(metavar="WHEN", help="Only what was found since: 2h, 3d, 2026-03-01, ...")
    ] = None,
    verdicts: Annotated[
        list[str] | None,
        typer.Option("--verdict", metavar="CLASS", help="Only this verdict, such as re-encoded. Repeatable."),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Series and related pictures as well.")] = False,
    heat: Annotated[bool, typer.Option("--heat/--no-heat", help="Draw where each copy differs; takes longer.")] = True,
    config: ConfigFile = None,
    state_dir: StateDir = None,
) -> None:
    """Write the duplicates as a page: DIR/index.html, with thumbnails beside it.

    The page needs no server and loads nothing from anywhere. Written into the same folder again, only what is new is
    drawn.
    """
    from deepdupe_daemon.ledger import Ledger
    from deepdupe_daemon.model import display_path
    from deepdupe_daemon.page import gathered, write_page

    shell: Shell = ctx.obj
    wanted = verdict_classes(verdicts or [], where="--verdict")
    found = find_config(config, state_dir, shell.environ)
    since_given = None if since is None else since_ns(since, now_ns=shell.clock.now_ns())
    told = wanted or (None if everything else found.alerts.classes)
    with Ledger.open(found.state_dir, shell.clock, readonly=True) as ledger:
        groups = gathered(ledger, classes=told, since_ns=since_given)
    made = f"made {local_moment(shell.clock.now_ns())} by deepdupe-daemon"
    with progress_view(shell) as view:
        failed = write_page(
            html,
            groups,
            facts={"made": made, "can": []},
            heat=heat,
            decoder=found.decoder,
            clock=shell.clock,
            on_step=_shown(view, shell.clock),
        )
    shell.line(display_path(os.fsencode(os.path.abspath(html / "index.html"))))
    missing = f"; {counted(failed, 'picture')} could not be drawn" if failed else ""
    shell.remark(f"{counted(len(groups), 'group')}, {sum(len(group.copies) for group in groups):,} copies{missing}")


def _shown(view: ProgressView, clock: Clock) -> Callable[[PageStep], None]:
    from deepdupe_daemon.service import Progress

    began_s = clock.monotonic_s()

    def show(step: PageStep) -> None:
        elapsed_s = clock.monotonic_s() - began_s
        rate = step.done / elapsed_s if elapsed_s > 0 else 0.0
        remaining_s = (step.total - step.done) / rate if rate else None
        text = f"drawing {step.done:,} of {step.total:,}"
        view.show(Progress("drawing", step.done, step.total, rate, remaining_s, 0, 0, text))

    return show
