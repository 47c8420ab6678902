"""What a file's name says of its kind: lower-case extensions as bytes."""

from __future__ import annotations

__all__ = ["MOVIE", "PICTURE", "RAW", "SIDECAR", "extension", "name_of"]

RAW = frozenset(
    b"3fr arw cr2 cr3 crw dcr dng erf fff iiq kdc mef mos mrw nef nrw orf pef raf raw rw2 rwl sr2 srf srw x3f".split()
)
PICTURE = frozenset(b"jpg jpeg jpe heic heif hif avif png webp tif tiff jxl".split())
MOVIE = frozenset(b"mov mp4 m4v".split())
SIDECAR = frozenset(b"xmp aae json thm pp3 dop".split())


def name_of(path: bytes) -> bytes:
    """The file's name in lower case."""
    return path.rsplit(b"/", 1)[-1].lower()


def extension(path: bytes) -> bytes:
    """The extension in lower case, without its dot; empty where there is none."""
    name = name_of(path)
    return name.rsplit(b".", 1)[1] if b"." in name[1:] else b""
