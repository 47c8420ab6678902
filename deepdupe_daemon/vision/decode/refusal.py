"""Why a file yields no picture: the stable kinds, as the ledger and the journal show them."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["Kind", "Refusal"]


class Kind(StrEnum):
    """The slugs of `FileFailed.kind`. They are an interface: never rename one."""

    EMPTY = "empty"  # no bytes
    TRUNCATED = "truncated"  # the picture breaks off; it may still be arriving
    CORRUPT = "corrupt"  # a known format, but its decoder refuses it
    NOT_AN_IMAGE = "not-an-image"  # no format that is known here
    UNSUPPORTED = "unsupported"  # a picture, of a kind that is not decoded here
    TOO_LARGE = "too-large"  # more bytes than are read
    TOO_MANY_PIXELS = "too-many-pixels"  # more pixels than are decoded: a decompression bomb, or an honest giant
    OUT_OF_MEMORY = "out-of-memory"  # the worker's memory limit was reached
    TIMEOUT = "timeout"  # the worker did not finish in time and was killed
    CRASHED = "crashed"  # the worker died of it, twice
    CHANGED = "changed"  # other bytes than when it arrived, or it changed while it was read
    VANISHED = "vanished"  # no longer there
    UNREADABLE = "unreadable"  # the system does not let us read it
    NOT_A_FILE = "not-a-file"  # a folder, link, fifo, socket or device
    UNCOMPARED = "uncompared"  # the verifier failed on the pair
    INTERNAL = "internal"  # a fault of ours

    @property
    def retry(self) -> bool:
        """Whether the same bytes, or what has become of them, may be seen on a later try."""
        return self in _RETRY


#: a file that is renamed away and back while it is opened has vanished for a moment, with the identity that it had
_RETRY = frozenset({Kind.EMPTY, Kind.TRUNCATED, Kind.TIMEOUT, Kind.CHANGED, Kind.UNREADABLE, Kind.VANISHED})


class Refusal(Exception):
    """A file that yields no picture, as a decoder says it; the parent makes a FileFailed of it."""

    def __init__(self, kind: Kind, text: str) -> None:
        super().__init__(text)
        self.kind = kind
        self.text = text
