"""The process: wires the rooms, supervises their threads, speaks to systemd, the journal and the control socket.

The room promises that a thread never dies unheard, that a stop ends in bounded time and loses nothing, and that the
control socket never holds up the pipeline. The rooms meet in `pipeline`, nowhere else.

Each public name is loaded from its submodule when it is first asked for (PEP 562), so that `--help` imports no model,
no database and no watcher.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepdupe_daemon.face import on_first_use

if TYPE_CHECKING:
    from deepdupe_daemon.service.bundling import bundle_on_disk
    from deepdupe_daemon.service.checking import CheckMatch, CheckResult
    from deepdupe_daemon.service.control_client import ControlClient, socket_path
    from deepdupe_daemon.service.explaining import Explanation, explain, met_images
    from deepdupe_daemon.service.marking import choose_keeper, mark_pair
    from deepdupe_daemon.service.offline_check import check_offline
    from deepdupe_daemon.service.progress import Progress
    from deepdupe_daemon.service.quarantine_desk import QuarantineDesk, open_quarantine_desk
    from deepdupe_daemon.service.quarantine_status import quarantine_numbers
    from deepdupe_daemon.service.reindexing import ReindexResult, drop_old_spaces, reindex
    from deepdupe_daemon.service.running import ScanResult, run_daemon, run_scan
    from deepdupe_daemon.service.viewing import Viewer, viewer

_HOMES = {
    "CheckMatch": "checking",
    "CheckResult": "checking",
    "ControlClient": "control_client",
    "Explanation": "explaining",
    "Viewer": "viewing",
    "bundle_on_disk": "bundling",
    "explain": "explaining",
    "met_images": "explaining",
    "viewer": "viewing",
    "Progress": "progress",
    "QuarantineDesk": "quarantine_desk",
    "ReindexResult": "reindexing",
    "ScanResult": "running",
    "choose_keeper": "marking",
    "check_offline": "offline_check",
    "drop_old_spaces": "reindexing",
    "mark_pair": "marking",
    "open_quarantine_desk": "quarantine_desk",
    "quarantine_numbers": "quarantine_status",
    "reindex": "reindexing",
    "run_daemon": "running",
    "run_scan": "running",
    "socket_path": "control_client",
}

__all__ = [
    "CheckMatch",
    "CheckResult",
    "ControlClient",
    "Explanation",
    "Progress",
    "QuarantineDesk",
    "ReindexResult",
    "ScanResult",
    "Viewer",
    "bundle_on_disk",
    "check_offline",
    "choose_keeper",
    "drop_old_spaces",
    "explain",
    "mark_pair",
    "met_images",
    "open_quarantine_desk",
    "quarantine_numbers",
    "reindex",
    "run_daemon",
    "run_scan",
    "socket_path",
    "viewer",
]

__getattr__ = on_first_use(__name__, _HOMES)
