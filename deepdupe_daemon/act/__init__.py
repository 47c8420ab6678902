"""Carried out: what is said of a judgement, and what is done.

This room turns verdicts and notices into `Record`s: one message that reads well alone, with the fields of the journal
beside it. It promises that every field is bytes that a file name cannot forge, that `message` holds no control
character, and that one kind of record keeps one MESSAGE_ID for ever.

It moves duplicates into quarantine and back (`Quarantine`). It promises that whatever is killed when, each file is
whole in one of its two places; that nothing is overwritten, and nothing deleted but at a person's word; that no
symbolic link is followed below a root; that the copy to keep was there, byte for byte, when its duplicate moved; and
that what comes back is what went. What concerns quarantine loads on first use.
"""

from typing import TYPE_CHECKING

from deepdupe_daemon.act.alert import alert_record
from deepdupe_daemon.act.breaker import BreakerState, trip
from deepdupe_daemon.act.decision import Switch, wanted
from deepdupe_daemon.act.kinds import Kind, Priority
from deepdupe_daemon.act.quarantine_records import (
    breaker_record,
    postponed_record,
    purged_record,
    quarantine_failed_record,
    quarantined_record,
    restored_record,
)
from deepdupe_daemon.act.record import Record
from deepdupe_daemon.act.report import failure_record, notice_record
from deepdupe_daemon.face import on_first_use

if TYPE_CHECKING:
    from deepdupe_daemon.act.by_manifest import restore_by_manifest
    from deepdupe_daemon.act.inspection import Finding, Problem, manifests_in
    from deepdupe_daemon.act.manifest import Manifest, ManifestError
    from deepdupe_daemon.act.place import quarantine_folder
    from deepdupe_daemon.act.quarantine import Purged, Quarantine, Restored
    from deepdupe_daemon.act.recovery import Outcome, Recovered
    from deepdupe_daemon.act.returning import Taken

__all__ = [
    "BreakerState",
    "Finding",
    "Kind",
    "Manifest",
    "ManifestError",
    "Outcome",
    "Priority",
    "Problem",
    "Purged",
    "Quarantine",
    "Record",
    "Recovered",
    "Restored",
    "Switch",
    "Taken",
    "alert_record",
    "breaker_record",
    "failure_record",
    "manifests_in",
    "notice_record",
    "postponed_record",
    "purged_record",
    "quarantine_failed_record",
    "quarantine_folder",
    "quarantined_record",
    "restore_by_manifest",
    "restored_record",
    "trip",
    "wanted",
]

_HOMES = {
    "Finding": "inspection",
    "Manifest": "manifest",
    "ManifestError": "manifest",
    "Outcome": "recovery",
    "Problem": "inspection",
    "Purged": "quarantine",
    "Quarantine": "quarantine",
    "Recovered": "recovery",
    "Restored": "quarantine",
    "Taken": "returning",
    "manifests_in": "inspection",
    "quarantine_folder": "place",
    "restore_by_manifest": "by_manifest",
}

__getattr__ = on_first_use(__name__, _HOMES)
