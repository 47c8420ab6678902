"""One lane from a start to a stop or a failure: the turn of its wheel."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence

from deepdupe_daemon.clock import Clock
from deepdupe_daemon.config import IntakeConfig
from deepdupe_daemon.intake.arming import Arming
from deepdupe_daemon.intake.deliveries import Deliveries
from deepdupe_daemon.intake.departures import Departures
from deepdupe_daemon.intake.hearing import Hearing
from deepdupe_daemon.intake.job import WalkJob, WalkReason
from deepdupe_daemon.intake.limits import limit_text, out_of_watches
from deepdupe_daemon.intake.lookup import Lookup
from deepdupe_daemon.intake.mounts import MountTable, MountWatch
from deepdupe_daemon.intake.notice import Notice, NoticeKind
from deepdupe_daemon.intake.outage import EMPTY, go_offline
from deepdupe_daemon.intake.parts import Parts
from deepdupe_daemon.intake.root import Root, glance
from deepdupe_daemon.intake.router import Router
from deepdupe_daemon.intake.settle import Settling
from deepdupe_daemon.intake.status import IntakeStatus
from deepdupe_daemon.intake.walks import Walks
from deepdupe_daemon.ledger import Ledger
from deepdupe_daemon.model import display_path

__all__ = ["Shift"]

#: events handled, files offered and time walked in one turn, so that each gets its share
_TURN_EVENTS = 2000
_TURN_FILES = 1000
_TURN_WALK_S = 0.02
#: a walk for lost events waits this long, doubling while events go on being lost
_FIRST_LOSS_GAP_S, _LAST_LOSS_GAP_S = 1.0, 60.0
#: how long names that went wait for new directories to be walked, at most
_DEPARTURE_PATIENCE_S = 60.0
#: files that cannot be looked at are told of this often at most
_TROUBLES_S = 60.0


class Shift:
    """Owned by the lane's thread. `turn` does what is to be done and says how long there is nothing more to do."""

    def __init__(
        self,
        roots: Sequence[Root],
        settings: IntakeConfig,
        clock: Clock,
        ledger: Ledger,
        on_pending: Callable[[], None],
        tell: Callable[[Notice], None],
        *,
        wake: threading.Event,
        watch: bool,
        canary_dir: bytes | None,
        check_s: float,
        before: IntakeStatus,
        restarted: bool,
    ) -> None:
        self._before = before
        self._clock = clock
        self._wake = wake
        self._watch = watch
        self._canary_dir = canary_dir
        self._check_s = check_s
        self._canary_told = False
        self._hearing: Hearing | None = None
        self._router: Router | None = None
        self._mount_watch = MountWatch()
        lookup = Lookup()
        self._parts = Parts(
            roots=tuple(roots),
            settings=settings,
            clock=clock,
            ledger=ledger,
            lookup=lookup,
            settling=Settling(settings.settle_s, settings.close_settle_s, lstat=lookup.lstat),
            deliveries=Deliveries(ledger, on_pending),
            watches=None,
            mounts=MountTable([]),
            tell=tell,
        )
        self._walks = Walks(self._parts, self._walked)
        self._departures = Departures(self._parts)
        self._departing = False
        self._turns = self._events = self._whole_walks = self._losses = 0
        self._unarmed = self._unheard = 0
        self._loss_gap_s = _FIRST_LOSS_GAP_S
        self._loss_due_s: float | None = None
        self._next_check_s = 0.0
        self._next_troubles_s = 0.0
        self._first_walks_ended_s: float | None = None
        self._first_walk_done = before.first_walk_done
        self._error = before.error
        try:
            self._read_mounts()
            self._hear(WalkReason.LOSS if restarted else WalkReason.START)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._walks.close()
        self._mount_watch.close()
        if self._hearing is not None:
            self._hearing.close()

    def turn(self) -> float:
        """One round; gives the seconds until there is something to do again, 0 when there is already."""
        self._turns += 1
        now_s = self._clock.monotonic_s()
        self._listen(now_s)
        parts = self._parts
        parts.deliveries.add(parts.settling.settled(now_s, _TURN_FILES))
        parts.deliveries.flush()
        self._let_depart(now_s)
        if now_s >= self._next_check_s:
            self._next_check_s = now_s + self._check_s
            self._check(now_s)
        self._walk_on(now_s + _TURN_WALK_S)
        parts.deliveries.flush()
        self._note_first_walks(now_s)
        return self._idle_s()

    def rescan(self, path: bytes | None) -> None:
        """Walk the root at `path`, or all."""
        for root in self._parts.roots:
            if path is None or path == root.path:
                self._walks.root(root, WalkReason.ASKED)

    def status(self) -> IntakeStatus:
        parts, before = self._parts, self._before
        return IntakeStatus(
            armed=self._unarmed == 0,
            walking=not self._walks.idle,
            first_walk_done=self._first_walk_done,
            settling=len(parts.settling) + len(parts.deliveries),
            walks=before.walks + self._whole_walks,
            events=before.events + self._events,
            events_lost=before.events_lost + self._losses,
            found_files=before.found_files + parts.deliveries.found_files,
            gone_files=before.gone_files + parts.deliveries.gone_files,
            watched_directories=len(parts.watches) if parts.watches is not None else 0,
            offline=tuple(root.path for root in parts.roots if root.offline is not None),
            withheld=sum(root.withheld for root in parts.roots),
            error=self._error,
            unheard=self._unheard,
            turns=before.turns + self._turns,
        )

    # what the kernel says

    def _hear(self, reason: WalkReason) -> None:
        """Listen anew, watch every directory, then walk every root."""
        if self._watch:
            if self._hearing is not None:
                self._hearing.close()
                self._hearing = self._parts.watches = self._router = None
            try:
                self._hearing = Hearing(self._wake, self._canary_dir, self._clock.monotonic_s())
            except OSError as error:
                if not out_of_watches(error):
                    raise
                self._cannot_hear(error)
            else:
                self._parts.watches = self._hearing.watches
                self._router = Router(self._parts, self._hearing.watches, self._departures, self._walks)
        for root in self._parts.roots:
            if self._parts.watches is not None:
                self._unarmed += 1
                self._walks.errand(self._arm(root))
        for root in self._parts.roots:
            self._walks.root(root, reason)

    def _cannot_hear(self, error: OSError) -> None:
        for root in self._parts.roots:
            if root.watch and not root.short_of_watches:
                root.short_of_watches = True
                text = limit_text(root.shown, error, watched=0, directories=1, every_s=root.pace.polling_s)
                self._parts.tell(Notice(NoticeKind.WATCH_LIMIT, text, root.path))

    def _arm(self, root: Root) -> Iterator[None]:
        yield from Arming(self._parts, root).steps()
        self._unarmed -= 1

    def _listen(self, now_s: float) -> None:
        hearing, router = self._hearing, self._router
        if hearing is None or router is None:
            return
        lost = hearing.lost(now_s)
        if lost is not None:
            self._lost(lost, now_s)
        if hearing.answered:
            self._unheard = 0
        for event in hearing.inbox.take(_TURN_EVENTS):
            self._unheard = 0
            hearing.heard(now_s)
            router.handle(event, now_s)
            self._events += 1
        if router.top_changed:
            router.top_changed = False
            self._next_check_s = now_s
        if self._loss_due_s is not None and now_s >= self._loss_due_s:
            self._loss_due_s = None
            self._hear(WalkReason.LOSS)

    def _lost(self, why: str, now_s: float) -> None:
        """Events were lost. What is watched is not certain any more, so we listen anew, a little later, and walk."""
        if self._loss_due_s is not None:
            return
        self._losses += 1
        self._unheard += self._hearing is not None and self._hearing.deaf
        again = any(self._walks.waits_for_loss(root) for root in self._parts.roots)
        self._loss_gap_s = min(2 * self._loss_gap_s, _LAST_LOSS_GAP_S) if again else _FIRST_LOSS_GAP_S
        self._loss_due_s = now_s + self._loss_gap_s
        if not again:
            self._parts.tell(Notice(NoticeKind.EVENTS_LOST, f"events were lost: {why}; all folders are walked now"))

    # what goes

    def _let_depart(self, now_s: float) -> None:
        due_s = self._departures.next_due_s()
        if due_s is None or due_s > now_s or self._departing:
            return
        if not self._walks.looking or now_s > due_s + _DEPARTURE_PATIENCE_S:
            self._departing = True
            self._walks.errand(self._depart(now_s))

    def _depart(self, now_s: float) -> Iterator[None]:
        yield from self._departures.steps(now_s)
        self._departing = False

    # what walks

    def _walk_on(self, until_s: float) -> None:
        while self._walks.step(self._clock.monotonic_s()):
            if self._clock.monotonic_s() >= until_s:
                break

    def _walked(self, job: WalkJob) -> None:
        """A walk of a whole root has ended."""
        if job.again:
            self._walks.root(job.root, WalkReason.MORE)
        if job.root.offline is None:
            self._whole_walks += 1
            self._error = None

    def _note_first_walks(self, now_s: float) -> None:
        """The first walk is done when what it found has settled; a file that goes on changing is not waited for."""
        parts = self._parts
        if self._first_walk_done or not all(root.first_walk_done for root in parts.roots):
            return
        if self._first_walks_ended_s is None:
            self._first_walks_ended_s = now_s
        patience_s = 3 * max(parts.settings.settle_s, parts.settings.close_settle_s)
        if len(parts.settling) and now_s < self._first_walks_ended_s + patience_s:
            return
        self._first_walk_done = True
        if not self._watch:
            parts.settling.drop_all()  # a scan leaves to the next one what is still being written

    # what is looked at now and then

    def _check(self, now_s: float) -> None:
        if self._mount_watch.changed():
            self._mounts_changed()
        for root in self._parts.roots:
            self._check_root(root)
            if root.next_walk_s is not None and now_s >= root.next_walk_s and self._watch:
                self._walks.root(root, WalkReason.INTERVAL)
        if self._watch and self._hearing is None and not any(self._walks.waits(root) for root in self._parts.roots):
            self._hear(WalkReason.HEARD)
        self._tell_troubles(now_s)
        self._tell_canary()

    def _check_root(self, root: Root) -> None:
        """Whether the root is still the directory that it was."""
        look = glance(root.path)
        if look.error is not None:
            if root.offline is None and root.key is not None:
                go_offline(self._parts, root, look.error.strerror or "it cannot be opened")
                root.key = None
                self._forget_watches(root)
        elif root.offline is not None:
            if not (look.empty and root.offline == EMPTY) and not self._walks.waits(root):
                self._walks.root(root, WalkReason.BACK)
        elif root.key is not None and look.key != root.key:
            root.key = None
            self._forget_watches(root)
            self._walks.root(root, WalkReason.BACK)

    def _forget_watches(self, root: Root) -> None:
        if self._parts.watches is not None:
            self._parts.watches.forget(root.path)

    def _mounts_changed(self) -> None:
        before = {root: self._parts.mounts.concerning(root.path) for root in self._parts.roots}
        self._read_mounts()
        for root, points in before.items():
            if self._parts.mounts.concerning(root.path) != points and root.offline is None:
                self._walks.root(root, WalkReason.MOUNTS)

    def _read_mounts(self) -> None:
        self._parts.mounts = MountTable.read()
        for root in self._parts.roots:
            root.remote_devices = self._parts.mounts.remote_devices(root.path)
            remembered = self._parts.ledger.meta(f"intake.mounts.{root.path.hex()}")
            known = frozenset(bytes.fromhex(point) for point in json.loads(remembered or "[]"))
            root.away = known - self._parts.mounts.concerning(root.path)

    def _tell_troubles(self, now_s: float) -> None:
        troubles = self._parts.settling.troubles
        if troubles and now_s >= self._next_troubles_s:
            self._next_troubles_s = now_s + _TROUBLES_S
            path, error = troubles[0]
            others = f" and {len(troubles) - 1:,} others" if len(troubles) > 1 else ""
            text = f"cannot be looked at: {display_path(path)}{others}: {error.strerror}; a walk will try again"
            self._parts.tell(Notice(NoticeKind.UNREADABLE, text, None, path, {"unread": len(troubles)}))
            troubles.clear()

    def _tell_canary(self) -> None:
        trouble = None if self._hearing is None else self._hearing.trouble
        if trouble is not None and not self._canary_told:
            self._canary_told = True
            text = f"whether the kernel's events arrive cannot be tested: {trouble.strerror}"
            self._parts.tell(Notice(NoticeKind.HANDLER_ERROR, text, None, self._canary_dir))

    def _idle_s(self) -> float:
        hearing = self._hearing
        if self._walks.ready or (hearing is not None and len(hearing.inbox)):
            return 0.0
        moments = [
            self._next_check_s,
            self._parts.settling.next_due_s(),
            self._departures.next_due_s(),
            self._walks.next_due_s(),
            self._loss_due_s,
        ]
        due_s = min(moment for moment in moments if moment is not None)
        return max(0.0, due_s - self._clock.monotonic_s())
