"""Which decoder a file's bytes ask for, and its header read by that decoder alone."""

from __future__ import annotations

import importlib
import io
import struct
import warnings
from collections.abc import Callable

from PIL import Image, ImageFile, UnidentifiedImageError

from deepdupe_daemon.vision.decode.container import breaks_off, jpeg_without_extras, mended_png, odd_jpeg
from deepdupe_daemon.vision.decode.refusal import Kind, Refusal
from deepdupe_daemon.vision.decode.source import Source

__all__ = ["FORMATS", "explain", "load_decoders", "open_header"]

#: Formats with an unmistakable signature, and their plug-ins: when the decoder refuses, the file is a broken picture.
_SIGNED = {
    "JPEG": "JpegImagePlugin", "PNG": "PngImagePlugin", "GIF": "GifImagePlugin", "WEBP": "WebPImagePlugin",
    "TIFF": "TiffImagePlugin", "BMP": "BmpImagePlugin", "AVIF": "AvifImagePlugin", "HEIF": "", "JXL": "",
    "JPEG2000": "Jpeg2KImagePlugin", "ICO": "IcoImagePlugin", "PSD": "PsdImagePlugin", "QOI": "QoiImagePlugin",
    "DDS": "DdsImagePlugin", "SGI": "SgiImagePlugin", "ICNS": "IcnsImagePlugin", "BLP": "BlpImagePlugin",
    "FTEX": "FtexImagePlugin", "DCX": "DcxImagePlugin", "SUN": "SunImagePlugin", "PIXAR": "PixarImagePlugin",
    "MSP": "MspImagePlugin", "XVTHUMB": "XVThumbImagePlugin", "XPM": "XpmImagePlugin", "FITS": "FitsImagePlugin",
}  # fmt: skip
#: Formats that other bytes resemble by chance, text above all: when their decoder refuses, the file is no picture.
_RESEMBLED = {
    "PPM": "PpmImagePlugin", "PCX": "PcxImagePlugin", "FLI": "FliImagePlugin", "GBR": "GbrImagePlugin",
    "CUR": "CurImagePlugin", "XBM": "XbmImagePlugin", "DIB": "BmpImagePlugin", "IM": "ImImagePlugin",
    "TGA": "TgaImagePlugin", "SPIDER": "SpiderImagePlugin",
}  # fmt: skip
#: Left out of what Pillow opens: EPS starts Ghostscript; WMF, BUFR, GRIB, HDF5 and MPEG are stubs; IPTC, IMT, MCIDAS
#: and PCD have next to no signature and no photos.
FORMATS = (*_SIGNED, *_RESEMBLED)
#: what those import only when a file asks for it
_LATE = ("MpoImagePlugin", "ImageCms", "ImagePalette")

#: Camera RAW, some of which would be taken for a TIFF.
_RAW: tuple[tuple[int, bytes, str], ...] = (
    (4, b"ftypcrx", "camera RAW (CR3)"),
    (8, b"CR\x02\x00", "camera RAW (CR2)"),
    (0, b"IIRO", "camera RAW (ORF)"),
    (0, b"IIRS", "camera RAW (ORF)"),
    (0, b"IIU\x00", "camera RAW (RW2)"),
    (0, b"FUJIFILMCCD-RAW", "camera RAW (RAF)"),
    (0, b"FOVb", "camera RAW (X3F)"),
)
#: Other pictures that nothing here decodes; JPEG XL where its plug-in is not installed.
_UNDECODED: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x76\x2f\x31\x01", "OpenEXR"),
    (0, b"#?RADIANCE", "Radiance HDR"),
    (0, b"%!PS", "PostScript"),
    (0, b"\xc5\xd0\xd3\xc6", "PostScript"),
    (0, b"8BPB", "PSB"),
    (0, b"\xff\x0a", "JPEG XL"),
    (0, b"\x00\x00\x00\x0cJXL \r\n\x87\n", "JPEG XL"),
)

_NEW_SUBFILE_TYPE, _SUB_IFDS, _DNG_VERSION = 254, 330, 50706


def load_decoders() -> tuple[str, ...]:
    """Import every decoder of FORMATS that is installed, and say which: after this, opening a file imports nothing.

    Decoders are kept to one thread each: the pool has a process a core.
    """
    for module in dict.fromkeys([*_SIGNED.values(), *_RESEMBLED.values(), *_LATE]):
        if module:
            importlib.import_module(f"PIL.{module}")
    for load in (_load_heif, _load_jxl, _single_thread_avif):
        load()
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    # Pillow warns of large pictures and odd metadata: we have limits of our own, and refusals
    warnings.simplefilter("ignore")
    return tuple(name for name in FORMATS if name in Image.OPEN)


def _load_heif() -> None:
    try:
        import pillow_heif
    except ImportError:
        return
    pillow_heif.register_heif_opener(decode_threads=1, thumbnails=False, depth_images=False, aux_images=False)


def _load_jxl() -> None:
    try:
        importlib.import_module("pillow_jxl")
    except ImportError:
        return


def _single_thread_avif() -> None:
    from PIL import AvifImagePlugin

    AvifImagePlugin.DEFAULT_MAX_THREADS = 1


def open_header(source: Source, max_pixels: int) -> ImageFile.ImageFile:
    """The picture's header, its pixels not yet decoded.

    Raises Refusal: not-an-image, unsupported, corrupt, truncated, too-many-pixels. `max_pixels` also bounds what a
    decoder opens inside the file.
    """
    Image.MAX_IMAGE_PIXELS = max_pixels // 2  # Pillow raises above twice this
    _refuse_signatures(source.head, _RAW)
    refused: Refusal | None = None
    for name in FORMATS:
        if not _resembles(source.head, name):
            continue
        try:
            image = _opened(source, name)
        except Exception as error:  # noqa: BLE001 - what a decoder raises on hostile bytes is anything at all
            if name in _SIGNED:
                refused = refused or explain(error, source, name)
            continue
        width, height = image.size
        if width < 1 or height < 1:
            raise Refusal(Kind.CORRUPT, f"{name}: {width} x {height} pixels")
        if width * height > max_pixels:
            raise Refusal(Kind.TOO_MANY_PIXELS, f"{width} x {height} pixels, {max_pixels} are decoded at the most")
        _refuse_raw(image)
        return image
    if refused is not None:
        raise refused
    _refuse_signatures(source.head, _UNDECODED)
    raise Refusal(Kind.NOT_AN_IMAGE, "no known picture format")


def _opened(source: Source, name: str) -> ImageFile.ImageFile:
    factory, _accept = Image.OPEN[name]
    if name == "PNG" and source.data is not None:
        return factory(io.BytesIO(mended_png(source.data)), "")
    try:
        return factory(source.open(), "")
    except Exception:
        if name != "JPEG" or source.data is None:
            raise
        # Pillow gives up the whole picture for some kinds of broken EXIF
        return factory(io.BytesIO(jpeg_without_extras(source.data)), "")


def _resembles(head: bytes, name: str) -> bool:
    if name not in Image.OPEN:
        return False
    _factory, accept = Image.OPEN[name]
    if name in _OWN_ACCEPT:
        return _OWN_ACCEPT[name](head)
    try:
        # a plug-in answers with text where it knows the signature but lacks its library
        return accept is not None and accept(head[:16]) is True
    except (struct.error, IndexError):
        return False  # too short for the plug-in to look at


def _is_tga(head: bytes) -> bool:
    """TGA has no signature, so every field of its header has to make sense (Truevision TGA 2.0, section C.3)."""
    if len(head) < 18:
        return False
    has_map, kind, map_depth, depth, flags = head[1], head[2], head[7], head[16], head[17]
    width, height = int.from_bytes(head[12:14], "little"), int.from_bytes(head[14:16], "little")
    mapped = has_map == 1 and map_depth in {15, 16, 24, 32} and depth == 8
    plain = has_map == 0 and head[3:8] == bytes(5) and depth in {8, 16, 24, 32}
    fits = (kind in {1, 9} and mapped) or (kind in {2, 3, 10, 11} and plain)
    return fits and width > 0 and height > 0 and flags & 0xC0 == 0


def _is_im(head: bytes) -> bool:
    return b"\x1a" in head[:512] and any(mark in head[:512] for mark in (b"Image type: ", b"Image size (x*y): "))


def _is_spider(head: bytes) -> bool:
    # Pillow checks nine of the header's numbers itself
    return len(head) >= 108


_OWN_ACCEPT: dict[str, Callable[[bytes], bool]] = {"TGA": _is_tga, "IM": _is_im, "SPIDER": _is_spider}


def _refuse_signatures(head: bytes, signatures: tuple[tuple[int, bytes, str], ...]) -> None:
    for offset, signature, what in signatures:
        if head.startswith(signature, offset):
            raise Refusal(Kind.UNSUPPORTED, f"{what} is not decoded here")


def _refuse_raw(image: ImageFile.ImageFile) -> None:
    """A camera RAW file is a TIFF whose first picture is a thumbnail: judged by that it would pass for a copy."""
    tags = getattr(image, "tag_v2", None)
    if tags is None:
        return
    kind = tags.get(_NEW_SUBFILE_TYPE, 0)
    reduced = isinstance(kind, int) and bool(kind & 1)
    if _DNG_VERSION in tags or (reduced and _SUB_IFDS in tags):
        raise Refusal(Kind.UNSUPPORTED, "camera RAW (TIFF based) is not decoded here")


def explain(error: BaseException, source: Source, name: str) -> Refusal:
    """What a decoder's exception means for the file."""
    if isinstance(error, Refusal):
        return error
    if isinstance(error, MemoryError):
        return Refusal(Kind.OUT_OF_MEMORY, f"{name}: not enough memory to decode it")
    if isinstance(error, Image.DecompressionBombError):
        return Refusal(Kind.TOO_MANY_PIXELS, f"{name}: {error}")
    text = _plain(error)
    cut = "truncat" in text.lower() or "Premature end" in text or isinstance(error, EOFError)
    if cut or breaks_off(source, name):
        return Refusal(Kind.TRUNCATED, f"{name}: {text}")
    if isinstance(error, UnidentifiedImageError):
        text = "its header is broken"
    if name == "JPEG" and (odd := odd_jpeg(source.data or source.head)):
        return Refusal(Kind.UNSUPPORTED, f"{odd} is not decoded here")
    return Refusal(Kind.CORRUPT, f"{name}: {text}")


def _plain(error: BaseException) -> str:
    text = " ".join(str(error).split())[:200]
    return "".join(c if c.isprintable() else "?" for c in text) or type(error).__name__
