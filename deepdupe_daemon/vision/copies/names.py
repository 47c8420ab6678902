"""The names of the copies. Apart from the code that makes them, so that naming them loads no codec."""

from __future__ import annotations

__all__ = ["EDITED", "RE_ENCODED"]

#: what keeps the picture: a calibrated threshold is chosen for these
RE_ENCODED: tuple[str, ...] = (
    "jpeg",
    "jpeg twice",
    "webp",
    "avif",
    "heic",
    "png palette",
    "smaller",
    "much smaller",
    "larger",
    "grey",
    "gamma",
    "brightness and contrast",
    "colours",
)

#: what changes what is seen: their recall is told beside it
EDITED: tuple[str, ...] = (
    "crop",
    "border",
    "caption",
    "watermark",
    "sticker",
    "screenshot",
    "photo filter",
    "blur",
    "noise",
    "stretched",
    "mirrored",
    "turned",
    "tilted",
)
