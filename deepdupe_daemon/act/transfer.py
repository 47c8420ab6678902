"""Files that change their place together: all of them or none, and nothing is overwritten.

Where source and target are on one mount a file is renamed. Else (EXDEV: another file system, or another bind mount of
the same one) every file is copied first, then every copy gets its name, then every source is taken aside into a private
folder next to it, looked at there, and only then unlinked: between looking at a name and unlinking it another file can
take that name, and a private folder is where nobody can do that.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from deepdupe_daemon.act.copying import copy_file
from deepdupe_daemon.act.descriptors import file_at, make_folder, sync
from deepdupe_daemon.act.free_name import give_back
from deepdupe_daemon.act.held import HeldFile, is_at
from deepdupe_daemon.act.metadata import Metadata
from deepdupe_daemon.act.refusal import explained, refusal, unfinished
from deepdupe_daemon.act.renaming import rename_noreplace
from deepdupe_daemon.errors import ActionRefused
from deepdupe_daemon.model import display_path

__all__ = ["Aside", "Folder", "Leg", "Standing", "Transfer"]

_PRIVATE = 0o700


class Aside:
    """A private folder in the folder `parent_fd`, made when it is first needed and removed when it is empty."""

    def __init__(self, parent_fd: int, name: bytes) -> None:
        self._parent_fd = parent_fd
        self._name = name
        self._fd: int | None = None

    @property
    def fd(self) -> int:
        """Raises OSError; PermissionError where somebody else's folder has the name."""
        if self._fd is None:
            fd, _ = make_folder(self._name, self._parent_fd, _PRIVATE)
            status = os.fstat(fd)
            if status.st_uid != os.geteuid() or status.st_mode & 0o077:
                os.close(fd)
                raise PermissionError(errno.EACCES, "another's folder has the name of ours", self._name)
            self._fd = fd
        return self._fd

    def close(self) -> None:
        """Where it is not empty recovery has something to do in it; where it cannot be removed it is empty at least."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
            with suppress(OSError):
                os.rmdir(self._name, dir_fd=self._parent_fd)


class Folder(Protocol):
    """Where a file can lie for a moment."""

    @property
    def fd(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Standing:
    """A folder that is open anyway, and stays."""

    fd: int


@dataclass(frozen=True, slots=True)
class Leg:
    """One file on its way. `staging` and `claim` are names in private folders next to target and source."""

    file: HeldFile  # proven; its folder and name are where it comes from
    digest: bytes
    metadata: Metadata
    target_fd: int
    target: bytes
    staging: tuple[Folder, bytes]
    claim: tuple[Folder, bytes]


class Transfer:
    """One attempt. `run` moves every file, or puts everything back and raises."""

    def __init__(self, legs: Sequence[Leg]) -> None:
        self._legs = legs
        #: what was done: the leg, the step, and the file that it was done to
        self._undo: list[tuple[Leg, str, os.stat_result]] = []

    def run(self) -> None:
        """Raises ActionRefused, after which every file is in its place; ActionUnfinished where one could not return."""
        try:
            try:
                self._by_rename()
            except _OtherDevice:
                self._back()
                self._by_copy()
        except (ActionRefused, OSError) as error:
            self._back()
            if isinstance(error, OSError):
                raise refusal(error, self._legs[0].file.path) from error
            raise

    # -- on one file system ----------------------------------------------------------------------------------------

    def _by_rename(self) -> None:
        for leg in self._legs:
            self._check(leg)
            try:
                rename_noreplace(leg.file.folder_fd, leg.file.name, leg.target_fd, leg.target)
            except OSError as error:
                if error.errno == errno.EXDEV:
                    raise _OtherDevice from error
                raise refusal(error, leg.file.path) from error
            self._undo.append((leg, "renamed", leg.file.status))
            sync(leg.target_fd)
            sync(leg.file.folder_fd)
            if not is_at(leg.target, leg.target_fd, leg.file.status):
                raise _changed(leg)
        for leg in self._legs:
            if not leg.file.unchanged():
                raise _changed(leg)

    # -- between file systems --------------------------------------------------------------------------------------

    def _by_copy(self) -> None:
        copies = []
        for leg in self._legs:
            self._check(leg)
            aside, name = leg.staging
            with explained(leg.file.path):
                folder_fd = aside.fd
                self._undo.append((leg, "staged", leg.file.status))
                copies.append(copy_file(leg.file, leg.digest, leg.metadata, folder_fd, name))
        for leg, copy in zip(self._legs, copies, strict=True):
            aside, name = leg.staging
            with explained(leg.file.path):
                rename_noreplace(aside.fd, name, leg.target_fd, leg.target)
                self._undo.append((leg, "published", copy))
                sync(leg.target_fd)
        for leg in self._legs:
            self._check(leg)
            aside, name = leg.claim
            with explained(leg.file.path):
                claim_fd = aside.fd
                rename_noreplace(leg.file.folder_fd, leg.file.name, claim_fd, name)
                self._undo.append((leg, "claimed", leg.file.status))
                if not is_at(name, claim_fd, leg.file.status) or not leg.file.unchanged():
                    raise _changed(leg)
        self._undo.clear()  # from here on there is no way back, and none is needed: each file rests at its target
        for leg in self._legs:
            aside, name = leg.claim
            with unfinished(leg.file.path):
                os.unlink(name, dir_fd=aside.fd)
                sync(leg.file.folder_fd)

    @staticmethod
    def _check(leg: Leg) -> None:
        with explained(leg.file.path):
            file_at(leg.file.name, leg.file.folder_fd)  # gone is another refusal than changed
            if not leg.file.leads_here() or not leg.file.unchanged():
                raise _changed(leg)

    # -- back ------------------------------------------------------------------------------------------------------

    def _back(self) -> None:
        """Undo the steps, last first. Raises ActionUnfinished where one cannot be undone."""
        while self._undo:
            leg, step, status = self._undo[-1]
            with unfinished(leg.file.path):
                self._undo_step(leg, step, status)
            self._undo.pop()

    @staticmethod
    def _undo_step(leg: Leg, step: str, status: os.stat_result) -> None:
        file = leg.file
        match step:
            case "renamed":
                give_back(leg.target_fd, leg.target, file.folder_fd, file.name)
                sync(file.folder_fd)
                sync(leg.target_fd)
            case "claimed":
                give_back(leg.claim[0].fd, leg.claim[1], file.folder_fd, file.name)
                sync(file.folder_fd)
            case "published":
                aside, name = leg.staging
                rename_noreplace(leg.target_fd, leg.target, aside.fd, name)
                if not is_at(name, aside.fd, status):
                    give_back(aside.fd, name, leg.target_fd, leg.target)
            case "staged":
                aside, name = leg.staging
                with suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=aside.fd)


class _OtherDevice(Exception):
    """A rename is not possible: source and target are not on one mount."""


def _changed(leg: Leg) -> ActionRefused:
    return ActionRefused("it changed, or another took its name", kind="changed", where=display_path(leg.file.path))
