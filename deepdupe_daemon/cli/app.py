"""The commands, gathered."""

from __future__ import annotations

from typing import Annotated

import typer

from deepdupe_daemon.cli.bench import bench
from deepdupe_daemon.cli.calibrate import calibrate
from deepdupe_daemon.cli.check import check
from deepdupe_daemon.cli.config_commands import config_check, config_sample, config_schema, config_show
from deepdupe_daemon.cli.duplicates import duplicates
from deepdupe_daemon.cli.man_page import man
from deepdupe_daemon.cli.mark import not_duplicate
from deepdupe_daemon.cli.models_commands import models_fetch, models_list, models_verify
from deepdupe_daemon.cli.quarantine_add import quarantine_add
from deepdupe_daemon.cli.quarantine_list import quarantine_list
from deepdupe_daemon.cli.quarantine_purge import quarantine_purge
from deepdupe_daemon.cli.quarantine_restore import quarantine_restore
from deepdupe_daemon.cli.quarantine_resume import quarantine_resume
from deepdupe_daemon.cli.quarantine_verify import quarantine_verify
from deepdupe_daemon.cli.reindex import reindex
from deepdupe_daemon.cli.reload import reload
from deepdupe_daemon.cli.report import report
from deepdupe_daemon.cli.rescan import rescan
from deepdupe_daemon.cli.review import review
from deepdupe_daemon.cli.run import run
from deepdupe_daemon.cli.scan import scan
from deepdupe_daemon.cli.service_commands import service_install, service_uninstall
from deepdupe_daemon.cli.setup import setup
from deepdupe_daemon.cli.status import status
from deepdupe_daemon.cli.watch import watch
from deepdupe_daemon.cli.why import why

__all__ = ["build_app"]


def build_app() -> typer.Typer:
    """The Typer application. Its context object is a `Shell`."""
    # without rich markup `--help` does not import rich, which costs as much again as all the rest
    app = _group("Watches folders for new pictures, and tells which of them you already have.")
    app.callback(invoke_without_command=True)(_root)
    for command in (watch, scan, check, duplicates, why, status, rescan, reload, reindex, setup, run):
        app.command()(command)
    app.command()(calibrate)
    app.command()(bench)
    app.command()(report)
    app.command()(review)
    app.command(hidden=True)(man)
    config = _group("Check, show and explain the configuration.")
    config.command("check")(config_check)
    config.command("show")(config_show)
    config.command("schema")(config_schema)
    config.command("sample")(config_sample)
    app.add_typer(config, name="config")
    models = _group("The models to compare pictures with.")
    models.command("list")(models_list)
    models.command("fetch")(models_fetch)
    models.command("verify")(models_verify)
    app.add_typer(models, name="models")
    quarantine = _group("What was moved out of the way: list it, bring it back, delete it.")
    quarantine.command("list")(quarantine_list)
    quarantine.command("restore")(quarantine_restore)
    quarantine.command("add")(quarantine_add)
    quarantine.command("verify")(quarantine_verify)
    quarantine.command("purge")(quarantine_purge)
    quarantine.command("resume")(quarantine_resume)
    app.add_typer(quarantine, name="quarantine")
    service = _group("The systemd service.")
    service.command("install")(service_install)
    service.command("uninstall")(service_uninstall)
    app.add_typer(service, name="service")
    mark = _group("Remember what you know better.")
    mark.command("not-duplicate")(not_duplicate)
    app.add_typer(mark, name="mark")
    return app


def _group(text: str) -> typer.Typer:
    return typer.Typer(help=text, rich_markup_mode=None, pretty_exceptions_enable=False)


def _root(
    ctx: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the trace of an error.")] = False,
) -> None:
    """Watches folders for new pictures, and tells which of them you already have."""
    ctx.obj.debug = debug
    if version:
        from deepdupe_daemon import __version__

        ctx.obj.line(f"deepdupe-daemon {__version__}")
        raise typer.Exit
    if ctx.invoked_subcommand is None:
        ctx.obj.line(ctx.get_help())
        raise typer.Exit
