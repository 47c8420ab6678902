"""`service install` and `service uninstall`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deepdupe_daemon.cli.shell import Shell
from deepdupe_daemon.errors import ConfigError, StateError

if TYPE_CHECKING:
    from deepdupe_daemon.service.installing.step import Step
    from deepdupe_daemon.service.installing.target import Target

__all__ = ["service_install", "service_uninstall"]

_ForMe = Annotated[bool, typer.Option("--user", help="A service of your own, instead of one for the machine.")]
_Prefix = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Where the program goes. Default: /opt/deepdupe-daemon, or your data folder."),
]
_DryRun = Annotated[bool, typer.Option("--dry-run", help="Print what would be done, and do nothing.")]


def service_install(
    ctx: typer.Context,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", metavar="FILE", help="The configuration of the service.")
    ] = None,
    user: _ForMe = False,
    enable: Annotated[bool, typer.Option("--enable", help="Start it now, and at each boot.")] = False,
    run_as: Annotated[
        str | None,
        typer.Option("--run-as", metavar="USER", help="The user that may read the folders. Default: deepdupe."),
    ] = None,
    in_place: Annotated[
        bool, typer.Option("--in-place", help="Use this installation where it is, instead of a copy.")
    ] = False,
    prefix: _Prefix = None,
    dry_run: _DryRun = False,
) -> None:
    """Install the systemd service: program, units, and an opening for exactly the watched folders.

    The program is copied with all that it needs, so that the service depends on no home and no checkout. Run it again
    after an upgrade, or when the watched folders change. /etc/deepdupe-daemon/NAME.yaml is served by an instance of its
    own, deepdupe-daemon@NAME.
    """
    from deepdupe_daemon.config import load_config
    from deepdupe_daemon.service.installing.installation import Wish, installation

    shell: Shell = ctx.obj
    target = _target(shell, prefix, user=user, dry_run=dry_run)
    source = Path(os.path.abspath(config or target.config))
    target = target.serving(source)
    # who only wants to see what would be done need not be able to write the state dir
    wish = Wish(load_config(source, look_at_disk=not dry_run), source, enable=enable, in_place=in_place, run_as=run_as)
    _carry_out(installation(target, wish), shell, dry_run=dry_run)
    if not dry_run:
        systemctl = " ".join(target.systemctl)
        shell.line(f"next: {systemctl} {'status' if enable else 'enable --now'} {target.unit.removesuffix('.service')}")


def service_uninstall(
    ctx: typer.Context, user: _ForMe = False, prefix: _Prefix = None, dry_run: _DryRun = False
) -> None:
    """Stop the service and remove what `service install` put in place. State and configuration stay."""
    from deepdupe_daemon.service.installing.installation import removal

    shell: Shell = ctx.obj
    target = _target(shell, prefix, user=user, dry_run=dry_run)
    _carry_out(removal(target), shell, dry_run=dry_run)
    if not dry_run:
        shell.line(f"kept: {target.config}, and the folder that its `state_dir` names")


def _target(shell: Shell, prefix: Path | None, *, user: bool, dry_run: bool) -> Target:
    from deepdupe_daemon.service.installing.target import Target

    if not dry_run and not user and os.geteuid() != 0:
        raise ConfigError("only root can do this", hint="sudo; or --user for a service of your own; --dry-run shows it")
    where = Path(os.path.abspath(prefix)) if prefix is not None else None
    return Target.person(shell.environ, where) if user else Target.system(where)


def _carry_out(steps: Sequence[Step], shell: Shell, *, dry_run: bool) -> None:
    for step in steps:
        shell.line(f"would {step.text}" if dry_run else step.text)
        if dry_run:
            continue
        try:
            step.do()
        except StateError as error:
            if not step.may_fail:
                raise
            shell.remark(f"  not done: {error}")
