"""Files of one shot: RAW+JPEG, Live Photo image and movie, an edited rendering, sidecars, a burst stack.

A bundle moves as one, and its members are never duplicates of each other. Pure: names and tags in, groups out.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from deepdupe_daemon.judge.extensions import MOVIE, PICTURE, RAW, SIDECAR, extension, name_of
from deepdupe_daemon.model import ExifFacts

__all__ = ["Bundle", "BundleFile", "bundles", "same_bundle", "shot_name"]

_Moment = tuple[str | None, str | None, int | None]

#: what Google Takeout puts between a picture's whole name and `.json`, cut off where the name grows too long
_TAKEOUT = b"supplemental-metadata"
#: Apple names the edited rendering of IMG_1234 IMG_E1234, and the original's adjustments IMG_O1234
_APPLE_EDIT = re.compile(rb"^(img_)[eo](\d{4,})$")


@dataclass(frozen=True, slots=True)
class BundleFile:
    """A file by its absolute path, with the tags of those that are pictures or movies."""

    path: bytes
    exif: ExifFacts = field(default_factory=ExifFacts)


@dataclass(frozen=True, slots=True)
class Bundle:
    """Two or more files of one shot, in the order of their paths."""

    paths: tuple[bytes, ...]


def bundles(files: Iterable[BundleFile]) -> list[Bundle]:
    """The bundles among `files`, the same for any order; files that stand alone are left out."""
    shelves: dict[tuple[bytes, bytes], list[BundleFile]] = defaultdict(list)
    for file in sorted(files, key=lambda file: file.path):
        shelves[shot_name(file.path)].append(file)
    groups = [group for shelf in shelves.values() for group in _shots(shelf)]
    return [Bundle(tuple(file.path for file in group)) for group in _joined_by_tags(groups) if len(group) > 1]


def same_bundle(a: BundleFile, b: BundleFile) -> bool:
    """Whether two pictures are members of one bundle: a RAW and its JPEG, a picture and its edit, by their names; other
    frames of one burst, by their tags."""
    if a.path == b.path or _folder(a.path) != _folder(b.path):
        return False
    if a.exif.burst_id is not None and a.exif.burst_id == b.exif.burst_id:
        return _moment(a) != _moment(b)
    if shot_name(a.path) != shot_name(b.path):
        return False
    kinds = {extension(a.path) in RAW, extension(b.path) in RAW}
    return kinds == {True, False} or _bare(a.path) != _bare(b.path)


def _shots(shelf: list[BundleFile]) -> list[list[BundleFile]]:
    """One name may hold several shots: IMG_1.jpg and IMG_1.png are two pictures, and no bundle; a RAW joins them."""
    pictures = [file for file in shelf if extension(file.path) in PICTURE]
    others = [file for file in shelf if extension(file.path) not in PICTURE]
    whole_names = {_bare(file.path) for file in pictures}
    bound = any(extension(file.path) in RAW or extension(file.path) in MOVIE for file in others)
    if len(pictures) < 2 or bound or len(whole_names) > 1:
        return [shelf]
    # Sidecars that name one picture whole (IMG_1.jpg.json) go with it, the others with the first.
    homes: dict[bytes, list[BundleFile]] = {name_of(file.path): [file] for file in pictures}
    first = name_of(pictures[0].path)
    for sidecar in others:
        owner = _without_takeout(name_of(sidecar.path).rsplit(b".", 1)[0])
        homes.get(owner, homes[first]).append(sidecar)
    return list(homes.values())


def _joined_by_tags(groups: list[list[BundleFile]]) -> list[list[BundleFile]]:
    """Join, within a folder, the halves of a Live Photo under different names, and the different frames of a burst."""
    home: dict[tuple[str, bytes, str], int] = {}
    joined: list[list[BundleFile]] = []
    for group in groups:
        keys = {key for file in group for key in _tag_keys(file)}
        known = (home[key] for key in sorted(keys) if key in home and _joins(joined[home[key]], group, key))
        target = next(known, None)
        if target is None:
            joined.append(list(group))
            target = len(joined) - 1
        else:
            joined[target].extend(group)
        for key in keys:
            home.setdefault(key, target)
    return [sorted(group, key=lambda file: file.path) for group in joined]


def _tag_keys(file: BundleFile) -> list[tuple[str, bytes, str]]:
    folder = _folder(file.path)
    found = []
    if file.exif.content_id is not None:
        found.append(("live", folder, file.exif.content_id))
    if file.exif.burst_id is not None:
        found.append(("burst", folder, file.exif.burst_id))
    return found


def _joins(there: list[BundleFile], here: list[BundleFile], key: tuple[str, bytes, str]) -> bool:
    """A copy carries its original's tags too: only a movie joins a picture, and only another moment joins a burst."""
    if key[0] == "live":
        return _has_movie(there) != _has_movie(here)
    return not _moments(there) & _moments(here)


def _moments(group: list[BundleFile]) -> set[_Moment]:
    return {_moment(file) for file in group if file.exif.burst_id}


def _moment(file: BundleFile) -> _Moment:
    return file.exif.captured_at, file.exif.subsec, file.exif.sequence_number


def _without_takeout(bare: bytes) -> bytes:
    rest, _, last = bare.rpartition(b".")
    return rest if len(last) >= 2 and _TAKEOUT.startswith(last) else bare


def _has_movie(group: list[BundleFile]) -> bool:
    return any(extension(file.path) in MOVIE for file in group)


def _folder(path: bytes) -> bytes:
    return path.rsplit(b"/", 1)[0]


def _bare(path: bytes) -> bytes:
    """The name without its extension, and without a picture's extension below a sidecar's (IMG_1.CR2.xmp)."""
    name = name_of(path)
    if b"." not in name[1:]:
        return name
    bare, ending = name.rsplit(b".", 1)
    if ending in SIDECAR:
        bare = _without_takeout(bare)
        inner = bare.rsplit(b".", 1)
        if len(inner) == 2 and inner[1] in RAW | PICTURE | MOVIE:
            bare = inner[0]
    return bare


def shot_name(path: bytes) -> tuple[bytes, bytes]:
    """Folder and name by which the files of one shot are known: IMG_1 for IMG_1.CR2, IMG_1.CR2.xmp and IMG_E1.JPG."""
    bare = _bare(path)
    edited = _APPLE_EDIT.match(bare)
    return _folder(path), edited.group(1) + edited.group(2) if edited else bare
