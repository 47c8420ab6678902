"""The room's front: roots are shared out to lanes, and the lanes are started, asked and stopped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from deepdupe_daemon.clock import Clock
from deepdupe_daemon.config import IntakeConfig, RootConfig
from deepdupe_daemon.intake.lane import Lane
from deepdupe_daemon.intake.mounts import MountTable
from deepdupe_daemon.intake.notice import Notice
from deepdupe_daemon.intake.pace import Pace
from deepdupe_daemon.intake.root import Root
from deepdupe_daemon.intake.status import IntakeStatus
from deepdupe_daemon.ledger import Ledger

__all__ = ["Intake"]

#: the shortest time between walks where walks alone tell of changes
_POLL_FLOOR_S = 10.0
#: between looks at the roots themselves and at the mounts; no event tells of a mount over a root
_CHECK_S = 2.0


class Intake:
    """Brings every file that rests in a root into the ledger, once it has settled, and takes out what is gone.

    Local roots share one lane (a thread with a ledger connection); each root with a network or FUSE file system in it
    has a lane of its own, so that a mount that hangs holds up nobody else. Started and stopped once, by one thread;
    `rescan` and `status` may be called from any. `on_pending` and `on_notice` are called from the lanes' threads.

    `watch=False` walks every root once and then idles. `canary_dir` is a private directory in which intake may write a
    file to prove that events arrive. `poll_floor_s` is the shortest interval between walks where walks must tell.
    """

    def __init__(
        self,
        roots: Sequence[RootConfig],
        settings: IntakeConfig,
        open_ledger: Callable[[], Ledger],
        clock: Clock,
        on_pending: Callable[[], None],
        on_notice: Callable[[Notice], None],
        *,
        watch: bool = True,
        canary_dir: Path | None = None,
        poll_floor_s: float = _POLL_FLOOR_S,
        check_s: float = _CHECK_S,
    ) -> None:
        mounts = MountTable.read()
        every = [
            Root(
                config,
                settings,
                mounts,
                Pace(settings.rescan_interval_s, poll_floor_s),
                watch=watch,
            )
            for config in roots
        ]
        local = [root for root in every if not root.remote_devices]
        groups = ([local] if local else []) + [[root] for root in every if root.remote_devices]
        canary = None if canary_dir is None else bytes(canary_dir)
        self._lanes = [
            Lane(
                f"intake-{index}",
                group,
                settings,
                open_ledger,
                clock,
                on_pending,
                on_notice,
                watch=watch,
                canary_dir=canary if index == 0 else None,
                check_s=check_s,
            )
            for index, group in enumerate(groups)
        ]
        self._clock = clock

    def start(self) -> None:
        for lane in self._lanes:
            lane.start()

    def stop(self, timeout_s: float) -> bool:
        """End all lanes; says whether they have ended in time. What was still settling is found by the next start."""
        until_s = self._clock.monotonic_s() + timeout_s
        for lane in self._lanes:
            lane.ask_to_stop()
        ended = [lane.join(max(0.0, until_s - self._clock.monotonic_s())) for lane in self._lanes]
        return all(ended)

    def rescan(self, root: bytes | None = None) -> None:
        """Walk `root`, or every root, soon. Raises ValueError for a path that is no root."""
        lanes = [lane for lane in self._lanes if root is None or any(root == known.path for known in lane.roots)]
        if not lanes and root is not None:
            raise ValueError(f"no watched root: {root!r}")
        for lane in lanes:
            lane.rescan(root)

    def local_pulses(self) -> list[tuple[str, int, int]]:
        """Name, turns and unanswered songs of the canary, of each lane that no network file system can hold up."""
        local = [lane for lane in self._lanes if not any(root.remote_devices for root in lane.roots)]
        return [(lane.name, lane.status().turns, lane.status().unheard) for lane in local]

    def status(self) -> IntakeStatus:
        return IntakeStatus.total(lane.status() for lane in self._lanes)
