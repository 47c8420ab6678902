"""Which directory each watch descriptor stands for."""

from __future__ import annotations

from collections.abc import Iterator
from os import stat_result

from deepdupe_daemon.intake.observer import Observer
from deepdupe_daemon.intake.root import Root

__all__ = ["WatchMap", "Watched"]


class Watched:
    """One watched directory."""

    __slots__ = ("children", "key", "path", "root", "wd")

    def __init__(self, path: bytes, wd: int, key: tuple[int, int], root: Root) -> None:
        self.path = path
        self.wd = wd
        self.key = key  # (dev, ino)
        self.root = root
        self.children: dict[bytes, Watched] | None = None  # by path; None where there are none, as in most


class WatchMap:
    """The watches of one observer, by descriptor and by path. Owned by the lane's thread.

    A directory that moves is forgotten and watched anew where it went, by the walk that goes there: so there is never a
    watch that reports under an old path. The same directory under two paths (a bind mount) is watched under the one
    that was walked last; the other lives on walks.
    """

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._by_wd: dict[int, Watched] = {}
        self._by_path: dict[bytes, Watched] = {}
        self._by_key: dict[tuple[int, int], Watched] = {}

    def __len__(self) -> int:
        return len(self._by_wd)

    def of(self, wd: int) -> Watched | None:
        """The directory of a descriptor; None for one that is no longer of interest."""
        return self._by_wd.get(wd)

    def at(self, path: bytes) -> Watched | None:
        return self._by_path.get(path)

    def watch(self, root: Root, path: bytes, fd: int, status: stat_result) -> bool:
        """See to it that the directory open at `fd` is watched as `path`; says whether it was not before.

        Raises OSError as `Observer.watch` does.
        """
        key = (status.st_dev, status.st_ino)
        here = self._by_path.get(path)
        if here is not None:
            if here.key == key:
                self._link(here)
                return False
            self.forget(path)
        # A watch left over from where this inode was before: dropped first, since the kernel would give us the same
        # descriptor again, and watchdog would warn of the second callback.
        elsewhere = self._by_key.get(key)
        if elsewhere is not None:
            self._drop(elsewhere)
            self._observer.unwatch([elsewhere.wd])
        wd = self._observer.watch(fd, top=path == root.path)
        watched = Watched(path, wd, key, root)
        self._by_wd[wd] = self._by_path[path] = self._by_key[key] = watched
        self._link(watched)
        return True

    def ignored(self, wd: int) -> Watched | None:
        """The kernel has ended the watch: the directory is deleted or unmounted. Gives what it was."""
        watched = self._by_wd.get(wd)
        if watched is not None:
            self._drop(watched)
        return watched

    def forget(self, path: bytes) -> int:
        """Stop watching `path` and every directory below it; says how many."""
        top = self._by_path.get(path)
        if top is None:
            return 0
        gone = list(_tree(top))
        for watched in gone:
            self._drop(watched)
        self._observer.unwatch([watched.wd for watched in gone])
        return len(gone)

    def _link(self, watched: Watched) -> None:
        parent = self._parent(watched)
        if parent is not None:
            if parent.children is None:
                parent.children = {}
            parent.children[watched.path] = watched

    def _parent(self, watched: Watched) -> Watched | None:
        return self._by_path.get(watched.path[: watched.path.rindex(b"/")])

    def _drop(self, watched: Watched) -> None:
        self._by_wd.pop(watched.wd, None)
        if self._by_path.get(watched.path) is watched:
            del self._by_path[watched.path]
        if self._by_key.get(watched.key) is watched:
            del self._by_key[watched.key]
        parent = self._parent(watched)
        if parent is not None and parent.children is not None:
            parent.children.pop(watched.path, None)


def _tree(top: Watched) -> Iterator[Watched]:
    stack = [top]
    while stack:
        watched = stack.pop()
        yield watched
        if watched.children:
            stack.extend(watched.children.values())
