"""`review`: the duplicates as a page with actions, served to one browser of this machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deepdupe_daemon.cli.moment import since_ns
from deepdupe_daemon.cli.options import ConfigFile, StateDir
from deepdupe_daemon.cli.shell import Shell
from deepdupe_daemon.cli.verdict_classes import verdict_classes
from deepdupe_daemon.cli.whereabouts import find_config
from deepdupe_daemon.errors import ActionRefused, ConfigError

if TYPE_CHECKING:
    from collections.abc import Collection

    from deepdupe_daemon.config import Config
    from deepdupe_daemon.ledger import VerdictRow
    from deepdupe_daemon.model import VerdictClass
    from deepdupe_daemon.page import Group

__all__ = ["review"]


def review(
    ctx: typer.Context,
    port: Annotated[int, typer.Option(metavar="N", help="Port on 127.0.0.1; 0 takes a free one.")] = 0,
    unix: Annotated[
        Path | None, typer.Option("--socket", metavar="PATH", help="A Unix socket instead of a port.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar="WHEN", help="Only what was found since: 2h, 3d, 2026-03-01, ...")
    ] = None,
    verdicts: Annotated[
        list[str] | None,
        typer.Option("--verdict", metavar="CLASS", help="Only this verdict, such as re-encoded. Repeatable."),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Series and related pictures as well.")] = False,
    config: ConfigFile = None,
    state_dir: StateDir = None,
) -> None:
    """Look through the duplicates in a browser, and decide.

    Prints an address that only this machine answers, with a secret in it; whoever has it can act. Ctrl-C ends it.
    Each decision is carried out by the daemon, with the same proofs as its own.
    """
    if not 0 <= port <= 65535:
        raise ConfigError(f"found {port}; allowed: 0 to 65535", where="--port")
    from deepdupe_daemon.model import display_path
    from deepdupe_daemon.page.rack import Rack
    from deepdupe_daemon.page.server import Gate, page_app
    from deepdupe_daemon.page.serving import loopback_socket, serve, unix_socket

    shell: Shell = ctx.obj
    wanted = verdict_classes(verdicts or [], where="--verdict")
    found = find_config(config, state_dir, shell.environ)
    since_given = None if since is None else since_ns(since, now_ns=shell.clock.now_ns())
    told = wanted or (None if everything else found.alerts.classes)
    desk = _Desk(found, shell, told, since_given)
    desk.groups()  # a state dir that cannot be read is told here, not in the browser
    gate = Gate()
    bound = loopback_socket(port) if unix is None else unix_socket(unix)
    address = f"http://127.0.0.1:{bound.getsockname()[1]}" if unix is None else "http://localhost"
    if unix is not None:
        name = display_path(os.fsencode(os.path.abspath(unix)))
        shell.remark(f"listening on {name}; from another machine: ssh -L 8080:{name} HOST, then port 8080 of localhost")
    with Rack(found.decoder, shell.clock) as rack:
        app = page_app(gate, groups=desk.groups, rack=rack, act=desk.act, can=desk.can, made="deepdupe-daemon review")
        shell.line(f"{address}/{gate.token}/")
        serve(app, bound)


class _Desk:
    """What the page asks for. Any thread; each call has a ledger and a connection to the daemon of its own."""

    def __init__(
        self, config: Config, shell: Shell, classes: Collection[VerdictClass] | None, since_ns: int | None
    ) -> None:
        self._config = config
        self._shell = shell
        self._classes = classes
        self._since_ns = since_ns
        moves = any(root.action == "quarantine" for root in config.roots)
        self.can = (*(("accept",) if moves else ()), "not-duplicate", "restore", "keep")

    def groups(self) -> list[Group]:
        from deepdupe_daemon.ledger import Ledger
        from deepdupe_daemon.page import gathered

        with Ledger.open(self._config.state_dir, self._shell.clock, readonly=True) as ledger:
            return gathered(ledger, classes=self._classes, since_ns=self._since_ns)

    def act(self, action: str, label: str) -> str:
        """Carry it out through the daemon, or under the state's lock where none runs. Raises DeepDupeError."""
        row = self._verdict(label)
        carry_out = {
            "accept": self._accept,
            "not-duplicate": self._not_duplicate,
            "restore": self._restore,
            "keep": self._keep,
        }
        return carry_out[action](row)

    def _verdict(self, label: str) -> VerdictRow:
        from deepdupe_daemon.ledger import Ledger

        number = label.removeprefix("v")
        with Ledger.open(self._config.state_dir, self._shell.clock, readonly=True) as ledger:
            row = ledger.verdict(int(number)) if number.isascii() and number.isdecimal() and len(number) < 19 else None
        if row is None or not row.current:
            raise ActionRefused("this verdict no longer stands", kind="superseded", hint="load the page again")
        return row

    def _accept(self, row: VerdictRow) -> str:
        from deepdupe_daemon.service import open_quarantine_desk

        with open_quarantine_desk(self._config, self._shell.clock, lambda _record: None) as desk:
            ((_, state, reason),) = desk.add([row.verdict_id])["orders"]
        if state != "quarantined":
            raise ActionRefused(reason or f"not quarantined: {state}", kind=str(state))
        return "quarantined"

    def _restore(self, row: VerdictRow) -> str:
        from deepdupe_daemon.ledger import Ledger
        from deepdupe_daemon.service import open_quarantine_desk

        with Ledger.open(self._config.state_dir, self._shell.clock, readonly=True) as ledger:
            action = ledger.action_on(row.verdict_id)
        if action is None:
            raise ActionRefused("nothing was moved", kind="not-quarantined")
        with open_quarantine_desk(self._config, self._shell.clock, lambda _record: None) as desk:
            desk.restore(action.action_id, free_name=False)
        return "restored"

    def _keep(self, row: VerdictRow) -> str:
        from deepdupe_daemon.service import choose_keeper

        protected = [root.path_bytes + b"/" for root in self._config.roots if root.action == "protected"]
        kept, other = (
            any((path or b"").startswith(root) for root in protected) for path in (row.keeper_now, row.duplicate_now)
        )
        if kept and not other:
            hint = "a picture in a protected folder is always the one to keep"
            raise ActionRefused("the other one lies in a protected folder", kind="protected", hint=hint)
        choose_keeper(self._config, row.verdict_id, self._shell.clock)
        return "chosen; the group is judged again"

    def _not_duplicate(self, row: VerdictRow) -> str:
        from deepdupe_daemon.service import mark_pair

        mark_pair(self._config, row.verdict.duplicate_digest, row.verdict.keeper_digest, self._shell.clock)
        return "remembered"
