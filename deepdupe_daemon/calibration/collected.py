"""What was collected of a few photos, as it rests on disk until the calibration is done: the unit of going on."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from deepdupe_daemon.errors import StateError
from deepdupe_daemon.model import ImageFacts, display_path

__all__ = ["Collected", "Photo", "Shelf"]


@dataclass(frozen=True, slots=True)
class Photo:
    """A photo of the sample."""

    path: bytes
    digest: bytes
    facts: ImageFacts


@dataclass(frozen=True, slots=True)
class Collected:
    """The photos among `offered`, in their order, and their rows: (space, "" or the copy's name) -> as `SpaceRows`."""

    offered: tuple[bytes, ...]
    photos: tuple[Photo, ...]
    rows: Mapping[tuple[str, str], npt.NDArray[Any]]
    seen_s: float  # to see the offered files
    embedded_s: Mapping[str, float]  # model name -> seconds
    embedded: int  # pictures that every model embedded, originals and copies


class Shelf:
    """A folder with one file for each `Collected`. Owned by the calibrating thread."""

    def __init__(self, folder: Path) -> None:
        """Makes the folder. Raises StateError."""
        self._folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise _unusable(folder, error) from error

    def put(self, number: int, collected: Collected) -> None:
        """Whole, or not at all. Raises StateError."""
        facts = {
            "offered": [path.hex() for path in collected.offered],
            "photos": [_photo_json(photo) for photo in collected.photos],
            "seen_s": collected.seen_s,
            "embedded_s": dict(collected.embedded_s),
            "embedded": collected.embedded,
            "keys": list(collected.rows),
        }
        arrays: dict[str, Any] = {f"rows_{index}": rows for index, rows in enumerate(collected.rows.values())}
        target = self._file(number)
        partial = target.with_suffix(".part")
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)  # another run of the same may have been done and cleared it
            with open(partial, "wb") as file:
                np.savez(file, facts=np.frombuffer(json.dumps(facts).encode(), np.uint8), **arrays)
            os.replace(partial, target)
        except OSError as error:
            raise _unusable(target, error) from error

    def get(self, number: int, offered: Sequence[bytes]) -> Collected | None:
        """What was collected of just these files, where that is there and whole."""
        try:
            with open(self._file(number), "rb") as opened, np.load(opened, allow_pickle=False) as file:
                facts = json.loads(file["facts"].tobytes())
                if facts["offered"] != [path.hex() for path in offered]:
                    return None
                keys = [(space, name) for space, name in facts["keys"]]
                return Collected(
                    offered=tuple(offered),
                    photos=tuple(_photo(raw) for raw in facts["photos"]),
                    rows={key: file[f"rows_{index}"] for index, key in enumerate(keys)},
                    seen_s=facts["seen_s"],
                    embedded_s=facts["embedded_s"],
                    embedded=facts["embedded"],
                )
        except (OSError, ValueError, KeyError, EOFError, BadZipFile):
            return None  # not there, or cut off by a crash of the machine: it is collected again

    def clear(self) -> None:
        """Forget everything: the calibration is done."""
        shutil.rmtree(self._folder, ignore_errors=True)  # another run of the same may have been first

    def _file(self, number: int) -> Path:
        return self._folder / f"{number:05d}.npz"


def _photo_json(photo: Photo) -> dict[str, Any]:
    return {"path": photo.path.hex(), "digest": photo.digest.hex(), "facts": asdict(photo.facts)}


def _photo(raw: Mapping[str, Any]) -> Photo:
    facts = ImageFacts.from_json(json.dumps(raw["facts"]))
    return Photo(bytes.fromhex(raw["path"]), bytes.fromhex(raw["digest"]), facts)


def _unusable(path: Path, error: OSError) -> StateError:
    where = display_path(os.fsencode(path))
    return StateError(f"cannot be written: {error.strerror}", where=where, hint="--state-dir names another folder")
