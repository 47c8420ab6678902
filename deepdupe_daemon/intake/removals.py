"""Which of the missing files are gone, and which are merely away.

A file whose path leads nowhere is gone only if the file system that held it is still the one that is mounted there: an
unmounted disk is an outage, not mass deletion. Two things tell. The nearest directory above it that exists must lie on
the device that the ledger recorded for the file, or on one that took that device's place (device numbers change with a
reboot or a remount: known by most of the files being met again under the new number). And no mount that was there when
the files were known may be missing above it, which alone tells a missing bind mount.
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from deepdupe_daemon.intake.mounts import is_below

__all__ = ["Missing", "Removals"]

#: (path, device that the ledger recorded for it)
Missing = tuple[bytes, int]

_SLICE = 512


class Removals:
    """Judges missing files of one walk, or of a batch of events. Used by one thread."""

    def __init__(
        self,
        root: bytes,
        *,
        away: frozenset[bytes] = frozenset(),
        takes: Callable[[bytes], bool],
        lstat: Callable[[bytes], os.stat_result] = os.lstat,
    ) -> None:
        self.gone: list[bytes] = []
        self.withheld = 0  # missing together with their file system
        self.unknown = 0  # cannot be looked at
        self._root = root
        self._away = away
        self._takes = takes
        self._lstat = lstat
        self._met_on: Counter[tuple[int, int]] = Counter()  # (recorded device, device now) of files met again
        self._met_below: Counter[bytes] = Counter()  # mount points that are away -> files met below them all the same
        self._devices: dict[bytes, int | None] = {}  # directory -> device of the nearest one that exists

    def met_elsewhere(self, path: bytes, recorded: int, now: int) -> None:
        """A known file was met, with the size and mtime that it had, on another device."""
        if recorded != now:
            self._met_on[recorded, now] += 1
        mount = self._mount_away(path)
        if mount is not None:
            self._met_below[mount] += 1

    @property
    def watches_mounts(self) -> bool:
        """Whether every file that is met must be told, since a mount is away."""
        return bool(self._away)

    def judge(self, missing: Sequence[Missing]) -> Iterator[None]:
        """Sort `missing` into those that are `gone`, those `withheld` and those `unknown`, in slices."""
        # these stand or fall together: one recorded device, one device found in its place, one mount away
        cases: dict[tuple[int, int | None, bytes | None], list[bytes]] = {}
        for at, (path, recorded) in enumerate(missing):
            if at % _SLICE == _SLICE - 1:
                yield
            there = self._there(path)
            if there is None:
                self.unknown += 1
            elif not there:
                place = (recorded, self._device_above(path), self._mount_away(path))
                cases.setdefault(place, []).append(path)
            elif not self._takes(path):
                self.gone.append(path)  # it is there, and the configuration leaves it out now
        for (recorded, found, mount), paths in cases.items():
            if self._believed(recorded, found, mount, len(paths)):
                self.gone.extend(paths)
            else:
                self.withheld += len(paths)
        self.gone.sort()

    @property
    def certain(self) -> bool:
        """Whether every missing file was either gone or there."""
        return not (self.withheld or self.unknown)

    def _believed(self, recorded: int, found: int | None, mount: bytes | None, missing: int) -> bool:
        if found is None:
            return False
        if mount is not None and self._met_below[mount] < missing:
            return False
        return found == recorded or self._met_on[recorded, found] >= missing

    def _there(self, path: bytes) -> bool | None:
        """Whether a regular file is there; None where that cannot be told."""
        try:
            return stat.S_ISREG(self._lstat(path).st_mode)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:
            return None  # no permission, dead mount, name too long: unknown is not absent

    def _device_above(self, path: bytes) -> int | None:
        """The device of the nearest existing directory above `path`, within the root; None if the root is not there."""
        device: int | None = None
        folders = []
        folder = os.path.dirname(path)
        while folder not in self._devices:
            folders.append(folder)
            try:
                device = self._lstat(folder).st_dev
                break
            except (FileNotFoundError, NotADirectoryError):
                if not is_below(folder, self._root):
                    break
                folder = os.path.dirname(folder)
            except OSError:
                break  # cannot be told: nothing there is taken for gone
        else:
            device = self._devices[folder]
        self._devices.update(dict.fromkeys(folders, device))
        return device

    def _mount_away(self, path: bytes) -> bytes | None:
        points = [point for point in self._away if is_below(path, point)]
        return max(points, key=len, default=None)
