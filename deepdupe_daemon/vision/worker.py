"""A decoding worker: the process in which other people's bytes meet other people's decoders.

Started by `worker_process` as `python -P -m deepdupe_daemon.vision.worker SOCKET SLAB PARENT`. It limits itself,
imports every decoder, gives up network, processes and the file system, says `ready`, and then answers one request at
a time:

- `see` + a file: reads and hashes it and sends the digest; on `{"decode": true}` decodes it, puts the inputs into the
slab
  and sends facts and hashes.
- `time` + a file: sees it as `see` would, without the question, and says how long each step took.
- `pixels` + a file and the digest it must have: the digest of its pixels.
- `copy` + a file, its digest, and the name and seed of a copy: makes that copy in memory and sees it as `see` would.
- `compare` + two files, their digests, a size and a function's dotted name: what the function says of the two pictures.
- `render` + one or two files, the same, and the function's further arguments: the picture that the function gives,
  encoded, in parts; the next part is asked for with `{"next": true}`.

A file that yields nothing is answered with `refused` and a kind. One thread; ends when its socket does.
"""

from __future__ import annotations

import base64
import hashlib
import importlib
import io
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from PIL import Image

from deepdupe_daemon.clock import SystemClock
from deepdupe_daemon.vision.decode.colour import Profiles
from deepdupe_daemon.vision.decode.digest import pixel_digest
from deepdupe_daemon.vision.decode.opening import load_decoders
from deepdupe_daemon.vision.decode.picture import Picture, PictureShelf, decode_picture
from deepdupe_daemon.vision.decode.refusal import Kind, Refusal
from deepdupe_daemon.vision.decode.sight import Decoder, Seen
from deepdupe_daemon.vision.decode.source import Source, read_source
from deepdupe_daemon.vision.limits import Limits, allow_cpu_time
from deepdupe_daemon.vision.sandbox import die_with_parent, import_folders, lock_down
from deepdupe_daemon.vision.slab import Slab
from deepdupe_daemon.vision.wire import PART_BYTES, Line, facts_to_wire, spec_from_wire

__all__ = ["main"]

_SHELF_BYTES = 64 * 1024 * 1024


class Worker:
    """Answers requests. `settings` is the first message of the daemon."""

    def __init__(self, line: Line, slab_fd: int, settings: Mapping[str, Any]) -> None:
        specs = [spec_from_wire(raw) for raw in settings["specs"]]
        self._line = line
        self._slab = Slab(slab_fd, specs)
        self._timeout_s = float(settings["timeout_s"])
        self._max_bytes = int(settings["max_bytes"])
        self._max_pixels = int(settings["max_pixels"])
        self._profiles = Profiles()
        self._decoder = Decoder(specs, self._profiles, max_pixels=self._max_pixels)
        self._shelf = PictureShelf(_SHELF_BYTES)
        self._answers: dict[str, Callable[[Mapping[str, Any], list[int]], Mapping[str, Any]]] = {
            "see": self._see,
            "time": self._time,
            "pixels": self._pixels,
            "compare": self._compare,
            "copy": self._copy,
            "render": self._render,
        }

    def serve(self) -> None:
        """Answer until the daemon hangs up."""
        while True:
            request, files = self._line.receive_with_files()
            if request is None:
                return
            try:
                allow_cpu_time(self._timeout_s)
                self._line.send(self._answer(request, files))
            finally:
                for fd in files:
                    os.close(fd)

    def _answer(self, request: Mapping[str, Any], files: list[int]) -> Mapping[str, Any]:
        try:
            return self._answers[request["do"]](request, files)
        except Refusal as refusal:
            return {"refused": str(refusal.kind), "text": refusal.text}
        except MemoryError:
            return {"refused": str(Kind.OUT_OF_MEMORY), "text": "not enough memory to decode it"}
        except OSError as error:
            return {"refused": str(Kind.UNREADABLE), "text": _plain(f"{error.strerror} while it was read")}
        except Exception as error:  # noqa: BLE001 - a fault of ours costs one file, not the worker
            return {"refused": str(Kind.INTERNAL), "text": _plain(f"{type(error).__name__}: {error}")}

    def _see(self, _request: Mapping[str, Any], files: list[int]) -> Mapping[str, Any]:
        source = read_source(files[0], self._max_bytes)
        self._line.send({"digest": source.digest.hex(), "bytes": source.size})
        answer = self._line.receive()
        if answer is None:
            raise SystemExit(0)
        if not answer["decode"]:
            return {"left": True}
        return self._decode(source)

    def _time(self, _request: Mapping[str, Any], files: list[int]) -> Mapping[str, Any]:
        clock = SystemClock()
        began_s = clock.monotonic_s()
        source = read_source(files[0], self._max_bytes)
        read_s = clock.monotonic_s()
        if source.data is not None:
            hashlib.sha256(source.data).digest()  # once more, alone: `read_source` reads and hashes in one
        hashed_s = clock.monotonic_s()
        raster = self._decoder.decode(source)
        decoded_s = clock.monotonic_s()
        answer = self._written(self._decoder.prepare(raster))
        prepared_s = clock.monotonic_s()
        steps = {
            "read": max(0.0, (read_s - began_s) - (hashed_s - read_s)),
            "hash": hashed_s - read_s,
            "decode": decoded_s - hashed_s,
            "prepare": prepared_s - decoded_s,
        }
        return {**answer, "digest": source.digest.hex(), "steps_ns": {k: round(s * 1e9) for k, s in steps.items()}}

    def _decode(self, source: Source) -> Mapping[str, Any]:
        return self._written(self._decoder.see(source))

    def _written(self, seen: Seen) -> Mapping[str, Any]:
        """Inputs into the slab, and the answer that goes with them."""
        self._slab.write(seen.inputs)
        return {
            "facts": facts_to_wire(seen.facts),
            "quality": seen.pdq.quality,
            "variants": b"".join(seen.variants).hex(),
        }

    def _copy(self, request: Mapping[str, Any], files: list[int]) -> Mapping[str, Any]:
        from deepdupe_daemon.vision.copies import make_copy  # codecs that only `calibrate` writes with

        picture = self._picture(files[0], bytes.fromhex(request["digest"]), int(request["side_px"]))
        data = make_copy(picture.pixels, str(request["name"]), int(request["seed"]))
        digest = hashlib.sha256(data).digest()
        answer = self._decode(Source(-1, len(data), digest, data[:4096], data))
        return {**answer, "digest": digest.hex()}

    def _pixels(self, request: Mapping[str, Any], files: list[int]) -> Mapping[str, Any]:
        source = read_source(files[0], self._max_bytes)
        if source.digest.hex() != request["digest"]:
            raise Refusal(Kind.CHANGED, "its bytes are others than when it was indexed")
        return {"pixels": pixel_digest(source, self._profiles, self._max_pixels).hex()}

    def _compare(self, request: Mapping[str, Any], files: list[int]) -> Mapping[str, Any]:
        pictures = self._pictures(request, files)
        if isinstance(pictures, Mapping):
            return pictures
        a, b = pictures
        compare = _function(request)
        try:
            found = compare(a.pixels.copy(), b.pixels.copy(), a_facts=asdict(a.facts), b_facts=asdict(b.facts))
        except MemoryError:
            raise
        except Exception as error:
            raise Refusal(Kind.UNCOMPARED, _plain(f"{type(error).__name__}: {error}")) from error
        return {"comparison": found.to_dict()}

    def _render(self, request: Mapping[str, Any], files: list[int]) -> Mapping[str, Any]:
        pictures = self._pictures(request, files)
        if isinstance(pictures, Mapping):
            return pictures
        drawn = _function(request)(*(picture.pixels.copy() for picture in pictures), **request["arguments"])
        out = io.BytesIO()
        Image.fromarray(drawn).save(out, request["kind"], **request["options"])
        data = out.getvalue()
        parts = [data[at : at + PART_BYTES] for at in range(0, len(data), PART_BYTES)]
        for part in parts[:-1]:
            self._line.send({"part": base64.b64encode(part).decode(), "more": True})
            if self._line.receive() is None:
                raise SystemExit(0)
        return {"part": base64.b64encode(parts[-1]).decode(), "more": False}

    def _pictures(self, request: Mapping[str, Any], files: list[int]) -> list[Picture] | Mapping[str, Any]:
        """Those of the files in order, or the answer that says which of them is refused."""
        side_px = int(request["side_px"])
        pictures = []
        for which, (fd, digest) in enumerate(zip(files, request["digests"], strict=True)):
            try:
                pictures.append(self._picture(fd, bytes.fromhex(digest), side_px))
            except Refusal as refusal:
                return {"refused": str(refusal.kind), "text": refusal.text, "which": which}
            except MemoryError:
                return {"refused": str(Kind.OUT_OF_MEMORY), "text": "not enough memory to decode it", "which": which}
        return pictures

    def _picture(self, fd: int, digest: bytes, side_px: int) -> Picture:
        picture = self._shelf.get(digest, side_px)
        if picture is None:
            source = read_source(fd, self._max_bytes)
            if source.digest != digest:
                raise Refusal(Kind.CHANGED, "its bytes are others than when it was indexed")
            picture = decode_picture(source, self._profiles, side_px=side_px, max_pixels=self._max_pixels)
            self._shelf.put(digest, side_px, picture)
        return picture


def _function(request: Mapping[str, Any]) -> Callable[..., Any]:
    """The top-level function that the daemon names."""
    module, _, name = str(request["call"]).partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return found


def _plain(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)[:300]


def main(arguments: list[str]) -> int:
    """Serve on the socket and the slab whose descriptors are given, as a child of the process given."""
    socket_fd, slab_fd, parent_pid = (int(argument) for argument in arguments)
    die_with_parent(parent_pid)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the daemon finishes what is in hand; it ends us by hanging up
    line = Line(socket.socket(fileno=socket_fd))
    settings = line.receive()
    if settings is None:
        return 0
    formats = load_decoders()
    Limits(int(settings["memory_bytes"])).apply()
    worker = Worker(line, slab_fd, settings)
    os.close(slab_fd)
    protections = lock_down(import_folders())
    _fall_silent()
    line.send({"ready": formats, "protections": protections})
    worker.serve()
    return 0


def _fall_silent() -> None:
    """libtiff and others write a line for every oddity of a hostile file; what matters comes back as a refusal."""
    nowhere = 1  # stdout was opened on /dev/null
    os.dup2(nowhere, 2)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
