"""How far the work is: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

from deepdupe_daemon.cli.counted import counted
from deepdupe_daemon.cli.moment import duration_text
from deepdupe_daemon.cli.shell import Shell

if TYPE_CHECKING:
    from deepdupe_daemon.service import Progress

__all__ = ["ProgressBar", "ProgressLines", "ProgressView", "progress_text", "progress_view"]


class ProgressView(Protocol):
    """`show` is called by one thread; `line` by any, also between two calls of `show`."""

    def show(self, progress: Progress) -> None: ...

    def line(self, text: str, *, beside: bool = False) -> None:
        """One line of the result, or with `beside` a remark, that does not tear the bar."""

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """The work is done, or is no longer worth a bar."""


def progress_view(shell: Shell) -> ProgressView:
    """The view that fits where standard error goes."""
    return ProgressBar(shell) if shell.shows_progress else ProgressLines(shell)


def progress_text(progress: Progress) -> str:
    """`indexing 1,200 of 2,889 (41 %), 92 files/s, 18 s left, 30 duplicates, 2 failed`"""
    if progress.phase == "storing" or not progress.total:
        return progress.text
    share = 100 * progress.done // progress.total
    parts = [f"{progress.phase} {progress.done:,} of {progress.total:,} ({share} %)", *_extras(progress)]
    return ", ".join(parts)


def _extras(progress: Progress) -> list[str]:
    parts = [_rate_text(progress.rate_per_s)] if progress.rate_per_s else []
    parts += [f"{duration_text(progress.remaining_s)} left"] if progress.remaining_s else []
    parts += [counted(progress.duplicates, "duplicate")] if progress.duplicates else []
    parts += [f"{progress.failed:,} failed"] if progress.failed else []
    return parts


def _rate_text(rate_per_s: float) -> str:
    """`92 files/s`, `0.4 files/s`, `3 files/min`: slow work moves as well."""
    if rate_per_s >= 10:
        return f"{rate_per_s:,.0f} files/s"
    return f"{rate_per_s:.1f} files/s" if rate_per_s >= 0.1 else f"{60 * rate_per_s:.1g} files/min"


class ProgressLines:
    """A line every few seconds while something moves, and one at each tenth of the way. Owned by its caller."""

    def __init__(self, shell: Shell, *, every_s: float = 5.0) -> None:
        self._shell = shell
        self._every_s = every_s
        self._last_s = -every_s
        self._last_tenth = 0
        self._last_text = ""

    def show(self, progress: Progress) -> None:
        now_s = self._shell.clock.monotonic_s()
        tenth = 10 * progress.done // progress.total if progress.total else 0
        text = progress_text(progress)
        if text == self._last_text or not (now_s - self._last_s >= self._every_s or tenth > self._last_tenth):
            return
        self._last_s, self._last_tenth, self._last_text = now_s, tenth, text
        self._shell.remark(text)

    def line(self, text: str, *, beside: bool = False) -> None:
        self._shell.remark(text) if beside else self._shell.line(text)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        return


class ProgressBar:
    """A bar on standard error that disappears when the work is done. rich redraws it in a thread of its own."""

    def __init__(self, shell: Shell) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, SpinnerColumn, TextColumn
        from rich.progress import Progress as Bars

        self._shell = shell
        # a result that goes to a file or a pipe is none of the bar's business
        self._same_screen = shell.stdout.isatty()
        self._bars = Bars(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[extras]}"),
            console=Console(file=shell.stderr, stderr=True, highlight=False, markup=False, emoji=False),
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task: Any = None  # rich's id of the one task
        self._open = False

    def show(self, progress: Progress) -> None:
        if not self._open:
            return
        text = f"{progress.phase} {progress.done:,} of {progress.total:,}" if progress.total else progress.phase
        if progress.phase == "storing":
            text = "filling Chroma"  # all files are done; what is told of them does not wait for this
        self._bars.update(
            self._task,
            description=text,
            completed=progress.done,
            total=progress.total or None,
            extras=", ".join(_extras(progress)),
        )

    def line(self, text: str, *, beside: bool = False) -> None:
        if self._open and (beside or self._same_screen):
            self._bars.console.print(text, soft_wrap=True)
        elif beside:
            self._shell.remark(text)
        else:
            self._shell.line(text)

    def __enter__(self) -> Self:
        self._task = self._bars.add_task("starting", total=None, extras="")
        self._bars.start()
        self._open = True
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._open:
            self._open = False
            self._bars.stop()
