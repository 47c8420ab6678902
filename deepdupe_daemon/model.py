"""The frozen value types that cross rooms. Imports nothing of ours.

Paths are `bytes` throughout: a Linux file name is bytes, and one that is not UTF-8 is still somebody's photo.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt

__all__ = [
    "Arrival",
    "Candidate",
    "Comparison",
    "ExifFacts",
    "F32Array",
    "FileIdentity",
    "FileKey",
    "FileState",
    "ImageFacts",
    "InputSpec",
    "KeeperRule",
    "PdqHash",
    "Relation",
    "Sighting",
    "SpaceKey",
    "U8Array",
    "Verdict",
    "VerdictClass",
    "display_path",
    "display_text",
]

#: the same text for the same value
_CANONICAL = json.JSONEncoder(separators=(",", ":"), sort_keys=True)

#: an array of pixels
U8Array = npt.NDArray[np.uint8]
#: an array of embeddings, rows L2-normalised
F32Array = npt.NDArray[np.float32]


#: the rules that choose which of two copies stays; the words stand in the configuration and in the record
KeeperRule = Literal["protected", "chosen", "path", "pixels", "lossless", "compression", "metadata", "first"]


def display_path(path: bytes) -> str:
    """`path` for people: UTF-8 where it is, every control character and undecodable byte as a backslash escape."""
    return display_text(path.decode("utf-8", "surrogateescape"))


def display_text(text: str) -> str:
    """`text` as one printable line that any encoding takes: the rest as backslash escapes, `\\xNN` for a byte that came
    by `surrogateescape`.
    """
    return "".join(c if c.isprintable() else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    byte = ord(character) - 0xDC00
    return f"\\x{byte:02x}" if 0x80 <= byte <= 0xFF else character.encode("unicode_escape").decode("ascii")


@dataclass(frozen=True, slots=True)
class FileIdentity:
    """What `lstat` says of a file: enough to know that it is the one we saw, without reading it."""

    dev: int
    ino: int
    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class FileKey:
    """A name (absolute path, as bytes) and what rested there when we looked."""

    path: bytes
    identity: FileIdentity


class FileState(StrEnum):
    """Where a file stands in the sentence. Stored in the ledger; the words are an interface."""

    PENDING = "pending"  # arrived and settled, waits to be seen
    SEEN = "seen"  # vectors committed, waits to be judged
    INDEXED = "indexed"  # judged; every verdict about it is in the ledger
    FAILED = "failed"  # could not be seen; the reason is beside it
    IGNORED = "ignored"  # its bytes are no image
    GONE = "gone"  # no longer there


@dataclass(frozen=True, slots=True)
class Arrival:
    """A settled file. `live` is True for one that arrived under our eyes, False for one that a walk found."""

    key: FileKey
    root: bytes
    live: bool


@dataclass(frozen=True, slots=True)
class ExifFacts:
    """The tags that decide vetoes, bundles and keepers; None where the file does not say."""

    captured_at: str | None = None  # DateTimeOriginal as written, "YYYY:MM:DD HH:MM:SS"
    subsec: str | None = None  # SubSecTimeOriginal as written
    make: str | None = None
    camera: str | None = None
    sequence_number: int | None = None
    exposure_bias_ev: float | None = None
    exposure_mode: int | None = None  # 2 = auto bracket (EXIF 2.32, tag 0xA402)
    exposure_time_s: float | None = None
    unique_id: str | None = None  # ImageUniqueID
    content_id: str | None = None  # Apple Live Photo content identifier
    burst_id: str | None = None  # Apple burst UUID
    tag_count: int = 0


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What one decode says of a picture. `width_px` and `height_px` are upright, of the full-size picture."""

    width_px: int
    height_px: int
    format: str  # Pillow's name: "JPEG", "PNG", "HEIF", ...
    mode: str  # Pillow's mode as stored: "RGB", "L", "P", "I;16", "CMYK", ...
    frames: int = 1
    has_alpha: bool = False
    lossless: bool = False
    orientation: int = 1  # EXIF orientation as stored, 1 to 8
    exif: ExifFacts = field(default_factory=ExifFacts)

    def to_json(self) -> str:
        # by name, since `asdict` copies deeply and takes ten times as long: half of the time of a commit
        flat: dict[str, Any] = {name: getattr(self, name) for name in self.__slots__}
        flat["exif"] = {name: getattr(self.exif, name) for name in self.exif.__slots__}
        return _CANONICAL.encode(flat)

    @classmethod
    def from_json(cls, text: str) -> Self:
        raw: dict[str, Any] = json.loads(text)
        exif = ExifFacts(**raw.pop("exif", {}))
        return cls(**raw, exif=exif)


@dataclass(frozen=True, slots=True)
class PdqHash:
    """Meta's PDQ: 256 bits as 32 bytes (bit 0 first), and its quality 0 to 100 (below 50 the hash proves nothing)."""

    bits: bytes
    quality: int


@dataclass(frozen=True, slots=True)
class InputSpec:
    """What a model wants to be fed, as far as a decoding worker is concerned.

    `pdq`: the 32 hash bytes. `picture`: (side_px, side_px, 3) uint8 RGB, resized with `filter` either so that the
    shorter side fits and then centre-cropped (`crop`), or squashed to the square (`squash`). `resize_px` is the size
    of the shorter side before the crop, where it is not `side_px`. Mean, std and dtype are applied on the device.
    """

    kind: Literal["pdq", "picture"] = "picture"
    side_px: int = 224
    fit: Literal["crop", "squash"] = "crop"
    filter: Literal["bicubic", "bilinear"] = "bicubic"
    resize_px: int | None = None


@dataclass(frozen=True, slots=True)
class Sighting:
    """All that one read and one decode of a file yield. Arrays are owned by the receiver, never shared memory."""

    key: FileKey  # as fstat said before the read and again after it
    digest: bytes  # SHA-256 of the bytes, 32 bytes
    facts: ImageFacts
    pdq: PdqHash
    pdq_variants: tuple[bytes, ...]  # the 8 dihedral variants, 32 bytes each, the upright one first
    inputs: Mapping[InputSpec, U8Array]


@dataclass(frozen=True, slots=True)
class SpaceKey:
    """The identity of a space: model x embedding type x weights x preprocessing x dimension.

    Vectors of two different keys are never compared and never share a collection.
    """

    model: str
    embedding: str  # "final", "hidden", "pooler", "hash"
    dim: int
    weights: str = (
        ""  # a tag, or the digest's beginning: for people, and no part of the identity where there is a digest
    )
    weights_digest: str = ""  # hex SHA-256 of the weights that were loaded; "" for weight-free spaces
    preprocessing: str = ""  # canonical JSON of InputSpec, mean, std
    schema: int = 1

    @property
    def name(self) -> str:
        """`clip-vit-l-14.final`: the name that people and other programs use."""
        return f"{self.model}.{self.embedding}"

    def fingerprint(self) -> str:
        """16 hex digits over all that decides: equal only for spaces whose vectors may be compared.

        Weights are known by their digest, wherever they lie and by whatever tag they were asked for. The label that
        stands for them here is the one that a file without a tag has always had.
        """
        label = f"sha256:{self.weights_digest[:12]}" if self.weights_digest else self.weights
        canonical = json.dumps({**asdict(self), "weights": label}, separators=(",", ":"), sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Candidate:
    """An image that recall proposes. `variant` is the dihedral variant of the query that found it, 0 = upright."""

    space: str
    image_id: int
    similarity: float  # cosine, -1 to 1
    variant: int = 0


class Relation(StrEnum):
    """What the pixel-level verifier says of two pictures."""

    SAME = "same"  # one is a re-encode of the other
    EDITED = "edited"  # aligned common content, with a named transform
    SERIES = "series"  # the same scene, another shot
    DIFFERENT = "different"
    UNDECIDED = "undecided"  # too little information in the pictures


@dataclass(frozen=True, slots=True)
class Comparison:
    """The verifier's finding on two pictures (a, b), with its evidence. JSON-safe throughout."""

    relation: Relation
    score: float  # 0 to 1, of the most different tile
    transform: str = ""  # what made b of a: "", "mirrored", "rotated 90", "cropped to 53 %", ...
    worst_tile: tuple[float, float, float, float] | None = None  # x, y, width, height as shares of a, 0 to 1
    reason: str = ""  # which check decided, for `why`
    measures: Mapping[str, float] = field(default_factory=dict)
    transform_back: str = ""  # what made a of b, if a was the later one
    worst_tile_of_b: tuple[float, float, float, float] | None = None  # as shares of b

    def turned_round(self) -> Self:
        """The same finding on (b, a)."""
        measures = dict(self.measures)
        if {"kept", "filled"} <= measures.keys():  # shares of a that b shows, and of b that a covers
            measures["kept"], measures["filled"] = measures["filled"], measures["kept"]
        return replace(
            self,
            transform=self.transform_back,
            transform_back=self.transform,
            worst_tile=self.worst_tile_of_b,
            worst_tile_of_b=self.worst_tile,
            measures=measures,
        )

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "relation": str(self.relation), "measures": dict(self.measures)}

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Self:
        tile, tile_of_b = raw.get("worst_tile"), raw.get("worst_tile_of_b")
        return cls(
            relation=Relation(raw["relation"]),
            score=float(raw["score"]),
            transform=str(raw.get("transform", "")),
            worst_tile=tuple(tile) if tile is not None else None,
            reason=str(raw.get("reason", "")),
            measures={str(k): float(v) for k, v in raw.get("measures", {}).items()},
            transform_back=str(raw.get("transform_back", "")),
            worst_tile_of_b=tuple(tile_of_b) if tile_of_b is not None else None,
        )


class VerdictClass(StrEnum):
    """The classes of DESIGN section 4, strongest first."""

    IDENTICAL_BYTES = "identical-bytes"
    IDENTICAL_PIXELS = "identical-pixels"
    RE_ENCODED = "re-encoded"
    EDITED = "edited"
    SERIES = "series"
    RELATED = "related"

    @property
    def proven(self) -> bool:
        """Whether the class is a proof that one is a copy of the other, so that it may be acted on automatically."""
        return self in (VerdictClass.IDENTICAL_BYTES, VerdictClass.IDENTICAL_PIXELS, VerdictClass.RE_ENCODED)


@dataclass(frozen=True, slots=True)
class Verdict:
    """That `duplicate` is (or resembles) `keeper`, with the evidence. One row of the ledger, one alert."""

    verdict_class: VerdictClass
    duplicate: FileKey
    keeper: FileKey
    duplicate_digest: bytes
    keeper_digest: bytes
    similarities: Mapping[str, float]  # space name -> cosine, of the spaces that proposed the pair
    comparison: Comparison | None
    vetoes: tuple[str, ...]
    keeper_rule: str  # which rule chose the keeper
    decided_at_ns: int
