"""Restoring without a ledger: the manifest alone says what was where."""

from __future__ import annotations

import os
from contextlib import ExitStack

from deepdupe_daemon.act.manifest import read_manifest
from deepdupe_daemon.act.moving import clear_action
from deepdupe_daemon.act.place import open_action, open_place
from deepdupe_daemon.act.quarantine import Restored
from deepdupe_daemon.act.refusal import explained, unfinished
from deepdupe_daemon.act.restoring import restore_files
from deepdupe_daemon.act.returning import Taken

__all__ = ["restore_by_manifest"]


def restore_by_manifest(folder: bytes, *, taken: Taken = Taken.REFUSE) -> Restored:
    """Bring the files of one action back, given its folder in quarantine. Only where no ledger knows it: a daemon's
    ledger would take the files for quarantined still.

    Repeatable after a kill: what is back already is left alone. Raises ActionRefused, ActionUnfinished, ManifestError.
    """
    place, token = os.path.split(folder.rstrip(b"/"))
    with explained(folder), ExitStack() as stack:
        place_fd = stack.enter_context(open_place(place))
        name = os.fsdecode(token)
        folder_fd = stack.enter_context(open_action(place_fd, name, folder))
        manifest = read_manifest(folder_fd, place)
        back = restore_files(manifest.intent, manifest.metadata, folder_fd, taken, lambda _: None)
        with unfinished(folder):
            clear_action(place_fd, name, folder_fd)
    origins = [member.file.path for member in manifest.intent.files]
    return Restored(None, tuple(zip(origins, back.targets, strict=True)), back.notes)
