"""Real pictures, and the models' own reference preprocessing up to uint8."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
from PIL import Image

from deepdupe_daemon.model import InputSpec, U8Array

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
