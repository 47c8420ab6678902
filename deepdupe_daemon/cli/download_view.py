"""How far a download is: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from deepdupe_daemon.cli.shell import Shell

__all__ = ["download_view"]

Show = Callable[[str, int, int], None]


@contextmanager
def download_view(shell: Shell) -> Iterator[Show]:
    """What to call with (what, bytes done, bytes in all or 0 where unknown) as the download goes on."""
    if not shell.shows_progress:
        yield _lines(shell)
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    console = Console(file=shell.stderr, stderr=True, highlight=False, markup=False, emoji=False)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console) as bars:
        tasks = {}

        def show(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total or None)
            bars.update(tasks[what], completed=done, total=total or None)

        yield show


def _lines(shell: Shell) -> Show:
    """A line at each tenth of the way."""
    tenths: dict[str, int] = {}

    def show(what: str, done: int, total: int) -> None:
        tenth = 10 * done // total if total else 0
        if tenths.get(what) != tenth:
            tenths[what] = tenth
            shell.remark(f"{what}: {done / 1e6:,.0f} of {total / 1e6:,.0f} MB" if total else f"{what}: begun")

    return show
