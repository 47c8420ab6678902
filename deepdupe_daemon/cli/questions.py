"""Questions asked in a terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from deepdupe_daemon.cli.shell import Shell
from deepdupe_daemon.errors import DeepDupeError

__all__ = ["Cancelled", "Questions"]


class Cancelled(DeepDupeError):
    """The person ended the questions; nothing was changed."""

    exit_code = 130  # as the shell says of Ctrl-C


class Questions:
    """Asks on standard error and reads standard input, so that the result can be piped. Owned by its caller."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell

    def say(self, text: str = "") -> None:
        self._shell.remark(text)

    def ask(self, question: str, *, default: str = "") -> str:
        """What was typed, or `default` for an empty line. Raises Cancelled at Ctrl-C and at the end of the input."""
        shown = f" [{default}]" if default else ""
        try:
            print(f"{question}{shown}: ", end="", file=self._shell.stderr, flush=True)
            line = self._shell.stdin.readline()
        except KeyboardInterrupt:
            line = ""
        if not line:
            self.say()
            raise Cancelled("cancelled, nothing was written")
        return line.strip() or default

    def choose(self, title: str, options: Sequence[str], *, what: str) -> int:
        """The index of the chosen option; the first one is the default."""
        self.say(f"\n--- {title} ---")
        for number, option in enumerate(options, 1):
            self.say(f"  [{number}] {option}{' [DEFAULT]' if number == 1 else ''}")
        while True:
            answer = self.ask(f"\nSelect {what} (1-{len(options)})", default="1")
            if answer.isdecimal() and 1 <= int(answer) <= len(options):
                return int(answer) - 1
            self.say(f"found {answer!r}; allowed: a number from 1 to {len(options)}")

    def until_fine(self, question: str, accept: Callable[[str], None], *, default: str = "") -> str:
        """Ask until `accept` does not raise DeepDupeError; what it raises is told."""
        while True:
            answer = self.ask(question, default=default)
            try:
                accept(answer)
            except DeepDupeError as error:
                self.say(error.what)
                continue
            return answer

    def confirm(self, question: str) -> bool:
        """Yes or no; no is the default."""
        return self.ask(f"{question} [y/N]").lower() in ("y", "yes")
