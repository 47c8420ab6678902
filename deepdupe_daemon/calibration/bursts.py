"""Shots taken within seconds of each other: the hardest photos to tell apart that are no copies."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import datetime

from deepdupe_daemon.calibration.collected import Photo

__all__ = ["BURST_S", "burst_pairs"]

#: two shots of one camera at most so far apart count as neighbours in time
BURST_S = 10.0


def burst_pairs(photos: Sequence[Photo]) -> list[tuple[int, int]]:
    """Neighbours by capture time, by number, the lower one first: same camera, at most `BURST_S` apart."""
    taken = []
    for number, photo in enumerate(photos):
        at_s = _captured_s(photo)
        if at_s is not None:
            taken.append((photo.facts.exif.make or "", photo.facts.exif.camera or "", at_s, number))
    taken.sort()
    pairs = []
    for one, other in itertools.pairwise(taken):
        if one[:2] == other[:2] and other[2] - one[2] <= BURST_S:
            pairs.append((min(one[3], other[3]), max(one[3], other[3])))
    return pairs


def _captured_s(photo: Photo) -> float | None:
    """DateTimeOriginal with its fraction, as seconds; the zone does not matter between neighbours."""
    exif = photo.facts.exif
    try:
        moment = datetime.strptime(exif.captured_at or "", "%Y:%m:%d %H:%M:%S")  # noqa: DTZ007 - EXIF has no zone here
    except ValueError:
        return None
    fraction = float(f"0.{exif.subsec}") if exif.subsec and exif.subsec.isdecimal() else 0.0
    return (moment - datetime(1970, 1, 1)).total_seconds() + fraction  # noqa: DTZ001 - the same
