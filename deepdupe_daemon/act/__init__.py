"""Carried out: what is said of a judgement.

This room turns verdicts and notices into `Record`s: one message that reads well alone, with the fields of the journal
beside it. It promises that every field is bytes that a file name cannot forge, that `message` holds no control
character, and that one kind of record keeps one MESSAGE_ID for ever. It moves no file: this version only observes.
"""

from deepdupe_daemon.act.alert import alert_record
from deepdupe_daemon.act.breaker import BreakerState, trip
from deepdupe_daemon.act.decision import Switch, wanted
from deepdupe_daemon.act.kinds import Kind, Priority
from deepdupe_daemon.act.quarantine_records import (
    breaker_record,
    purged_record,
    quarantine_failed_record,
    quarantined_record,
    restored_record,
)
from deepdupe_daemon.act.record import Record
from deepdupe_daemon.act.report import failure_record, notice_record

__all__ = [
    "BreakerState",
    "Kind",
    "Priority",
    "Record",
    "Switch",
    "alert_record",
    "breaker_record",
    "failure_record",
    "notice_record",
    "purged_record",
    "quarantine_failed_record",
    "quarantined_record",
    "restored_record",
    "trip",
    "wanted",
]
