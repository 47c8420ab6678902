"""The row types of the ledger. All frozen, so any thread may keep them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from deepdupe_daemon.model import Comparison, FileKey, FileState, ImageFacts, PdqHash, Verdict, VerdictClass

__all__ = ["F16Array", "FileRow", "I64Array", "ImageRow", "Noted", "PairRow", "SeenRecord", "Standing", "VerdictRow"]

#: rows of a space as they rest: float16, L2-normalised before rounding
F16Array = npt.NDArray[np.float16]
#: (path, dev, ino, size, mtime_ns, state) as they rest: identity numbers over 63 bits are text, the state is its word
KnownRow = tuple[Any, ...]
#: image ids
I64Array = npt.NDArray[np.int64]

#: PDQ has 8 dihedral variants of 32 bytes
_PDQ_BYTES = 32
_PDQ_VARIANTS = 8


class Noted(StrEnum):
    """What `note_arrivals` made of an arrival. Anything but KNOWN changed the ledger."""

    KNOWN = "known"  # same identity as recorded, not to be retried: nothing was written
    PENDING = "pending"  # new, changed, to be retried, or back again: work waits for it (`take_pending` or `take_seen`)
    MOVED = "moved"  # a known file under a new path: same row, same image, no decode


@dataclass(frozen=True, slots=True)
class FileRow:
    """A file as the ledger knows it. `file_id` is the order of discovery: who was there first."""

    file_id: int
    key: FileKey
    root: bytes
    state: FileState
    image_id: int | None
    digest: bytes | None  # SHA-256 of the bytes, where they were read
    live: bool
    attempts: int  # how often it could not be seen
    error_kind: str | None
    error: str | None
    arrived_at_ns: int
    retry_at_ns: int | None


@dataclass(frozen=True, slots=True)
class ImageRow:
    """The content of one or more files with the same bytes."""

    image_id: int
    digest: bytes  # SHA-256 of the bytes, 32 bytes
    pixel_digest: bytes | None  # of the upright full-size pixels, where it was asked for
    facts: ImageFacts
    pdq: PdqHash
    pdq_variants: tuple[bytes, ...]
    first_seen_at_ns: int


@dataclass(frozen=True, slots=True, eq=False)
class SeenRecord:
    """One file's sighting with its embeddings: what `record_seen` commits. Float16 rows of shape (dim,) by space name.

    Raises ValueError for a vector with NaN or infinity, so that one bad image never fails the transaction of its batch.
    """

    file_id: int
    key: FileKey
    digest: bytes
    facts: ImageFacts
    pdq: PdqHash
    pdq_variants: tuple[bytes, ...]
    vectors: Mapping[str, F16Array]

    def __post_init__(self) -> None:
        if len(self.pdq.bits) != _PDQ_BYTES or any(len(v) != _PDQ_BYTES for v in self.pdq_variants):
            raise ValueError("a PDQ hash has 32 bytes")
        if len(self.pdq_variants) not in (0, _PDQ_VARIANTS):
            raise ValueError("PDQ has 8 dihedral variants, or none were derived")
        for name, row in self.vectors.items():
            if row.ndim != 1 or not np.isfinite(row).all():
                raise ValueError(f"space {name}: a vector is one row of finite numbers")


@dataclass(frozen=True, slots=True)
class VerdictRow:
    """A verdict with its place in history. `verdict` says what was decided and how things were named then."""

    verdict_id: int
    verdict: Verdict
    duplicate_file_id: int
    keeper_file_id: int
    first: bool  # no earlier verdict said that these bytes at this file are a duplicate
    alerted_at_ns: int | None
    superseded_by: int | None  # the verdict that took its place
    closed_at_ns: int | None  # None: this is the current verdict on its duplicate
    closed_reason: str | None  # "superseded", "changed", "judged again", "marked not-duplicate", "refused: cycle"
    duplicate_now: bytes | None  # where the duplicate rests now; None: no longer there, or with other bytes
    keeper_now: bytes | None  # the same for the keeper

    @property
    def label(self) -> str:
        """`v42`: how people and journal fields name this verdict."""
        return f"v{self.verdict_id}"

    @property
    def current(self) -> bool:
        return self.closed_at_ns is None

    @property
    def living(self) -> bool:
        """Both files rest where `duplicate_now` and `keeper_now` say, with the bytes that were judged."""
        return self.duplicate_now is not None and self.keeper_now is not None


@dataclass(frozen=True, slots=True)
class Standing:
    """The current verdict on a file, in short: what it takes to see whether a judgement says anything new."""

    verdict_class: VerdictClass
    image_id: int  # of the duplicate, as it was judged
    keeper_file_id: int
    keeper_image_id: int
    keeper_there: bool  # it rests somewhere with the bytes that were judged

    @property
    def in_group(self) -> bool:
        """Whether the file is a proven copy of a keeper that is there, and so no keeper itself."""
        return self.verdict_class.proven and self.keeper_there


@dataclass(frozen=True, slots=True)
class PairRow:
    """What was found of two images, for whichever files hold them."""

    low_image_id: int
    high_image_id: int
    proposed: bool  # recall found it; else one was proposed for a copy of the other
    similarities: Mapping[str, float]  # space name -> cosine, raw
    normalised: Mapping[str, float]  # space name -> score by the space's own rule, where it has one
    same_pixels: bool | None  # None: not needed yet
    comparison: Comparison | None  # told from the lower id to the higher
    verifier: int  # which verifier made the comparison

    def other(self, image_id: int) -> int:
        """The image at the other end."""
        return self.high_image_id if self.low_image_id == image_id else self.low_image_id
