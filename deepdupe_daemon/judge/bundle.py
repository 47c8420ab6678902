"""Files of one shot: RAW+JPEG, Live Photo image and movie, an edited rendering, sidecars, a burst stack.

A bundle moves as one, and its members are never duplicates of each other. Pure: names and tags in, groups out.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from deepdupe_daemon.model import ExifFacts

__all__ = ["Bundle", "BundleFile", "awaits_partner", "bundles", "same_bundle"]

_RAW = frozenset(
    b"3fr arw cr2 cr3 crw dcr dng erf fff iiq kdc mef mos mrw nef nrw orf pef raf raw rw2 rwl sr2 srf srw x3f".split()
)
_PICTURE = frozenset(b"jpg jpeg jpe heic heif hif avif png webp tif tiff jxl".split())
_MOVIE = frozenset(b"mov mp4 m4v".split())
_SIDECAR = frozenset(b"xmp aae json thm pp3 dop".split())
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
        shelves[_folder_and_stem(file.path)].append(file)
    groups = [group for shelf in shelves.values() for group in _shots(shelf)]
    return [Bundle(tuple(file.path for file in group)) for group in _joined_by_tags(groups) if len(group) > 1]


def same_bundle(a: BundleFile, b: BundleFile) -> bool:
    """Whether two pictures are members of one bundle, by their names: a RAW and its JPEG, a picture and its edit."""
    if a.path == b.path or _folder_and_stem(a.path) != _folder_and_stem(b.path):
        return False
    kinds = {_extension(a.path) in _RAW, _extension(b.path) in _RAW}
    return kinds == {True, False} or _bare(a.path) != _bare(b.path)


def awaits_partner(file: BundleFile) -> bool:
    """Whether the tags promise a partner file: a Live Photo's half comes with its movie, sooner or later."""
    return file.exif.content_id is not None


def _shots(shelf: list[BundleFile]) -> list[list[BundleFile]]:
    """One name may hold several shots: IMG_1.jpg and IMG_1.png are two pictures, and no bundle; a RAW joins them."""
    pictures = [file for file in shelf if _extension(file.path) in _PICTURE]
    others = [file for file in shelf if _extension(file.path) not in _PICTURE]
    whole_names = {_bare(file.path) for file in pictures}
    bound = any(_extension(file.path) in _RAW or _extension(file.path) in _MOVIE for file in others)
    if len(pictures) < 2 or bound or len(whole_names) > 1:
        return [shelf]
    # Sidecars that name one picture whole (IMG_1.jpg.json) go with it, the others with the first.
    homes: dict[bytes, list[BundleFile]] = {_name(file.path): [file] for file in pictures}
    first = _name(pictures[0].path)
    for sidecar in others:
        owner = _without_takeout(_name(sidecar.path).rsplit(b".", 1)[0])
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


def _moments(group: list[BundleFile]) -> set[tuple[str | None, str | None, int | None]]:
    return {(f.exif.captured_at, f.exif.subsec, f.exif.sequence_number) for f in group if f.exif.burst_id}


def _without_takeout(bare: bytes) -> bytes:
    rest, _, last = bare.rpartition(b".")
    return rest if len(last) >= 2 and _TAKEOUT.startswith(last) else bare


def _has_movie(group: list[BundleFile]) -> bool:
    return any(_extension(file.path) in _MOVIE for file in group)


def _folder(path: bytes) -> bytes:
    return path.rsplit(b"/", 1)[0]


def _name(path: bytes) -> bytes:
    return path.rsplit(b"/", 1)[-1].lower()


def _extension(path: bytes) -> bytes:
    name = _name(path)
    return name.rsplit(b".", 1)[1] if b"." in name[1:] else b""


def _bare(path: bytes) -> bytes:
    """The name without its extension, and without a picture's extension below a sidecar's (IMG_1.CR2.xmp)."""
    name = _name(path)
    if b"." not in name[1:]:
        return name
    bare, extension = name.rsplit(b".", 1)
    if extension in _SIDECAR:
        bare = _without_takeout(bare)
        inner = bare.rsplit(b".", 1)
        if len(inner) == 2 and inner[1] in _RAW | _PICTURE | _MOVIE:
            bare = inner[0]
    return bare


def _folder_and_stem(path: bytes) -> tuple[bytes, bytes]:
    bare = _bare(path)
    edited = _APPLE_EDIT.match(bare)
    return _folder(path), edited.group(1) + edited.group(2) if edited else bare
