"""Pictures to measure with: copies of a person's photos, or pictures of our own, in a temporary folder."""

from __future__ import annotations

import errno
import io
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from deepdupe_daemon.calibration import candidates
from deepdupe_daemon.clock import Clock
from deepdupe_daemon.errors import ConfigError, DeepDupeError, FileFailed, StateError
from deepdupe_daemon.model import FileIdentity, FileKey, display_path
from deepdupe_daemon.vision.opened import OpenedFile

__all__ = ["Pictures", "borrow", "keep_only", "make"]

#: larger files are passed over, and of the others so much is taken at the most: the copies want room
_MOST_FILE_BYTES = 64 * 1024**2
_MOST_BYTES = 2 * 1024**3
#: (width, height) of our own, round and round; each tenth picture is a copy of the one before it
_SIZES = ((1632, 1224), (816, 612), (1632, 1224), (1632, 1224), (4000, 3000), (816, 612))
_EACH = 10
_QUALITY, _COPY_QUALITY = 92, 75


@dataclass(frozen=True, slots=True)
class Pictures:
    """Files in a temporary folder. `read_s`: what reading each original took, as cold or warm as the disk was."""

    keys: tuple[FileKey, ...]
    read_s: tuple[float, ...]
    folder: Path
    source: str  # for people: the folder they come from, or that they were made


def _key_of(path: bytes) -> FileKey:
    found = os.lstat(path)
    return FileKey(path, FileIdentity(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns))


def borrow(
    folder: Path, into: Path, limit: int, *, seed: int, clock: Clock, on_step: Callable[[int, int], None]
) -> Pictures:
    """Copy up to `limit` files of `folder`, chosen by chance (`seed`), into the new folder `into`.

    Originals are opened for reading and nothing else. Raises ConfigError for what is no folder, StateError for one with
    no file that can be read, DeepDupeError where the copies find no room.
    """
    where = display_path(os.fsencode(folder))
    if not folder.is_dir():
        raise ConfigError("there is no such folder", where=where, hint="without a folder, pictures are made up")
    offered = candidates([os.fsencode(os.path.realpath(folder))], seed=seed)
    if not offered:
        raise StateError("there is no file in it", where=where, hint="name a folder with photos")
    into.mkdir()
    keys: list[FileKey] = []
    took: list[float] = []
    left = _MOST_BYTES
    for path in offered:
        if len(keys) >= limit:
            break
        began_s = clock.monotonic_s()
        data = _bytes_of(path, left)
        read_s = clock.monotonic_s() - began_s
        if data is None:
            continue
        left -= len(data)
        keys.append(_write(into, len(keys), _suffix(path), data))
        took.append(read_s)
        on_step(len(keys), min(limit, len(offered)))
    if not keys:
        raise StateError(f"none of its {len(offered):,} files can be read", where=where)
    return Pictures(tuple(keys), tuple(took), into, where)


def make(into: Path, count: int, *, clock: Clock, on_step: Callable[[int, int], None]) -> Pictures:
    """Paint `count` JPEGs of 0.5 to 12 MP with grain as a camera gives, each tenth a re-encoded copy."""
    into.mkdir()
    keys: list[FileKey] = []
    for number in range(count):
        keys.append(_write(into, number, ".jpg", _painted(number)))
        on_step(number + 1, count)
    took = []
    for key in keys:
        began_s = clock.monotonic_s()
        _bytes_of(key.path, _MOST_FILE_BYTES)
        took.append(clock.monotonic_s() - began_s)
    return Pictures(tuple(keys), tuple(took), into, "made for this, 0.5 to 12 MP")


def _bytes_of(path: bytes, left: int) -> bytes | None:
    """None for what cannot be had, or is too much."""
    try:
        with OpenedFile(path) as file:
            if not 0 < file.identity.size <= min(left, _MOST_FILE_BYTES):
                return None
            parts: list[bytes] = []
            while part := os.pread(file.fd, file.identity.size, sum(map(len, parts))):
                parts.append(part)
            return b"".join(parts)
    except (FileFailed, OSError):
        return None


def _write(into: Path, number: int, suffix: str, data: bytes) -> FileKey:
    path = into / f"{number:06}{suffix}"
    try:
        path.write_bytes(data)
    except OSError as error:
        hint = "TMPDIR names a folder with more room; --images takes fewer" if error.errno == errno.ENOSPC else None
        raise DeepDupeError(f"cannot be written: {error.strerror}", where=str(path), hint=hint) from error
    return _key_of(os.fsencode(path))


def _suffix(path: bytes) -> str:
    found = re.search(rb"\.[A-Za-z0-9]{1,8}$", path)
    return found.group().decode() if found else ""


def _painted(number: int) -> bytes:
    copy = number % _EACH == _EACH - 1
    seed = number - 1 if copy else number
    width, height = _SIZES[(seed - seed // _EACH) % len(_SIZES)]
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (9, 12, 3), dtype=np.uint8))
    pixels = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC)).astype(np.int16)
    for _ in range(24):
        top, left = int(rng.integers(0, height)), int(rng.integers(0, width))
        down, across = (rng.integers(2, 25, 2) * height // 100).tolist()
        pixels[top : top + down, left : left + across] += rng.integers(-90, 90, 3, dtype=np.int16)
    pixels += rng.integers(-8, 9, (height, width, 1), dtype=np.int16)
    out = io.BytesIO()
    picture = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
    picture.save(out, "JPEG", quality=_COPY_QUALITY if copy else _QUALITY)
    return out.getvalue()


def keep_only(pictures: Pictures, keys: Sequence[FileKey]) -> None:
    """Take the others out of the temporary folder: they are no pictures."""
    kept = {key.path for key in keys}
    for key in pictures.keys:
        if key.path not in kept:
            os.unlink(key.path)
