"""Copies of a picture as people and programs make them, synthesised for `calibrate`: names, and bytes from a seed.

Made in a decoding worker from pixels that it has decoded, with Pillow's codecs and NumPy. On Pillow's images the
transforms of torchvision call these same operations of Pillow; a worker has no torch, whose libraries alone exceed its
address space.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

from deepdupe_daemon.vision.copies.names import EDITED, RE_ENCODED

if TYPE_CHECKING:
    from deepdupe_daemon.model import U8Array

__all__ = ["EDITED", "RE_ENCODED", "make_copy"]


def make_copy(pixels: U8Array, name: str, seed: int) -> bytes:
    """The encoded bytes of the copy `name` of an upright RGB picture (h, w, 3). Equal for equal arguments.

    `seed` chooses how strong the change is, within what is usual. Raises KeyError for a name that is none.
    """
    import numpy as np
    from PIL import Image

    from deepdupe_daemon.vision.copies import edited, re_encoded

    steps: Mapping[str, re_encoded.Step] = {**re_encoded.STEPS, **edited.STEPS}
    chance = np.random.default_rng([seed, zlib.crc32(name.encode())])
    return steps[name](Image.fromarray(pixels), chance)
