"""What the control socket answers."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError, Future
from dataclasses import asdict, is_dataclass
from typing import Any

import deepdupe_daemon
from deepdupe_daemon.errors import ConfigError, ControlError
from deepdupe_daemon.service.control import Operation
from deepdupe_daemon.service.gauge import Gauge
from deepdupe_daemon.service.marking import mark_operations
from deepdupe_daemon.service.pipeline import Pipeline
from deepdupe_daemon.service.protocol import decode_path
from deepdupe_daemon.service.quarantine_desk import desk_operations
from deepdupe_daemon.service.quarantine_status import quarantine_numbers
from deepdupe_daemon.service.reloading import Reload
from deepdupe_daemon.service.viewing import answer_view

__all__ = ["operations"]

#: files that one `check` request may name
MOST_CHECKED = 1000

#: how long an asker waits for a reload; it goes on without one
RELOAD_PATIENCE_S = 60.0


def operations(pipeline: Pipeline, gauge: Gauge, reload: Callable[[], Future[Reload]] | None) -> dict[str, Operation]:
    """The operations of a running pipeline, by name. `reload`: None where there is no file to read again."""

    def status(_request: Mapping[str, Any]) -> dict[str, Any]:
        # one question: under load each would wait for the desk's thread anew
        counts, (live, backfill), spare, quarantine = pipeline.desk.ask(
            lambda ledger: (
                ledger.counts(),
                ledger.pending_counts(),
                list(ledger.spare_spaces()),
                quarantine_numbers(ledger),
            )
        )
        return {
            "pid": os.getpid(),
            "version": deepdupe_daemon.__version__,
            "state_dir": str(pipeline.config.state_dir),
            "roots": [str(root.path) for root in pipeline.config.roots],
            "progress": asdict(gauge.latest()),
            "files": {str(state): count for state, count in counts.items()},
            "pending": {"live": live, "backfill": backfill},
            "in_flight": pipeline.feeder.in_flight if pipeline.judging_ready.is_set() else 0,
            "intake": _plain(pipeline.intake.status()),
            "decoder": _plain(pipeline.pool.status()) if pipeline.pool is not None else None,
            "forward": _plain(pipeline.forward.status()),
            "spaces": pipeline.spaces(),
            "spare_spaces": _plain(spare),
            "chroma": _plain(pipeline.store.status()),
            "alerts": pipeline.alerter.told,
            "quarantine": quarantine,
        }

    def check(request: Mapping[str, Any]) -> dict[str, Any]:
        given = request.get("paths_b64")
        if not isinstance(given, list) or not 0 < len(given) <= MOST_CHECKED:
            raise ControlError(f"name between 1 and {MOST_CHECKED} files")
        if not pipeline.judging_ready.is_set():
            raise ControlError("the daemon is still loading its models", hint="ask again in a moment")
        return {"results": [each.to_dict() for each in pipeline.live_check.check([decode_path(p) for p in given])]}

    def rescan(request: Mapping[str, Any]) -> dict[str, Any]:
        root = request.get("root_b64")
        pipeline.intake.rescan(None if root is None else decode_path(root))
        return {}

    def reread(_request: Mapping[str, Any]) -> dict[str, Any]:
        if reload is None:
            raise ControlError("this daemon runs without a configuration file", hint="stop it and start it anew")
        try:
            done = reload().result(RELOAD_PATIENCE_S)
        except ConfigError as wrong:
            return {"refused": wrong.what, "hint": wrong.hint}
        except (TimeoutError, CancelledError) as late:
            raise ControlError("the daemon is busy or stopping", hint="its journal says how the reload went") from late
        return {"changed": list(done.changed), "needs_restart": list(done.needs_restart), "text": done.text}

    def view(request: Mapping[str, Any]) -> dict[str, Any]:
        if pipeline.pool is None:
            raise ControlError("the daemon is still loading its models", hint="ask again in a moment")
        return answer_view(pipeline.pool, request)

    def judge(_request: Mapping[str, Any]) -> dict[str, Any]:
        pipeline.inbox.poke()
        return {}

    asked = {"status": status, "check": check, "rescan": rescan, "reload": reread, "view": view, "judge": judge}
    marked = mark_operations(pipeline.desk.ask, pipeline.inbox.poke, pipeline.choose_keeper)
    return {**asked, **marked, **desk_operations(pipeline.carrying.ask)}


def _plain(value: object) -> Any:
    """`value` as JSON can hold it: dataclasses as objects, bytes as escaped text."""
    if is_dataclass(value) and not isinstance(value, type):
        return {key: _plain(each) for key, each in asdict(value).items()}
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, Mapping):
        return {str(_plain(key)): _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(each) for each in value]
    return value if isinstance(value, (str, int, float, bool)) or value is None else str(value)
