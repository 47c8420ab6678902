"""Arrives and settles: from the file systems to the ledger.

This room promises that every regular file that rests in a watched root, and that the filter admits, reaches the ledger
once it has settled, and that what is gone leaves it. Events are hints; walks held against the ledger are the truth: at
start, for every directory that appears, after any loss of events, at intervals and on request. It never follows a
symbolic link, never opens a file, and never takes an unreadable or unmounted place for a removal.

It refuses to guess: a file that still changes waits, a directory that cannot be listed keeps its rows and is told of,
and a kernel that cannot watch everything is said so, with the setting that helps.

What it hears of only by walks: a write through another hard link of a file, truncate(2) by name, and whatever others do
on a network file system, which is therefore walked often.

Who owns what: each lane (`lane.py`) is a thread with its own ledger connection and owns its roots, watches, settling
files and walks; watchdog's reader threads only put events into a lane's inbox. Names load on first use, because
importing watchdog and the ledger takes time that `--help` has not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepdupe_daemon.face import on_first_use

if TYPE_CHECKING:
    from deepdupe_daemon.intake.intake import Intake
    from deepdupe_daemon.intake.notice import Notice, NoticeKind
    from deepdupe_daemon.intake.root import Strategy
    from deepdupe_daemon.intake.status import IntakeStatus

__all__ = ["Intake", "IntakeStatus", "Notice", "NoticeKind", "Strategy"]

_HOMES = {
    "Intake": "intake",
    "IntakeStatus": "status",
    "Notice": "notice",
    "NoticeKind": "notice",
    "Strategy": "root",
}

__getattr__ = on_first_use(__name__, _HOMES)
