"""The pictures that the ladders start from: distractor photos of the evaluation images, and drawn pages.

Half of them, by a hash of the name, are held out: constants were set on the other half only, and both are reported.
"""

from __future__ import annotations

import hashlib
import io
import json
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from deepdupe_daemon.model import U8Array
from tests.evaluation.documents import DOCUMENTS, document_pair

__all__ = ["Source", "data_folder", "decoded", "document_sources", "drawn", "photo_sources", "upright"]

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
    import os

    named = os.environ.get("DEEPDUPE_TEST_DATA")
    folder = Path(named) if named else Path(__file__).resolve().parents[3] / "shared" / "data"
    return folder if folder.is_dir() else None


def upright(image: Image.Image) -> Image.Image:
    """`image` as a person sees it: orientation applied, alpha on white, RGB."""
    image = ImageOps.exif_transpose(image)
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        page = Image.new("RGBA", image.size, "white")
        page.alpha_composite(image)
        image = page
    elif image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    elif image.mode in ("I", "F"):
        values = np.asarray(image, np.float64)
        top = 255.0 if values.max() <= 255 and values.max() > 1 else max(float(values.max()), 1e-9)
        image = Image.fromarray(np.clip(values * (255.0 / top), 0, 255).astype(np.uint8))
    return image.convert("RGB")


def decoded(data: bytes | Path, side_px: int) -> U8Array:
    """The upright pixels of a file, longer side at most `side_px`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image = Image.open(io.BytesIO(data) if isinstance(data, bytes) else data)
        image.draft("RGB", (side_px, side_px))
        image = upright(image)
    if max(image.size) > side_px:
        scale = side_px / max(image.size)
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        image = image.resize(size, Image.Resampling.BOX if min(size) < 4 else Image.Resampling.BICUBIC)
    return np.asarray(image)


def drawn(source: Source, folder: Path | None) -> Image.Image:
    """The picture itself."""
    if source.name.startswith("drawn:"):
        _, kind, seed = source.name.split(":")
        return document_pair(kind, int(seed))[0]
    if folder is None:
        raise FileNotFoundError(source.name)
    return Image.fromarray(decoded(folder / source.name, _SOURCE_SIDE_PX))


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
