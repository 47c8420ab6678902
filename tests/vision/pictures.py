"""Real pictures, and the models' own reference preprocessing up to uint8."""

from __future__ import annotations

import io
import json
import os
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageOps

from deepdupe_daemon.clock import SystemClock
from deepdupe_daemon.config import DecoderConfig
from deepdupe_daemon.model import FileIdentity, FileKey, InputSpec, U8Array
from deepdupe_daemon.vision import DecoderPool

_FILTERS = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}


def real_pictures(data_dir: Path, count: int) -> list[Image.Image]:
    """`count` pictures spread over the evaluation images, as RGB."""
    entries = json.loads((data_dir / "manifest.json").read_text(encoding="utf-8"))
    paths = [f"{entry['set']}/{entry['path']}" for entry in entries]
    paths = [path for path in paths if Path(path).suffix.lower() in (".jpg", ".jpeg", ".png")]
    found: list[Image.Image] = []
    for path in paths[:: max(1, len(paths) // (4 * count))]:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # broken files are there on purpose; they are left out below
                with Image.open(data_dir / path) as image:
                    if not 5e4 < image.width * image.height < 2e7 or min(image.size) < 64:
                        continue
                    found.append(image.convert("RGB"))
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            continue
        if len(found) == count:
            return found
    raise AssertionError(f"only {len(found)} of {count} pictures could be opened")


def reference_input(spec: InputSpec, picture: Image.Image) -> U8Array:
    """What torchvision's Resize and CenterCrop make of `picture`, before ToTensor: (side, side, 3) uint8."""
    side, method = spec.side_px, _FILTERS[spec.filter]
    if spec.fit == "squash":
        return np.asarray(picture.resize((side, side), method))
    shorter = spec.resize_px or side
    scale = shorter / min(picture.size)
    width, height = (
        (shorter, int(shorter * picture.height / picture.width))
        if picture.width <= picture.height
        else (int(shorter * picture.width / picture.height), shorter)
    )
    assert scale > 0
    resized = picture.resize((width, height), method)
    left, top = round((width - side) / 2), round((height - side) / 2)
    return np.asarray(resized.crop((left, top, left + side, top + side)))


def photo_files(data_dir: Path, count: int) -> list[Path]:
    """`count` plain RGB JPEG files spread over the evaluation images."""
    entries = json.loads((data_dir / "manifest.json").read_text(encoding="utf-8"))
    paths = [data_dir / entry["set"] / entry["path"] for entry in entries]
    paths = [path for path in paths if path.suffix.lower() in (".jpg", ".jpeg")]
    step = max(1, len(paths) // count)
    found: list[Path] = []
    for path in (path for first in range(step) for path in paths[first::step]):  # spread, however few are opened
        if len(found) == count:
            break
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # broken files are there on purpose; they are left out below
                with Image.open(path) as image:
                    if image.mode == "RGB" and min(image.size) >= 64 and image.width * image.height < 2e7:
                        image.load()
                        found.append(path)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            continue
    assert len(found) == count
    return found


def upright(path: Path) -> Image.Image:
    """The picture as a reference path is given it: decoded in full by Pillow, turned as its EXIF says, in sRGB.

    Without the last step a photo in Adobe RGB looks paler to a network than a copy of it in sRGB (cosine 0.9990 for
    ViT-B-32 of random weights); Pillow and the libraries' own transforms leave it out, the daemon does not.
    """
    with Image.open(path) as image:
        picture = ImageOps.exif_transpose(image).convert("RGB")
        profile = image.info.get("icc_profile")
    if profile is None:
        return picture
    own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    turned = ImageCms.profileToProfile(picture, own, ImageCms.createProfile("sRGB"))
    assert turned is not None
    return turned


def seen_inputs(paths: Sequence[Path], spec: InputSpec) -> list[U8Array]:
    """What the daemon's own decoding workers make of the files."""
    pool = DecoderPool(DecoderConfig(workers=1), [spec], clock=SystemClock(), claim=lambda *_: True)
    pool.start()
    try:
        futures = []
        for number, path in enumerate(paths):
            stat = path.lstat()
            identity = FileIdentity(stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns)
            futures.append(pool.see(number, FileKey(os.fsencode(path), identity), live=False))
        sightings = [future.result(120) for future in futures]
    finally:
        pool.stop(10)
    return [sighting.inputs[spec] for sighting in sightings if sighting is not None]
