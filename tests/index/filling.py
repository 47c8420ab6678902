"""A real ledger filled with images that never were files, and what the collections should make of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from deepdupe_daemon.clock import SystemClock
from deepdupe_daemon.index.halfrows import unit_rows
from deepdupe_daemon.ledger import Ledger, SeenRecord
from deepdupe_daemon.model import (
    Arrival,
    ExifFacts,
    F32Array,
    FileIdentity,
    FileKey,
    ImageFacts,
    PdqHash,
    SpaceKey,
)

ROOT = b"/photos"
PDQ = SpaceKey("pdq", "hash", 256, preprocessing='{"kind":"pdq"}')
CLIP = SpaceKey("clip-vit-b-32", "final", 64, weights="laion2b", weights_digest="ab" * 32)
FACTS = ImageFacts(4000, 3000, "JPEG", "RGB", exif=ExifFacts(captured_at="2024:01:02 03:04:05"))


def open_ledger(state_dir: Path) -> Ledger:
    return Ledger.open(state_dir, SystemClock())


def digest_of(number: int) -> bytes:
    return hashlib.sha256(b"image %d" % number).digest()


def row_of(number: int, space: SpaceKey) -> np.ndarray:
    """The float16 row of image `number`: signs for pdq, real numbers else."""
    rng = np.random.default_rng(number)
    if space.embedding == "hash":
        return ((rng.integers(0, 2, space.dim) * 2 - 1) / np.sqrt(space.dim)).astype(np.float16)
    row = rng.standard_normal(space.dim)
    return (row / np.linalg.norm(row)).astype(np.float16)


def path_of(number: int) -> bytes:
    return ROOT + b"/%d.jpg" % number


def see(ledger: Ledger, numbers: Iterable[int], *spaces: SpaceKey) -> None:
    """Images arrive and are seen: one file each, with a vector in every space."""
    numbers = list(numbers)
    for space in spaces:
        ledger.ensure_space(space)
    keys = [FileKey(path_of(n), FileIdentity(7, n + 1, 100, 5_000)) for n in numbers]
    ledger.note_arrivals([Arrival(key, ROOT, False) for key in keys])
    records = []
    for number, key in zip(numbers, keys, strict=True):
        file = ledger.file_by_path(key.path)
        assert file is not None
        bits = digest_of(number)
        vectors = {space.name: row_of(number, space) for space in spaces}
        records.append(SeenRecord(file.file_id, key, bits, FACTS, PdqHash(bits, 90), (), vectors))
    ledger.record_seen(records)


def expected(numbers: Iterable[int], space: SpaceKey) -> dict[str, F32Array]:
    """What the collection of `space` should hold: row id -> float32 row of unit length."""
    return {digest_of(n).hex()[:32]: unit_rows(row_of(n, space)[None])[0] for n in numbers}


def same_rows(ids: Iterable[str], rows: F32Array, wanted: dict[str, F32Array]) -> bool:
    """The same ids and rows. Rows to the last bit but one: Chroma normalises again (signs are equal to the bit)."""
    held = dict(zip(ids, rows, strict=True))
    if held.keys() != wanted.keys():
        return False
    bits = all(np.array_equal(held[key], row) for key, row in wanted.items() if len(np.unique(np.abs(row))) == 1)
    return bits and all(np.allclose(held[key], row, rtol=2**-22, atol=2**-24) for key, row in wanted.items())
