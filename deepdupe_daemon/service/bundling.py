"""Which files move with a file: its bundle as it rests on the disk, and whether it may move now."""

from __future__ import annotations

import filecmp
import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from deepdupe_daemon.judge import MOVIE, PICTURE, RAW, SIDECAR, BundleFile, bundles, extension, shot_name
from deepdupe_daemon.ledger import FileRow, Ledger, VerdictRow
from deepdupe_daemon.model import ExifFacts, FileState, VerdictClass, display_path
from deepdupe_daemon.service.movie_tags import movie_content_id

__all__ = ["Unit", "bundle_on_disk", "unit_of"]

_LIVING = (FileState.SEEN, FileState.INDEXED)


@dataclass(frozen=True, slots=True)
class Unit:
    """What moves as one: the pictures of a bundle with their verdicts, the one asked about first, and the files beside
    them. `held`: why it may not move (now); `again_at_ns`: when to ask again, where that is known."""

    verdicts: tuple[VerdictRow, ...]
    companions: tuple[bytes, ...] = ()  # sidecars, movies, RAWs that nothing here decodes: absolute paths
    held: str = ""
    again_at_ns: int | None = None


def bundle_on_disk(ledger: Ledger, path: bytes) -> tuple[bytes, ...]:
    """The files of the shot that `path` belongs to, by path, itself among them. Raises OSError for its folder.

    Movies and sidecars have no tags in the ledger, and the configuration may leave them out, so the folder is read.
    """
    folder = os.path.dirname(path)
    names = _regular_files(folder)
    here = [os.path.join(folder, name) for name in names]
    shelf = [each for each in here if shot_name(each) == shot_name(path)]
    tagged = {each: _tags(ledger, each) for each in shelf}
    files = [BundleFile(each, exif) for each, exif in tagged.items()]
    if any(exif.burst_id or exif.content_id for exif in tagged.values()):
        files = _with_tags(ledger, folder, here)
    found = (bundle.paths for bundle in bundles(files) if path in bundle.paths)
    return next(found, (path,))


def unit_of(
    ledger: Ledger, verdict: VerdictRow, *, classes: Collection[VerdictClass], now_ns: int, wait_s: float
) -> Unit:
    """What is to move with the duplicate of a current verdict, or why it may not. Writes nothing; reads the disk.

    A bundle moves only if each of its pictures is a duplicate of one of `classes` itself, and each of its other files
    but sidecars has its equal, byte by byte, in the keeper's bundle: no half of a Live Photo is ever taken for the
    other half's sake.
    """
    alone = Unit((verdict,))
    if verdict.duplicate_now is None or verdict.keeper_now is None:
        return replace(alone, held="one of the two files is no longer there")
    try:
        members = bundle_on_disk(ledger, verdict.duplicate_now)
        return _unit(ledger, verdict, members, classes, round(now_ns - wait_s * 1e9), wait_s)
    except OSError as failed:
        return replace(alone, held=f"its folder cannot be read: {failed.strerror}")


def _unit(
    ledger: Ledger,
    verdict: VerdictRow,
    members: tuple[bytes, ...],
    classes: Collection[VerdictClass],
    quiet_since_ns: int,
    wait_s: float,
) -> Unit:
    verdicts, companions = [verdict], list[bytes]()
    latest_ns = 0
    for member in members:
        row = ledger.file_by_path(member)
        latest_ns = max(latest_ns, os.lstat(member).st_ctime_ns, row.arrived_at_ns if row is not None else 0)
        if member == verdict.duplicate_now:
            continue
        held = ""
        if row is not None and row.state is FileState.PENDING:
            held = f"{_shown(member)}, of the same shot, has not been looked at yet"
        elif row is not None and row.state in _LIVING:
            own = _own_verdict(ledger, row, classes)
            if own is None:
                held = f"{_shown(member)}, of the same shot, is no duplicate"
            else:
                verdicts.append(own)
        elif extension(member) not in SIDECAR and not _has_equal(ledger, member, verdict.keeper_now):
            held = f"{_shown(member)}, of the same shot, has no copy beside {_shown(verdict.keeper_now or b'')}"
        else:
            companions.append(member)
        if held:
            return Unit(tuple(verdicts), tuple(companions), held)
    unit = Unit(tuple(verdicts), tuple(companions))
    if any(each.keeper_now in members for each in verdicts):
        return replace(unit, held="what would be kept is a file of the same shot")
    if latest_ns > quiet_since_ns:
        again_at_ns = round(latest_ns + wait_s * 1e9)
        return replace(unit, held="waits for late files of the same shot", again_at_ns=again_at_ns)
    return unit


def _own_verdict(ledger: Ledger, row: FileRow, classes: Collection[VerdictClass]) -> VerdictRow | None:
    rows = ledger.verdicts_for(row.key.path)
    own = next((each for each in rows if each.current and each.duplicate_file_id == row.file_id), None)
    return own if own is not None and own.living and own.verdict.verdict_class in classes else None


def _has_equal(ledger: Ledger, member: bytes, keeper: bytes | None) -> bool:
    if keeper is None:
        return False
    beside = (each for each in bundle_on_disk(ledger, keeper) if extension(each) == extension(member))
    return any(not os.path.samefile(each, member) and filecmp.cmp(each, member, shallow=False) for each in beside)


def _regular_files(folder: bytes) -> list[bytes]:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        with os.scandir(fd) as entries:
            return sorted(os.fsencode(entry.name) for entry in entries if entry.is_file(follow_symlinks=False))
    finally:
        os.close(fd)


def _tags(ledger: Ledger, path: bytes) -> ExifFacts:
    row = ledger.file_by_path(path)
    image = ledger.image(row.image_id) if row is not None and row.state in _LIVING and row.image_id else None
    return image.facts.exif if image is not None else ExifFacts()


def _with_tags(ledger: Ledger, folder: bytes, paths: Iterable[bytes]) -> list[BundleFile]:
    """Every file of the folder with its tags: of pictures from the ledger, of movies without a picture from the file.

    A movie whose name says what it belongs to is not opened.
    """
    known = ledger.facts_in(folder)
    files = []
    pictured = {shot_name(path) for path in paths if extension(path) in PICTURE | RAW}
    for path in paths:
        exif = known[path].exif if path in known else ExifFacts()
        if extension(path) in MOVIE and shot_name(path) not in pictured:
            exif = ExifFacts(content_id=movie_content_id(path))
        files.append(BundleFile(path, exif))
    return files


def _shown(path: bytes) -> str:
    return display_path(os.path.basename(path))
