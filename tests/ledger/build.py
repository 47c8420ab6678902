"""Short words for what the ledger is fed with."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence

import numpy as np

from deepdupe_daemon.ledger import F16Array, FileRow, Ledger, SeenRecord
from deepdupe_daemon.model import (
    Arrival,
    Comparison,
    ExifFacts,
    FileIdentity,
    FileKey,
    ImageFacts,
    PdqHash,
    Relation,
    SpaceKey,
    Verdict,
    VerdictClass,
)

ROOT = b"/photos"
SPACE = SpaceKey("small", "final", 8, weights="v1")
OTHER = SpaceKey("other", "pooler", 4)
FACTS = ImageFacts(40, 30, "JPEG", "RGB", exif=ExifFacts(captured_at="2024:01:02 03:04:05", subsec="07", tag_count=3))


def identity(ino: int, *, size: int = 100, mtime_ns: int = 5_000) -> FileIdentity:
    return FileIdentity(dev=7, ino=ino, size=size, mtime_ns=mtime_ns)


def arrival(name: str | bytes, ino: int, *, live: bool = False, root: bytes = ROOT, mtime_ns: int = 5_000) -> Arrival:
    raw = name if isinstance(name, bytes) else name.encode()
    return Arrival(FileKey(root + b"/" + raw, identity(ino, mtime_ns=mtime_ns)), root, live)


def arrival_at(path: str | os.PathLike[str], root: str | os.PathLike[str], *, live: bool = True) -> Arrival:
    """What intake would say of a real file."""
    stat = os.lstat(path)
    key = FileKey(os.fsencode(path), FileIdentity(stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns))
    return Arrival(key, os.fsencode(root), live)


def digest_of(content: str) -> bytes:
    return hashlib.sha256(content.encode()).digest()


def vector_of(content: str, dim: int = 8) -> F16Array:
    """A unit vector that the content determines."""
    seed = int.from_bytes(digest_of(content)[:8], "little")
    row = np.random.default_rng(seed).standard_normal(dim)
    return (row / np.linalg.norm(row)).astype(np.float16)


def seen(row: FileRow, content: str, *spaces: SpaceKey) -> SeenRecord:
    """The sighting of a file whose bytes are `content`."""
    vectors = {space.name: vector_of(content, space.dim) for space in spaces or (SPACE,)}
    bits = digest_of(content)
    return SeenRecord(row.file_id, row.key, bits, FACTS, PdqHash(bits, 90), (bits,) * 8, vectors)


def add(ledger: Ledger, names: Sequence[str], *, content: str | None = None, index: bool = True) -> list[FileRow]:
    """Let files arrive, be seen and (by default) be judged without a verdict. The content is the name by default."""
    ledger.ensure_space(SPACE)
    taken = ledger.file_by_path
    ledger.note_arrivals([arrival(name, ino_of(name)) for name in names])
    rows = [row for row in (taken(ROOT + b"/" + name.encode()) for name in names) if row is not None]
    ledger.record_seen([seen(row, content or name) for row, name in zip(rows, names, strict=True)])
    if index:
        ledger.record_judged([row.file_id for row in rows], [])
    return [row for row in (taken(row.key.path) for row in rows) if row is not None]


def ino_of(name: str) -> int:
    return int.from_bytes(digest_of(name)[:4], "little")


def verdict(
    duplicate: FileRow, keeper: FileRow, verdict_class: VerdictClass = VerdictClass.RE_ENCODED, *, at_ns: int = 9
) -> Verdict:
    assert duplicate.digest is not None
    assert keeper.digest is not None
    return Verdict(
        verdict_class,
        duplicate.key,
        keeper.key,
        duplicate.digest,
        keeper.digest,
        {"small.final": 0.5},
        Comparison(Relation.SAME, 0.75, worst_tile=(0.0, 0.5, 0.25, 0.25), reason="tiles", measures={"ssim": 0.5}),
        ("sub-second",),
        "first",
        at_ns,
    )


def content_vectors(ledger: Ledger, space: SpaceKey) -> dict[int, list[float]]:
    """Every living vector of the space, by image id."""
    return {int(i): row.tolist() for ids, rows in ledger.vectors(space.name) for i, row in zip(ids, rows, strict=True)}
