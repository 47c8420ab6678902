"""How a failure is told, and which exit code it gets."""

from __future__ import annotations

import traceback

from deepdupe_daemon.cli.shell import Shell
from deepdupe_daemon.errors import DeepDupeError

__all__ = ["EX_SOFTWARE", "exit_code_of"]

#: sysexits(3): a mistake of this program. Not Python's 1, which says of a scan that it found duplicates
EX_SOFTWARE = 70


def exit_code_of(error: BaseException, shell: Shell) -> int:
    """Tell `error` on standard error; its exit code. What this program did not foresee comes with its trace."""
    if isinstance(error, DeepDupeError):
        if shell.debug:
            shell.remark("".join(traceback.format_exception(error)).rstrip())
        for line in _lines(error):
            shell.remark(line)
        return error.exit_code
    shell.remark("".join(traceback.format_exception(error)).rstrip())
    shell.remark(f"error: {type(error).__name__}: {error}")
    shell.remark("hint: this should not have happened; the lines above are what a report of it needs")
    return EX_SOFTWARE


def _lines(error: DeepDupeError) -> list[str]:
    """`error: where: what`, one a line where there are several problems, then `hint: remedy`."""
    where = f"{error.where}: " if error.where else ""
    lines = [f"error: {where}{line}" for line in error.what.split("\n")]
    if error.hint:
        lines.append(f"hint: {error.hint}")
    return [_printable(line) for line in lines]


def _printable(text: str) -> str:
    """As `model.display_path`, which would load numpy here."""
    text = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
