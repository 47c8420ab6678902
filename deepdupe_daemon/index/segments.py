"""Is a store fit to be opened? Reads Chroma's HNSW files without Chroma, which dies of torn ones.

Chroma 1.5.9 overwrites these files in place and never syncs them: a kill, a power cut or a full disk in that moment
tears them. Opened all the same they crash the process (SIGSEGV) or, worse, open, answer wrongly and grow without bound.
The layout is hnswlib's `saveIndexToFiles` with Chroma's id map beside it, as Chroma 1.5.9 writes it.
"""

from __future__ import annotations

import os
import pickle
import struct
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["check_store", "places_held"]

_HEADER, _ROWS, _LENGTHS, _LINKS = "header.bin", "data_level0.bin", "length.bin", "link_lists.bin"
_NAMES = "index_metadata.pickle"
_HEADER_BYTES = 100
# version, offset of level 0, capacity, elements, bytes per element, offset of label, offset of vector, highest level,
# entry point, M of upper levels, M of level 0, M (the last two fields, mult and ef_construction, do not matter here)
_HEADER_FIELDS = struct.Struct("<iQQQQQQiiQQQ")
_ROWS_AT_ONCE = 16384
_U32Array = npt.NDArray[np.uint32]


class _Header(NamedTuple):
    version: int
    offset_level0: int
    capacity: int
    elements: int
    element_bytes: int
    label_offset: int
    vector_offset: int
    highest_level: int
    entry_point: int
    upper_links: int
    level0_links: int
    links: int


class _TornError(Exception):
    """What is wrong, in words."""


class _PlainUnpickler(pickle.Unpickler):
    """Dictionaries, numbers and text only: the store is data, and data runs no code."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"names {module}.{name}")


def check_store(folder: str) -> list[str]:
    """What is torn in the store at `folder`, one line a segment; empty for a sound store, and where there is none.

    About 0.5 s per 100,000 x 1,024. Raises OSError for files that cannot be read.
    """
    if not os.path.isdir(folder):
        return []
    torn = []
    files = (_HEADER, _ROWS, _LENGTHS, _LINKS, _NAMES)
    folders = sorted(entry.path for entry in os.scandir(folder) if entry.is_dir())
    segments = [path for path in folders if any(os.path.exists(os.path.join(path, name)) for name in files)]
    if segments and not os.path.exists(os.path.join(folder, "chroma.sqlite3")):
        torn.append("chroma.sqlite3: missing, but there are segments")
    for segment in segments:
        try:
            _check_segment(segment)
        except _TornError as what:
            torn.append(f"{os.path.basename(segment)}: {what}")
    return torn


def places_held(folder: str) -> int:
    """Rows that the graphs of the store at `folder` have places for in use, deleted ones included.

    A store that is open may be read: a header that is just being written does not count.
    """
    held = 0
    for entry in os.scandir(folder) if os.path.isdir(folder) else ():
        try:
            held += _header(os.path.join(entry.path, _HEADER)).elements
        except (_TornError, OSError):
            continue
    return held


def _check_segment(segment: str) -> None:
    size = {name: _size(os.path.join(segment, name)) for name in (_HEADER, _ROWS, _LENGTHS, _LINKS, _NAMES)}
    if size[_NAMES] is None:
        if size[_LINKS]:
            raise _TornError(f"{_NAMES}: missing, but {_LINKS} has {size[_LINKS]} bytes")
        return  # never persisted: everything is still in SQLite's log, and these files are not read
    for name, held in size.items():
        if held is None:
            raise _TornError(f"{name}: missing")
    header = _header(os.path.join(segment, _HEADER))
    _check_sizes(header, size)
    _check_upper_links(header, os.path.join(segment, _LINKS))
    _check_rows(header, os.path.join(segment, _ROWS), _labels(os.path.join(segment, _NAMES)))


def _header(path: str) -> _Header:
    with open(path, "rb") as file:
        raw = file.read(_HEADER_BYTES + 1)
    if len(raw) != _HEADER_BYTES:
        raise _TornError(f"{_HEADER}: {len(raw)} bytes, not {_HEADER_BYTES}")
    header = _Header(*_HEADER_FIELDS.unpack_from(raw))
    if header.version != 1 or header.elements > header.capacity:
        raise _TornError(f"{_HEADER}: version {header.version}, {header.elements} rows of {header.capacity}")
    level0_bytes = 4 + 4 * header.level0_links
    if (
        not (header.links == header.upper_links <= header.level0_links <= 1 << 16)
        or header.offset_level0 != 0
        or header.vector_offset != level0_bytes
        or header.label_offset <= header.vector_offset
        or header.element_bytes != header.label_offset + 8
        or header.element_bytes % 4
    ):
        raise _TornError(f"{_HEADER}: fields that do not fit each other")
    if header.elements and not (0 <= header.entry_point < header.elements and 0 <= header.highest_level < 64):
        raise _TornError(f"{_HEADER}: entry {header.entry_point} at level {header.highest_level}")
    return header


def _check_sizes(header: _Header, size: dict[str, int | None]) -> None:
    # written in place and never cut: each holds at least the elements, and may hold the capacity it began with
    for name, each in ((_ROWS, header.element_bytes), (_LENGTHS, 4)):
        held = size[name] or 0
        if held < header.elements * each or held % each:
            raise _TornError(f"{name}: {held} bytes for {header.elements} rows of {each}")
    most = header.elements * (4 + max(1, header.highest_level) * 4 * (1 + header.upper_links))
    if (size[_LINKS] or 0) > most:
        raise _TornError(f"{_LINKS}: {size[_LINKS]} bytes where {most} are the most for {header.elements} rows")


def _check_upper_links(header: _Header, path: str) -> None:
    """Walk the lists of the upper levels: per element the bytes of its lists, then per level a count and the links."""
    words: list[int] = np.fromfile(path, dtype="<u4").tolist()
    if os.path.getsize(path) != 4 * len(words):
        raise _TornError(f"{_LINKS}: not a whole number of words")
    each = 1 + header.upper_links
    at = 0
    for element in range(header.elements):
        if at >= len(words):
            raise _TornError(f"{_LINKS}: ends at element {element} of {header.elements}")
        levels, rest = divmod(words[at], 4 * each)
        if rest or levels > header.highest_level or at + 1 + levels * each > len(words):
            raise _TornError(f"{_LINKS}: {words[at]} bytes of links at element {element}")
        for start in range(at + 1, at + 1 + levels * each, each):
            count = words[start] & 0xFFFF
            if count > header.upper_links or any(to >= header.elements for to in words[start + 1 : start + 1 + count]):
                raise _TornError(f"{_LINKS}: a link from element {element} to nowhere")
        at += 1 + levels * each
    if at != len(words):
        raise _TornError(f"{_LINKS}: {len(words) - at} words too many")


def _labels(path: str) -> npt.NDArray[np.uint64]:
    """The labels that the id map knows, sorted."""
    try:
        with open(path, "rb") as file:
            names = _PlainUnpickler(file).load()
        labels = np.fromiter(names["label_to_id"], dtype=np.uint64)
    except (pickle.UnpicklingError, EOFError, KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise _TornError(f"{_NAMES}: {error}"[:200]) from error
    labels.sort()
    return labels


def _check_rows(header: _Header, path: str, wanted: npt.NDArray[np.uint64]) -> None:
    """Links of level 0 lead somewhere, and the labels of the rows are those that the id map knows."""
    if not header.elements:
        labels = np.empty(0, np.uint64)
        living = np.empty(0, bool)
    else:
        shape = (header.elements, header.element_bytes // 4)
        rows: _U32Array = np.memmap(path, dtype="<u4", mode="r", shape=shape)
        labels = np.empty(header.elements, dtype=np.uint64)
        living = np.empty(header.elements, dtype=bool)
        for start in range(0, header.elements, _ROWS_AT_ONCE):
            part = rows[start : start + _ROWS_AT_ONCE]
            counts = part[:, 0] & 0xFFFF
            links = part[:, 1 : 1 + header.level0_links]
            used = np.arange(header.level0_links) < counts[:, None]
            if (counts > header.level0_links).any() or (links[used] >= header.elements).any():
                raise _TornError(f"{_ROWS}: a link from one of the elements {start} and on to nowhere")
            living[start : start + len(part)] = (part[:, 0] >> 16) & 1 == 0  # hnswlib's mark of a deleted element
            label = header.label_offset // 4
            labels[start : start + len(part)] = np.ascontiguousarray(part[:, label : label + 2]).view("<u8")[:, 0]
    if len(np.unique(labels)) != len(labels):
        raise _TornError(f"{_ROWS}: {len(labels) - len(np.unique(labels))} labels twice")
    if not np.array_equal(np.sort(labels[living]), wanted):
        raise _TornError(f"{_NAMES}: knows {len(wanted)} rows, {_ROWS} holds {int(living.sum())} living ones")


def _size(path: str) -> int | None:
    try:
        return os.path.getsize(path)
    except FileNotFoundError:
        return None
