"""Looking at what rests in quarantine: every byte against manifest and ledger. Changes nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from enum import StrEnum

from deepdupe_daemon.act.descriptors import open_folder
from deepdupe_daemon.act.held import digest_of, hold_in
from deepdupe_daemon.act.manifest import Manifest, ManifestError, read_manifest
from deepdupe_daemon.act.place import open_place
from deepdupe_daemon.errors import ActionRefused
from deepdupe_daemon.ledger import ActionRow, Intent

__all__ = ["Finding", "Problem", "inspect_action", "inspect_unknown", "manifests_in"]


class Problem(StrEnum):
    """What is wrong with something in quarantine. The words are an interface."""

    UNREACHABLE = "unreachable"  # the quarantine folder cannot be looked into now
    MISSING = "missing"  # a file, or the action's whole folder, is not there
    DAMAGED = "damaged"  # a file holds other bytes than those that were put there
    METADATA = "metadata"  # owner, mode, time or an attribute is not what the manifest says
    NO_MANIFEST = "no-manifest"
    MANIFEST_DIFFERS = "manifest-differs"  # it speaks of other files than the ledger
    UNKNOWN = "unknown"  # whole, but not in this ledger
    OPEN = "open"  # a move, restore or purge that is not finished


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found. `problem` None: an action that was looked at and is well."""

    place: bytes
    token: str
    action: ActionRow | None
    problem: Problem | None
    detail: str = ""
    path: bytes | None = None  # where the file came from, where the finding is about one


def inspect_action(row: ActionRow) -> Iterator[Finding]:
    """What is to be said of one action that rests, or should rest, in quarantine."""
    place, token = row.intent.place, row.intent.token
    if row.state.open:
        yield Finding(place, token, row, Problem.OPEN, f"it is {row.state}")
        return
    with ExitStack() as stack:
        try:
            place_fd = stack.enter_context(open_place(place))
        except (OSError, ActionRefused) as error:
            why = error.what if isinstance(error, ActionRefused) else str(error.strerror)
            yield Finding(place, token, row, Problem.UNREACHABLE, why)
            return
        try:
            folder_fd = open_folder(token.encode("ascii"), place_fd)
        except OSError as error:
            yield Finding(place, token, row, Problem.MISSING, f"its folder: {error.strerror}")
            return
        stack.callback(os.close, folder_fd)
        problems = list(_inspect(row.intent, row, folder_fd))
    yield from problems or [Finding(place, token, row, None)]


def inspect_unknown(place: bytes, known: set[str]) -> Iterator[Finding]:
    """What lies in a quarantine folder and is not among the `known` tokens; nothing where there is no such folder."""
    try:
        for token, manifest in manifests_in(place):
            if token in known:
                continue
            if isinstance(manifest, ManifestError):
                yield Finding(place, token, None, Problem.NO_MANIFEST, manifest.what)
            else:
                detail = f"nothing of this ledger rests there; it was {manifest.action} when it was written"
                yield Finding(place, token, None, Problem.UNKNOWN, detail, manifest.intent.files[0].file.path)
    except FileNotFoundError:
        return
    except (OSError, ActionRefused) as error:
        why = error.what if isinstance(error, ActionRefused) else str(error.strerror)
        yield Finding(place, "", None, Problem.UNREACHABLE, why)


def manifests_in(place: bytes) -> Iterator[tuple[str, Manifest | ManifestError]]:
    """Every action's folder in a quarantine folder, sorted by name, with its manifest or why it has none.

    Needs no ledger. Raises ActionRefused, OSError where the place itself cannot be read.
    """
    with open_place(place) as place_fd:
        with os.scandir(place_fd) as entries:
            names = sorted(os.fsencode(entry.name) for entry in entries if entry.is_dir(follow_symlinks=False))
        for name in names:
            token = name.decode("ascii", "backslashreplace")
            try:
                folder_fd = open_folder(name, place_fd)
            except OSError as error:
                yield token, ManifestError(f"its folder cannot be read: {error.strerror}")
                continue
            try:
                yield token, read_manifest(folder_fd, place)
            except ManifestError as error:
                yield token, error
            except OSError as error:
                yield token, ManifestError(f"its manifest cannot be read: {error.strerror}")
            finally:
                os.close(folder_fd)


def _inspect(intent: Intent, row: ActionRow, folder_fd: int) -> Iterator[Finding]:
    place, token = intent.place, intent.token
    metadata = None
    try:
        metadata = read_manifest(folder_fd, place).metadata_for(intent)
    except ManifestError as error:
        yield Finding(place, token, row, Problem.MANIFEST_DIFFERS, error.what)
    except OSError as error:
        yield Finding(place, token, row, Problem.NO_MANIFEST, str(error.strerror))
    for position, member in enumerate(intent.files):
        path = member.file.path
        try:
            with hold_in(folder_fd, member.stored, path) as held:
                if digest_of(held.fd) != member.file.digest:
                    yield Finding(place, token, row, Problem.DAMAGED, "its bytes are others", path)
                lost = metadata[position].lost(held.fd) if metadata else []
                if lost:
                    yield Finding(place, token, row, Problem.METADATA, ", ".join(lost), path)
        except OSError as error:
            yield Finding(place, token, row, Problem.MISSING, str(error.strerror), path)
