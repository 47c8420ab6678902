"""A watched folder with real files, a real ledger that has seen and judged them, and the quarantine on it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from deepdupe_daemon.act import Quarantine, quarantine_folder
from deepdupe_daemon.act.held import digest_of
from deepdupe_daemon.clock import Clock, ManualClock
from deepdupe_daemon.ledger import ActionRow, FileRow, Intent, Ledger, SeenRecord, VerdictRow
from deepdupe_daemon.model import PdqHash, VerdictClass
from tests.ledger.build import FACTS, SPACE, arrival_at, vector_of, verdict

__all__ = ["Ground", "Likeness", "likeness", "tree"]


class Ground:
    """`root` is watched; the ledger lies beside it. Closed by its fixture."""

    def __init__(self, folder: Path, *, clock: Clock | None = None, root: Path | None = None) -> None:
        self.root = root or folder / "photos"
        self.root.mkdir(exist_ok=True)
        self.state_dir = folder / "state"
        self.clock = clock or ManualClock()
        self.ledger = Ledger.open(self.state_dir, self.clock)
        self.ledger.ensure_space(SPACE)
        self.quarantine = Quarantine(self.ledger, self.clock)
        self.place = quarantine_folder(os.fsencode(self.root))

    def close(self) -> None:
        self.ledger.close()

    def file(self, name: str | bytes, content: bytes, *, root: Path | None = None) -> FileRow:
        """Write a file, and let it be noted and seen."""
        path = os.path.join(os.fsencode(root or self.root), os.fsencode(name))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as opened:
            opened.write(content)
        return self.see(path, root=root)

    def see(self, path: bytes, *, root: Path | None = None) -> FileRow:
        self.ledger.note_arrivals([arrival_at(os.fsdecode(path), root or self.root)])
        row = self.ledger.file_by_path(path)
        assert row is not None
        fd = os.open(path, os.O_RDONLY)
        digest = digest_of(fd)
        os.close(fd)
        record = SeenRecord(
            row.file_id,
            row.key,
            digest,
            FACTS,
            PdqHash(digest, 90),
            (digest,) * 8,
            {SPACE.name: vector_of(digest.hex())},
        )
        self.ledger.record_seen([record])
        self.ledger.record_judged([row.file_id], [])
        row = self.ledger.file(row.file_id)
        assert row is not None
        return row

    def judge(
        self, duplicate: FileRow, keeper: FileRow, verdict_class: VerdictClass = VerdictClass.RE_ENCODED
    ) -> VerdictRow:
        [row] = self.ledger.record_judged([duplicate.file_id], [verdict(duplicate, keeper, verdict_class)])
        return row

    def pair(self, name: str = "copy.jpg", *, kept: str = "kept.jpg") -> VerdictRow:
        """A re-encoded copy and what it was made from."""
        keeper = self.file(kept, b"the picture " + kept.encode() * 100)
        return self.judge(self.file(name, b"the copy " + name.encode() * 100), keeper)

    def plan(self, *verdicts: VerdictRow, companions: Sequence[bytes] = ()) -> Intent:
        return self.quarantine.plan(verdicts, place=self.place, companions=companions)

    def move(self, *verdicts: VerdictRow, companions: Sequence[bytes] = ()) -> ActionRow:
        return self.quarantine.carry_out(self.plan(*verdicts, companions=companions))

    def stored(self, row: ActionRow, position: int = 0) -> bytes:
        """Where a member lies in quarantine."""
        folder = os.path.join(row.intent.place, row.intent.token.encode())
        return os.path.join(folder, row.intent.files[position].stored)


Likeness = tuple[str, int, int, int, int, tuple[tuple[str, bytes], ...]]


def likeness(path: bytes) -> Likeness:
    """All of a file that must survive: bytes, owner, group, mode, mtime, attributes with their ACL."""
    status = os.lstat(path)
    with open(path, "rb") as opened:
        digest = hashlib.sha256(opened.read()).hexdigest()
    attributes = tuple(sorted((name, os.getxattr(path, name)) for name in os.listxattr(path)))
    return digest, status.st_uid, status.st_gid, status.st_mode, status.st_mtime_ns, attributes


def tree(*folders: Path | bytes) -> set[bytes]:
    """Every file below, manifests left out."""
    found = set()
    for folder in folders:
        for at, _, names in os.walk(os.fsencode(folder)):
            found |= {os.path.join(at, name) for name in names if name != b"manifest.json"}
    return found
