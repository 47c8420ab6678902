"""The judging thread over a real ledger and a real index, with pictures whose likeness is made up."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from deepdupe_daemon.clock import ManualClock
from deepdupe_daemon.config import Config, JudgeConfig, RootConfig
from deepdupe_daemon.index import ExactIndex
from deepdupe_daemon.judge import JudgePolicy
from deepdupe_daemon.ledger import FileRow, Ledger, SeenRecord
from deepdupe_daemon.model import (
    Arrival,
    Comparison,
    F32Array,
    FileIdentity,
    FileKey,
    ImageFacts,
    PdqHash,
    Relation,
    SpaceKey,
    VerdictClass,
)
from deepdupe_daemon.service.claims import Claims
from deepdupe_daemon.service.examiner import Examiner
from deepdupe_daemon.service.inbox import Inbox
from deepdupe_daemon.service.judging import Judging
from deepdupe_daemon.service.membership import Membership

__all__ = ["PROTECTED", "ROOT", "SPACE", "Court", "Looks"]

ROOT, PROTECTED = b"/photos", b"/kept"
SPACE = SpaceKey("made-up", "final", 4)
THRESHOLD = 0.5


@dataclass(frozen=True)
class Looks:
    """What the verifier would say: relations of two contents, DIFFERENT where none is named."""

    relations: Mapping[frozenset[int], Relation]
    vectors: Mapping[int, Sequence[float]] = field(default_factory=dict)

    def relation(self, a: int, b: int) -> Relation:
        return self.relations.get(frozenset((a, b)), Relation.DIFFERENT)

    def vector(self, content: int) -> F32Array:
        row = np.array(self.vectors.get(content, (1, 0, 0, 0)), np.float32)
        return row / np.float32(np.linalg.norm(row))

    def proposed(self, a: int, b: int) -> bool:
        return float(self.vector(a) @ self.vector(b)) >= THRESHOLD


def digest_of(content: int) -> bytes:
    return hashlib.sha256(b"content %d" % content).digest()


class Verifying:
    """Stands in for the decoding workers: says what `looks` says, and remembers what it was asked."""

    def __init__(self, looks: Looks, contents: range) -> None:
        self.looks = looks
        self.asked: list[tuple[int, int]] = []
        self._contents = {digest_of(content): content for content in contents}

    def compare(self, a: tuple[bytes, bytes], b: tuple[bytes, bytes], *_: object) -> Future[Comparison]:
        pair = self._contents[a[1]], self._contents[b[1]]
        self.asked.append(pair)
        found: Future[Comparison] = Future()
        relation = self.looks.relation(*pair)
        found.set_result(Comparison(relation, 0.9, f"{pair[0]} to {pair[1]}", transform_back=f"{pair[1]} to {pair[0]}"))
        return found


class Court:
    """A state dir with the files of a test: `note` them, then `judge` them, in whichever order and batches."""

    def __init__(
        self, state_dir: Path, looks: Looks, *, contents: int = 12, keeper: Literal["first", "best"] = "first"
    ) -> None:
        self.clock = ManualClock()
        self.looks = looks
        self.keep_by(keeper)
        self.workers = Verifying(looks, range(contents))
        self._state_dir = state_dir
        self._contents: dict[bytes, int] = {}
        self._inodes: dict[bytes, int] = {}
        self._open()

    def _open(self) -> None:
        self.ledger = Ledger.open(self._state_dir, self.clock, lstat=_nothing_there)
        self.ledger.ensure_space(SPACE)
        self._index = ExactIndex()
        self._index.open_space(SPACE.name, SPACE.dim)
        self._index.load(SPACE.name, self.ledger.vectors(SPACE.name))

    def close(self) -> None:
        self.ledger.close()

    def restart(self) -> None:
        """As after a kill: what is not in the ledger is forgotten."""
        self.close()
        self._open()

    def note(self, name: str, content: int, *, protected: bool = False) -> None:
        path = (PROTECTED if protected else ROOT) + b"/" + name.encode()
        self._contents[path] = content
        self._inodes.setdefault(path, 100 + len(self._inodes))
        self.ledger.note_arrivals([Arrival(self._key(path), PROTECTED if protected else ROOT, live=False)])

    def see(self, *names: str) -> None:
        """Commit what the decoder and the model would find in these files."""
        rows = [self._row(name) for name in names]
        self.ledger.record_seen([self._seen(row) for row in rows])

    def gone(self, name: str) -> None:
        self.ledger.note_gone(self._row(name).key.path)

    def examiner(self, *, max_candidates: int = 64) -> Examiner:
        return Examiner(
            index=self._index,
            ledger=self.ledger,
            pool=self.workers,  # type: ignore[arg-type]  # the only method of a pool that is called here
            policy=JudgePolicy(),
            thresholds={SPACE.name: THRESHOLD},
            max_candidates=max_candidates,
        )

    def judge(self, *, max_candidates: int = 64) -> None:
        """Judge all that was seen and not judged, as the judging thread does."""
        inbox = Inbox()
        inbox.close()
        examiner = self.examiner(max_candidates=max_candidates)
        Judging(
            inbox=inbox,
            ledger=self.ledger,
            examiner=examiner,
            claims=Claims(lambda _digest: False, _nothing),
            clock=self.clock,
            spaces=[SPACE.name],
            membership=self.member,
            on_settled=_nothing,
            on_verdicts=_nothing,
            on_vectors=_nothing,
            emit=_nothing,
        ).run()

    def keep_by(self, keeper: Literal["first", "best"]) -> None:
        roots = (
            RootConfig(path=Path(os.fsdecode(ROOT))),
            RootConfig(path=Path(os.fsdecode(PROTECTED)), action="protected"),
        )
        self.member = Membership(Config(roots=roots, judge=JudgeConfig(keeper=keeper)))

    def verdicts(self) -> dict[str, tuple[str, VerdictClass]]:
        """Duplicate -> (keeper, class), by name, of every current verdict on files that are there."""
        return {
            _name(row.duplicate_now): (_name(row.keeper_now), row.verdict.verdict_class)
            for row in self.ledger.duplicates()
        }

    def groups(self) -> dict[str, str]:
        """Duplicate -> keeper, of what is proven."""
        return {name: keeper for name, (keeper, verdict_class) in self.verdicts().items() if verdict_class.proven}

    def content(self, name: str) -> int:
        return self._contents[self._row(name).key.path]

    def rows(self) -> list[FileRow]:
        """Every file that is there, by discovery."""
        rows = (self.ledger.file_by_path(path) for path in self._contents)
        return sorted((row for row in rows if row is not None and row.state != "gone"), key=lambda row: row.file_id)

    def _row(self, name: str) -> FileRow:
        row = self.ledger.file_by_path(ROOT + b"/" + name.encode())
        row = row or self.ledger.file_by_path(PROTECTED + b"/" + name.encode())
        assert row is not None, name
        return row

    def _key(self, path: bytes) -> FileKey:
        return FileKey(path, FileIdentity(7, self._inodes[path], 1000, 5))

    def _seen(self, row: FileRow) -> SeenRecord:
        content = self._contents[row.key.path]
        # of sizes that differ by more than the keeper's step, so that no pixels are asked for
        facts = ImageFacts(1000 + 50 * content, 800, "JPEG", "RGB")
        bits = digest_of(content)
        vectors = {SPACE.name: self.looks.vector(content).astype(np.float16)}
        return SeenRecord(row.file_id, row.key, digest_of(content), facts, PdqHash(bits, 90), (bits,) * 8, vectors)


def _name(path: bytes | None) -> str:
    assert path is not None, "only living pairs are listed"
    return path.rsplit(b"/", 1)[-1].decode()


def _nothing(*_: object) -> None:
    pass


def _nothing_there(path: bytes) -> object:
    raise FileNotFoundError(path)
