"""The status for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from deepdupe_daemon.cli.builds import build_texts
from deepdupe_daemon.cli.moment import duration_text, local_moment

__all__ = ["status_lines"]


def status_lines(report: Mapping[str, Any]) -> Iterator[str]:
    """The lines for what `status --json` prints."""
    if report["running"]:
        yield f"running (pid {report['pid']}, version {report['version']}): {report['progress']['text']}"
        remaining_s = report["progress"]["remaining_s"]
        if remaining_s:
            yield _row("time left", duration_text(remaining_s))
    else:
        yield "not running; what it knows:"
    yield _row("state dir", report["state_dir"])
    for root in report["roots"]:
        yield _row("folder", root)
    yield _row("models", ", ".join(report["models"]))
    files = report["files"]
    counts = [f"{files[state]:,} {state}" for state in ("indexed", "ignored", "failed", "gone") if files.get(state)]
    waiting = files.get("pending", 0) + files.get("seen", 0)
    if waiting or not counts:
        counts.insert(0, f"{waiting:,} waiting")
    yield _row("files", ", ".join(counts))
    if report["images"] is not None:  # the ledger could be read
        yield _row("images", f"{report['images']:,} different ones")
        yield _row("duplicates", f"{report['duplicates']:,}")
        yield from _quarantine(report["quarantine"])
    serving = report.get("spaces") or {}
    for space, behind in report["chroma_behind"].items():
        serves = serving.get(space, {})
        searched = f", searched as {serves['searched']}" if serves.get("rows") else ""
        stored = f"Chroma is {behind:,} rows behind" if behind else "all of it in Chroma"
        yield _row("space", f"{space}, {stored}{searched}")
    for space, text in report["calibrated"].items():
        yield _row("threshold", f"{space} {text}")
    for text in build_texts(report["reindex"]):
        yield _row("reindex", text)
    if report["running"]:
        yield from _trouble(report)


def _quarantine(quarantine: Mapping[str, Any]) -> Iterator[str]:
    """Nothing where nothing ever was quarantined, nor is to be."""
    resting, waiting, breaker = (
        quarantine["actions"].get("quarantined", 0),
        quarantine["waiting"],
        quarantine["breaker"],
    )
    if quarantine["actions"] or waiting:
        yield _row("quarantine", f"{resting:,} there" + (f", {waiting:,} to be moved" if waiting else ""))
    if breaker is not None:
        yield _row("stopped", f"quarantining, {local_moment(breaker['opened_at_ns'])}: {breaker['reason']}")
        yield _row("", "`deepdupe-daemon quarantine resume` lets it go on")


def _trouble(report: Mapping[str, Any]) -> Iterator[str]:
    """What a person may have to do something about."""
    intake = report.get("intake") or {}
    for root in intake.get("offline") or ():
        yield _row("away", f"{root}: what is known of it is kept until it is back")
    if intake.get("events_lost"):
        yield _row("events lost", f"{intake['events_lost']:,} times, each made good by a walk")
    if intake.get("error"):
        yield _row("trouble", intake["error"])


def _row(name: str, text: str) -> str:
    return f"  {name:<12}{text}"
