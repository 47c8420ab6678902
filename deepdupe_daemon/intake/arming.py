"""Watching the directories of a root."""

from __future__ import annotations

from collections.abc import Iterator

from deepdupe_daemon.intake.limits import out_of_watches
from deepdupe_daemon.intake.parts import Parts
from deepdupe_daemon.intake.root import Root
from deepdupe_daemon.intake.walk import Entered, TreeWalk

__all__ = ["Arming"]


class Arming:
    """Sees to it that every directory that a walk enters is watched. Used by the lane's thread, once a walk.

    `refused` is the error of the kernel's limit where it was met, `refusals` how many directories are unwatched for it.
    """

    def __init__(self, parts: Parts, root: Root) -> None:
        self.refused: OSError | None = None
        self.refusals = 0
        self._parts = parts
        self._root = root

    def watch(self, entered: Entered) -> None:
        """Watch a directory that is about to be listed. Raises OSError for anything but a limit or a permission."""
        watches = self._parts.watches  # asked for each time: after a loss there are others
        if watches is None or not self._root.watch:
            return
        try:
            watches.watch(self._root, entered.path, entered.fd, entered.status)
        except PermissionError:
            return  # the walk tells of a directory that may not be listed
        except OSError as error:
            if not out_of_watches(error):
                raise
            self.refused = error
            self.refusals += 1

    def steps(self) -> Iterator[None]:
        """Go through the whole root for its directories alone, so that from then on arrivals anywhere are heard.

        It reads no more than names: 100,000 files in 1,000 directories take about 0.1 s.
        """
        if self._parts.watches is not None and self._root.watch:
            for _ in TreeWalk(self._root.path, self._root.enters, on_directory=self.watch, files=False):
                yield
