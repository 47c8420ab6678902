"""The bar on a terminal, and the lines elsewhere."""

from __future__ import annotations

import io

import pytest

from deepdupe_daemon.cli.progress import ProgressBar, ProgressLines, progress_text, progress_view
from deepdupe_daemon.cli.shell import Shell
from deepdupe_daemon.clock import ManualClock
from deepdupe_daemon.service import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def at(done: int, total: int = 1000, phase: str = "indexing") -> Progress:
    rate = 50.0 if done else 0.0
    return Progress(phase, done, total, rate, (total - done) / 50 if done else None, 2, 30, "the text")  # type: ignore[arg-type] # a Literal


def shell(stdout: io.StringIO, stderr: io.StringIO, clock: ManualClock | None = None) -> Shell:
    return Shell(io.StringIO(), stdout, stderr, {"TERM": "xterm"}, clock or ManualClock())


def test_the_text_says_rate_and_time_left() -> None:
    assert progress_text(at(250)) == "indexing 250 of 1,000 (25 %), 50 files/s, 15 s left, 30 duplicates, 2 failed"
    assert progress_text(at(0, 0, "walking")) == "the text"


def test_lines_come_every_few_seconds_and_at_each_tenth_and_never_twice() -> None:
    clock, err = ManualClock(), io.StringIO()
    lines = ProgressLines(shell(io.StringIO(), err, clock))
    for done in (1, 2, 99, 100, 101, 101):
        lines.show(at(done))
    clock.advance(5)
    lines.show(at(101))
    lines.show(at(102))
    shown = [line.split(" of ")[0] for line in err.getvalue().splitlines()]
    assert shown == ["indexing 1", "indexing 100", "indexing 101"]


@pytest.mark.parametrize(("stderr", "kind"), [(io.StringIO(), ProgressLines), (Terminal(), ProgressBar)])
def test_a_bar_only_where_somebody_looks(stderr: io.StringIO, kind: type) -> None:
    assert isinstance(progress_view(shell(io.StringIO(), stderr)), kind)


def test_the_bar_leaves_a_piped_result_alone_and_vanishes() -> None:
    out, err = io.StringIO(), Terminal()
    with ProgressBar(shell(out, err)) as bar:
        bar.show(at(250))
        bar.line("a [bold]result[/bold] :smile:")
        bar.line("a remark", beside=True)
    bar.line("afterwards")
    assert out.getvalue() == "a [bold]result[/bold] :smile:\nafterwards\n"
    assert "a remark" in err.getvalue()
    assert "indexing 250 of 1,000" in err.getvalue()
    assert err.getvalue().rstrip().endswith(("\x1b[2K", "\x1b[?25h")), "the bar's line is erased and the cursor is back"


def test_on_one_screen_results_go_above_the_bar() -> None:
    out, err = Terminal(), Terminal()
    with ProgressBar(shell(out, err)) as bar:
        bar.show(at(250))
        bar.line("a result")
    assert "a result" in err.getvalue()
    assert out.getvalue() == ""
