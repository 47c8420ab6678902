"""The pictures that the ladders start from: distractor photos of the evaluation images, and drawn pages.

Half of them, by a hash of the name, are held out: constants were set on the other half only, and both are reported.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from deepdupe_daemon.judge import PICTURE_SIDE_PX
from deepdupe_daemon.model import ImageFacts, InputSpec, PdqHash, U8Array
from deepdupe_daemon.vision.decode.colour import Profiles
from deepdupe_daemon.vision.decode.digest import pixel_digest
from deepdupe_daemon.vision.decode.opening import load_decoders
from deepdupe_daemon.vision.decode.picture import decode_picture
from deepdupe_daemon.vision.decode.sight import Decoder
from deepdupe_daemon.vision.decode.source import Source as FileSource
from tests.evaluation.documents import DOCUMENTS, document_pair

__all__ = ["Sight", "Source", "Workshop", "data_folder", "document_sources", "drawn", "photo_sources"]

_MAX_PIXELS = 500_000_000

#: photos of the ladders start at most this large: encoding a 12 MP AVIF a hundred times proves nothing more
_SOURCE_SIDE_PX = 2048


@dataclass(frozen=True, slots=True)
class Source:
    """A picture by name: a path below the data folder, or `drawn:KIND:SEED`."""

    name: str

    @property
    def held_out(self) -> bool:
        """Whether no constant was set with it."""
        return hashlib.sha256(self.name.encode()).digest()[0] % 2 == 1

    @property
    def seed(self) -> int:
        return int.from_bytes(hashlib.sha256(self.name.encode()).digest()[1:5], "big")


def data_folder() -> Path | None:
    """The evaluation images, or None where there are none."""
    named = os.environ.get("DEEPDUPE_TEST_DATA")
    folder = Path(named) if named else Path(__file__).resolve().parents[3] / "shared" / "data"
    return folder if folder.is_dir() else None


@dataclass(frozen=True, slots=True)
class Sight:
    """What the workers would make of a file."""

    pixels: U8Array  # upright, longer side PICTURE_SIDE_PX at most
    facts: ImageFacts
    pdq: PdqHash
    variants: tuple[bytes, ...]
    digest: bytes


class Workshop:
    """Decodes as the workers do, in this process. Not for threads."""

    def __init__(self) -> None:
        load_decoders()
        self._profiles = Profiles()
        self._decoder = Decoder([InputSpec(kind="pdq", side_px=16)], self._profiles, max_pixels=_MAX_PIXELS)

    def picture(self, data: bytes, side_px: int = PICTURE_SIDE_PX) -> U8Array:
        """The upright pixels. Raises Refusal."""
        return decode_picture(_source(data), self._profiles, side_px=side_px, max_pixels=_MAX_PIXELS).pixels

    def sight(self, data: bytes) -> Sight:
        """Everything of one file. Raises Refusal."""
        source = _source(data)
        seen = self._decoder.see(source)
        picture = decode_picture(source, self._profiles, side_px=PICTURE_SIDE_PX, max_pixels=_MAX_PIXELS)
        return Sight(picture.pixels, seen.facts, seen.pdq, seen.variants, source.digest)

    def pixel_digest(self, data: bytes) -> bytes:
        """The digest of the upright full-size pixels. Raises Refusal."""
        return pixel_digest(_source(data), self._profiles, _MAX_PIXELS)


def _source(data: bytes) -> FileSource:
    return FileSource(-1, len(data), hashlib.sha256(data).digest(), data[:4096], data)


def drawn(source: Source, folder: Path | None, workshop: Workshop) -> Image.Image:
    """The picture itself."""
    if source.name.startswith("drawn:"):
        _, kind, seed = source.name.split(":")
        return document_pair(kind, int(seed))[0]
    if folder is None:
        raise FileNotFoundError(source.name)
    return Image.fromarray(workshop.picture((folder / source.name).read_bytes(), _SOURCE_SIDE_PX))


#: sets of distinct photos; within `caltech101` only those that are in no labelled pair
_PHOTO_SETS = {
    "caltech101": "distractor photos",
    "boofcv": "holiday photos with look-alikes",
    "kodak": "lossless photos",
    "budgie": "CC0 photos at 4K and above",
    "perception": "distractor photos",
    "opensfm": "street views of one place",
}


def photo_sources(folder: Path) -> list[Source]:
    """Every distractor photo, by path."""
    manifest = json.loads((folder / "manifest.json").read_text())
    return sorted(
        (Source(f"{row['set']}/{row['path']}") for row in manifest if _PHOTO_SETS.get(row["set"]) == row["why"]),
        key=lambda source: source.name,
    )


def document_sources(each: int) -> Iterator[Source]:
    """`each` drawn pages of every kind."""
    for kind in DOCUMENTS:
        for seed in range(each):
            yield Source(f"drawn:{kind}:{seed}")
