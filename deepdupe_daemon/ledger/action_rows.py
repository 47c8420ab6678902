"""Actions as rows: which files moved together, why, and where they stand. All frozen, so any thread may keep them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from deepdupe_daemon.model import FileIdentity, VerdictClass

__all__ = ["ActionFile", "ActionRow", "ActionState", "Intent", "Party"]


class ActionState(StrEnum):
    """Where an action stands. Stored in the ledger; the words are an interface."""

    INTENDED = "intended"  # every file lies in its place, or in quarantine, or between: recovery decides
    QUARANTINED = "quarantined"  # every file lies in quarantine
    ABANDONED = "abandoned"  # refused or rolled back: every file lies in its place
    RESTORING = "restoring"  # on the way back: recovery goes on
    RESTORED = "restored"
    PURGING = "purging"  # a person had it removed for ever: recovery goes on
    PURGED = "purged"

    @property
    def open(self) -> bool:
        """Whether recovery has something to do."""
        return self in (ActionState.INTENDED, ActionState.RESTORING, ActionState.PURGING)


@dataclass(frozen=True, slots=True)
class Party:
    """A file that an action names, as it was when the action was planned. `digest`: SHA-256 of its bytes."""

    path: bytes
    root: bytes
    identity: FileIdentity
    digest: bytes


@dataclass(frozen=True, slots=True)
class ActionFile:
    """One member of an action's bundle.

    `keeper`: the copy that stays; None for a companion (a sidecar, a movie), which moves with its picture and is no
    copy of anything. `stored`: its name beside the manifest. `target`: where it is, or is being, restored to.
    """

    file: Party
    keeper: Party | None
    stored: bytes
    target: bytes | None = None


@dataclass(frozen=True, slots=True)
class Intent:
    """What is to move, into which folder, and on what evidence (JSON-safe). The first file is the one judged."""

    token: str  # names the action's folder, and is unique over daemons
    verdict_id: int
    verdict_class: VerdictClass
    evidence: Mapping[str, Any]
    place: bytes  # the quarantine folder, absolute
    files: tuple[ActionFile, ...]

    def __post_init__(self) -> None:
        if not self.files or self.files[0].keeper is None:
            raise ValueError("an action begins with the file that was judged, and its keeper")


@dataclass(frozen=True, slots=True)
class ActionRow:
    """An action with its place in history."""

    action_id: int
    state: ActionState
    intent: Intent
    intended_at_ns: int
    moved_at_ns: int | None  # when it came to rest in quarantine
    changed_at_ns: int  # when it entered its present state
    told_at_ns: int | None  # when its last coming to rest (quarantined, restored) was told
    kind: str | None  # of the refusal, where it was abandoned
    reason: str | None

    @property
    def label(self) -> str:
        """`q42`: how people and journal fields name this action."""
        return f"q{self.action_id}"

    @property
    def first(self) -> ActionFile:
        """The file that was judged."""
        return self.intent.files[0]
