"""The quarantine, as the service and the command line use it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from deepdupe_daemon.act.inspection import Finding, inspect_action, inspect_unknown
from deepdupe_daemon.act.manifest import ManifestError, read_manifest
from deepdupe_daemon.act.moving import clear_action, move_in
from deepdupe_daemon.act.place import open_action, open_place
from deepdupe_daemon.act.planning import plan_action
from deepdupe_daemon.act.presence import refuse_where_away
from deepdupe_daemon.act.purging import prove_copies_stay, remove_files
from deepdupe_daemon.act.recovery import Recovered, recover_action
from deepdupe_daemon.act.refusal import explained, stopped, unfinished
from deepdupe_daemon.act.restoring import restore_files
from deepdupe_daemon.act.returning import Taken
from deepdupe_daemon.clock import Clock
from deepdupe_daemon.errors import ActionRefused
from deepdupe_daemon.ledger import ActionRow, ActionState, Intent, Ledger, VerdictRow

__all__ = ["Purged", "Quarantine", "Restored"]


@dataclass(frozen=True, slots=True)
class Restored:
    """`files`: (where it came from, where it is now) of each; `notes`: what a person should know of it."""

    action: ActionRow | None
    files: tuple[tuple[bytes, bytes], ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Purged:
    """What was removed for ever: where each file came from, and how many bytes that freed."""

    action: ActionRow
    files: tuple[bytes, ...]
    freed_bytes: int


class Quarantine:
    """Moves files into quarantine and back. Owned by the thread that owns `ledger`; starts none and logs nothing.

    Whatever kills the process, and whenever: each file is whole in its place or in quarantine, and `recover` ends what
    was under way. Methods raise ActionRefused where nothing was changed, ActionUnfinished where recovery must go on,
    and StateError where the ledger cannot be used.
    """

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock

    def plan(self, verdicts: Sequence[VerdictRow], *, place: bytes, companions: Sequence[bytes] = ()) -> Intent:
        """What moving the duplicates of `verdicts` into the folder `place` would be. Writes nothing.

        `verdicts`: one for each picture of the bundle, the one that is acted on first. `companions`: the bundle's other
        files, which move along without a copy that stays.
        """
        return plan_action(self._ledger, verdicts, place=place, companions=companions, now_ns=self._clock.now_ns())

    def carry_out(self, intent: Intent) -> ActionRow:
        """Intent, proof, manifest, move, and the ledger's word that it is done."""
        row = self._ledger.record_intent(intent)
        try:
            move_in(row, self._clock.now_ns())
        except ActionRefused as refused:
            self._ledger.abandon(row.action_id, refused.kind, refused.what)
            raise
        except OSError as error:
            raise stopped(error, row.first.file.path) from error
        return self._ledger.mark_moved(row.action_id)

    def recover(self) -> list[Recovered]:
        """Finish or take back every action that is under way: at start, and when a root is back."""
        return [recover_action(self._ledger, row) for row in self._ledger.open_actions()]

    def restore(self, action_id: int, *, taken: Taken = Taken.REFUSE) -> Restored:
        """Bring an action's files back. From then on they are nobody's duplicates."""
        row = self._resting(action_id, ActionState.RESTORING)
        begun_before = row.state is ActionState.RESTORING
        try:
            with explained(row.intent.place), ExitStack() as stack:
                place_fd = stack.enter_context(open_place(row.intent.place))
                folder_fd = stack.enter_context(open_action(place_fd, row.intent.token, row.intent.place))
                refuse_where_away(row.intent)
                try:
                    metadata = read_manifest(folder_fd, row.intent.place).metadata_for(row.intent)
                except (FileNotFoundError, ManifestError):
                    metadata = None
                back = restore_files(
                    row.intent,
                    metadata,
                    folder_fd,
                    taken,
                    lambda targets: self._begin_restore(action_id, targets),
                )
                with unfinished(row.first.file.path):
                    clear_action(place_fd, row.intent.token, folder_fd)
        except ActionRefused:
            now = self._ledger.action(action_id)
            if not begun_before and now is not None and now.state is ActionState.RESTORING:
                self._ledger.keep_quarantined(action_id)
            raise
        inodes = {t: ino for t, ino in zip(back.targets, back.inodes, strict=True) if ino is not None}
        notes = back.notes if metadata else ("without its manifest: owner, mode and times are as they were found",)
        done = self._ledger.mark_restored(action_id, inodes)
        origins = [member.file.path for member in row.intent.files]
        return Restored(done, tuple(zip(origins, back.targets, strict=True)), notes)

    def purge(self, action_id: int, *, last_copy_too: bool = False) -> Purged:
        """Remove an action's files for ever; refused where it may be the last copy, but for `last_copy_too`."""
        row = self._resting(action_id, ActionState.PURGING)
        if not last_copy_too:
            prove_copies_stay(self._ledger, row)
        with explained(row.intent.place), ExitStack() as stack:
            place_fd = stack.enter_context(open_place(row.intent.place))
            folder_fd = stack.enter_context(open_action(place_fd, row.intent.token, row.intent.place))
            self._ledger.begin_purge(action_id)
            with unfinished(row.first.file.path):
                freed_bytes = remove_files(row.intent, place_fd, folder_fd)
        done = self._ledger.mark_purged(action_id)
        return Purged(done, tuple(member.file.path for member in row.intent.files), freed_bytes)

    def verify(self, action_ids: Iterable[int] | None = None, *, places: Iterable[bytes] = ()) -> Iterator[Finding]:
        """Hold quarantine, manifests and ledger against each other, every byte read; changes nothing.

        Without ids: all that rests in quarantine or is under way, and then what lies in `places`, and in those that
        the ledger names, and is not known.
        """
        if action_ids is not None:
            for action_id in action_ids:
                yield from inspect_action(self._resting(action_id, *ActionState))
            return
        looked_in, known = set(places), set[str]()
        for row in self._ledger.actions():
            looked_in.add(row.intent.place)
            if row.state.open or row.state is ActionState.QUARANTINED:
                known.add(row.intent.token)
                yield from inspect_action(row)
        for place in sorted(looked_in):
            yield from inspect_unknown(place, known)

    def _begin_restore(self, action_id: int, targets: Sequence[bytes]) -> None:
        self._ledger.begin_restore(action_id, targets)

    def _resting(self, action_id: int, *also: ActionState) -> ActionRow:
        row = self._ledger.action(action_id)
        if row is None:
            raise ActionRefused(f"there is no action q{action_id}", kind="not-quarantined")
        if row.state not in (ActionState.QUARANTINED, *also):
            raise ActionRefused(f"{row.label} is {row.state}", kind="not-quarantined")
        return row
