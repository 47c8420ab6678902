"""One pass over the files of a tree, in the byte order of their paths, in slices.

The walk is anchored: it opens the root once and then goes from directory descriptor to directory descriptor, never
through a symbolic link, so that a directory swapped for a link while we walk leads nowhere, and a path longer than
PATH_MAX is walked like any other. Regular files alone are reported; links, fifos, sockets and devices are passed over
without being opened. Directories on other file systems are entered: a tree with a disk mounted inside is one tree.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

__all__ = ["Entered", "Found", "TreeWalk", "Unread"]

#: a regular file: its absolute path and what fstatat said of it (a plain tuple, because a walk may meet a million)
Found = tuple[bytes, os.stat_result]

#: A slice ends after this many files or directories: about 3 ms each, warm.
_SLICE_FILES = 512
_SLICE_DIRECTORIES = 64
_SLICE_ENTRIES = 4096
#: descriptors held at once; those of the directories further up are closed and found again through `..`
_HELD = 64

_UNREAD_KEPT = 100

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
#: it was removed, or another thing took its place, between listing and opening
_VANISHED = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})
#: out of descriptors or memory: says nothing of the directory, so the walk itself has failed
_OUR_OWN = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
_ENCODING = sys.getfilesystemencoding()
_SLASH = 0x2F


@dataclass(frozen=True, slots=True)
class Entered:
    """A directory that is about to be listed. `fd` is open only during the call that hands this over."""

    path: bytes
    fd: int
    status: os.stat_result


@dataclass(frozen=True, slots=True)
class Unread:
    """A directory or file that could not be looked at: what lies there is unknown, not absent."""

    path: bytes
    error: OSError


class _Frame:
    """A directory on the way down. `fd` is None while it is closed to save descriptors."""

    __slots__ = ("fd", "key", "names", "path")

    def __init__(self, path: bytes, fd: int, key: tuple[int, int]) -> None:
        self.path = path
        self.fd: int | None = fd
        self.key = key
        self.names: Iterator[bytes] = iter(())


class TreeWalk:
    """A walk of `start` (by default all of `root`). Iterate once, in one thread; the figures are good at any time.

    `enters` is asked with each directory's path relative to the root; `on_directory` hears of each before it is listed,
    so that a watch set there sees whatever the listing is too early for. With `files=False` no file is looked at.
    """

    def __init__(
        self,
        root: bytes,
        enters: Callable[[bytes], bool],
        *,
        start: bytes | None = None,
        on_directory: Callable[[Entered], None] | None = None,
        files: bool = True,
    ) -> None:
        self.root = root
        self.start = root if start is None else start
        self.files = 0
        self.directories = 0
        self.unread: list[Unread] = []  # the first of them
        self.unread_count = 0
        self.started = False  # whether the start could be opened
        self.cut_short = False  # a very deep directory was moved while it was walked, and the way back was lost
        self._enters = enters
        self._on_directory = on_directory
        self._with_files = files
        self._stack: list[_Frame] = []
        self._since_slice = 0

    def __iter__(self) -> Iterator[list[Found]]:
        """Slices of files, sorted by path within and across slices; a slice may be empty.

        Raises OSError when this process is out of descriptors or memory.
        """
        try:
            if self._open_start():
                yield from self._walk()
        finally:
            for frame in self._stack:
                if frame.fd is not None:
                    os.close(frame.fd)
            self._stack.clear()

    def _walk(self) -> Iterator[list[Found]]:
        found: list[Found] = []
        yield from self._list(self._stack[-1])
        while self._stack:
            frame = self._stack[-1]
            prefix, fd = frame.path + b"/", self._fd_of(frame)
            for name in frame.names:
                if name[-1] == _SLASH:
                    if self._descend(frame, name[:-1]):
                        yield from self._list(self._stack[-1])
                        break
                    continue
                try:
                    status = os.stat(name, dir_fd=fd, follow_symlinks=False)
                except OSError as error:
                    self._trouble(prefix + name, error)
                    continue
                if stat.S_ISREG(status.st_mode):
                    found.append((prefix + name, status))
                    if len(found) >= _SLICE_FILES:
                        self.files += len(found)
                        yield found
                        found = []
            else:
                self._leave()
            if self._since_slice >= _SLICE_DIRECTORIES:
                self._since_slice = 0
                self.files += len(found)
                yield found
                found = []
        self.files += len(found)
        yield found

    def _list(self, frame: _Frame) -> Iterator[list[Found]]:
        """Read the names of a directory, sorted so that whole paths come out in byte order: `a.jpg` before `a/b`."""
        names: list[bytes] = []
        frame.names = iter(names)
        try:
            with os.scandir(self._fd_of(frame)) as entries:
                while some := list(islice(entries, _SLICE_ENTRIES)):
                    for entry in some:
                        if entry.is_file(follow_symlinks=False):
                            if self._with_files:
                                names.append(entry.name.encode(_ENCODING, "surrogateescape"))
                        elif entry.is_dir(follow_symlinks=False):
                            names.append(entry.name.encode(_ENCODING, "surrogateescape") + b"/")
                    if len(some) == _SLICE_ENTRIES:
                        yield []
        except OSError as error:
            self._trouble(frame.path, error)
        names.sort()
        frame.names = iter(names)

    def _open_start(self) -> bool:
        """Open the root, then each directory down to the start; False where that cannot be done."""
        path = self.root
        parts = [part for part in self.start[len(path) :].split(b"/") if part]
        try:
            fd = os.open(path, _OPEN)
        except OSError as error:
            self._trouble(path, error)
            return False
        try:
            for part in parts:
                path += b"/" + part
                if not self._enters(path[len(self.root) + 1 :]):
                    os.close(fd)
                    return False
                parent, fd = fd, os.open(part, _OPEN, dir_fd=fd)
                os.close(parent)
        except OSError as error:
            os.close(fd)
            self._trouble(path, error)
            return False
        self.started = True
        self._push(path, fd)
        return True

    def _descend(self, frame: _Frame, name: bytes) -> bool:
        path = frame.path + b"/" + name
        if not self._enters(path[len(self.root) + 1 :]):
            return False
        try:
            fd = os.open(name, _OPEN, dir_fd=frame.fd)
        except OSError as error:
            self._trouble(path, error)
            return False
        return self._push(path, fd)

    def _push(self, path: bytes, fd: int) -> bool:
        status = os.fstat(fd)
        key = (status.st_dev, status.st_ino)
        if any(frame.key == key for frame in self._stack):  # a bind mount of a directory into itself
            os.close(fd)
            return False
        self.directories += 1
        self._since_slice += 1
        self._stack.append(_Frame(path, fd, key))
        if self._on_directory is not None:
            self._on_directory(Entered(path, fd, status))
        if len(self._stack) > _HELD:
            outer = self._stack[-_HELD - 1]
            if outer.fd is not None:
                os.close(outer.fd)
                outer.fd = None
        return True

    def _leave(self) -> None:
        frame = self._stack.pop()
        if self._stack and self._stack[-1].fd is None:
            self._reopen(self._stack[-1], frame)
        if frame.fd is not None:
            os.close(frame.fd)

    def _reopen(self, parent: _Frame, child: _Frame) -> None:
        """Open `parent` again, from below; where that is another directory by now the walk ends here."""
        try:
            fd = os.open(b"..", _OPEN, dir_fd=child.fd)
        except OSError as error:
            self._trouble(parent.path, error)
            fd = None
        if fd is not None:
            status = os.fstat(fd)
            if (status.st_dev, status.st_ino) == parent.key:
                parent.fd = fd
                return
            os.close(fd)
        self.cut_short = True
        self._stack.clear()  # all further up are closed already

    @staticmethod
    def _fd_of(frame: _Frame) -> int:
        assert frame.fd is not None, "only the deepest directories are worked on, and those are held open"
        return frame.fd

    def _trouble(self, path: bytes, error: OSError) -> None:
        if error.errno in _OUR_OWN:
            raise error
        if error.errno not in _VANISHED or path == self.root:
            self.unread_count += 1
            if len(self.unread) < _UNREAD_KEPT:
                self.unread.append(Unread(path, error))
