"""The things that are asked of a worker, as the daemon asks them: open, ask, check every answer, give the result.

Each request object belongs to one task. It may be carried out twice, where the first worker died of it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from deepdupe_daemon.clock import Clock
from deepdupe_daemon.errors import FileFailed
from deepdupe_daemon.model import Comparison, FileKey, InputSpec, PdqHash, Sighting, U8Array
from deepdupe_daemon.vision.decode.refusal import Kind
from deepdupe_daemon.vision.opened import OpenedFile, failure
from deepdupe_daemon.vision.wire import (
    Garbled,
    comparison_from_wire,
    digest_from_wire,
    facts_from_wire,
    part_from_wire,
    text_from_wire,
    whole_from_wire,
)
from deepdupe_daemon.vision.worker_process import Budget, WorkerDied, WorkerProcess

__all__ = [
    "Claim",
    "CompareRequest",
    "CopyRequest",
    "PixelRequest",
    "RenderRequest",
    "SeeRequest",
    "StepTimes",
    "TimeRequest",
]

#: whether bytes of this digest, found in this file, are to be decoded
Claim = Callable[[int, FileKey, bytes], bool]
_VARIANTS, _HASH_BYTES = 8, 32
#: what a rendered picture must begin with, and the most that it may hold
_MAGIC = {"JPEG": b"\xff\xd8\xff", "PNG": b"\x89PNG"}
_MAX_PICTURE_BYTES = 32 * 1024 * 1024
_Result = TypeVar("_Result")


class SeeRequest:
    """Sighting of a file, or None where its bytes are known already."""

    def __init__(
        self, file_id: int, key: FileKey, *, specs: Sequence[InputSpec], claim: Claim, timeout_s: float, clock: Clock
    ) -> None:
        self.paths = (key.path,)
        self._file_id = file_id
        self._key = key
        self._specs = specs
        self._claim = claim
        self._timeout_s = timeout_s
        self._clock = clock
        self._claimed: bytes | None = None

    def __call__(self, worker: WorkerProcess) -> Sighting | None:
        budget = Budget(self._timeout_s, self._clock)
        path = self._key.path
        with OpenedFile(path, self._key.identity) as file:
            answer = _checked(worker.ask({"do": "see"}, [file.fd], budget), self.paths)
            digest = _believe(lambda: digest_from_wire(answer.get("digest")))
            size = _believe(lambda: whole_from_wire(answer.get("bytes"), 1, 1 << 62))
            if not self._wanted(worker, file, digest, size, budget):
                return None
            answer = _checked(worker.ask({"decode": True}, [], budget), self.paths)
            file.confirm()
            return _believe(lambda: _sighting(answer, self._key, digest, self._specs, worker))

    def _wanted(self, worker: WorkerProcess, file: OpenedFile, digest: bytes, size: int, budget: Budget) -> bool:
        """Ask whether to decode, and tell the worker where not."""
        wanted = False
        try:
            if size != file.identity.size:
                raise failure(Kind.CHANGED, "it changed while it was read", self._key.path)
            file.confirm()
            # a second try after a crash must not ask again: the answer may be that somebody is at it, namely we
            wanted = digest == self._claimed or self._claim(self._file_id, self._key, digest)
            if wanted:
                self._claimed = digest
        finally:
            if not wanted:
                worker.ask({"decode": False}, [], budget)
        return wanted


@dataclass(frozen=True, slots=True)
class StepTimes:
    """Seconds that a worker took over the steps of one sighting."""

    read_s: float
    hash_s: float
    decode_s: float
    prepare_s: float  # PDQ with its variants, every input, and their way into shared memory


class TimeRequest:
    """Sighting of a file, and what each step of it took."""

    def __init__(self, key: FileKey, *, specs: Sequence[InputSpec], timeout_s: float, clock: Clock) -> None:
        self.paths = (key.path,)
        self._key = key
        self._specs = specs
        self._timeout_s = timeout_s
        self._clock = clock

    def __call__(self, worker: WorkerProcess) -> tuple[Sighting, StepTimes]:
        with OpenedFile(self._key.path, self._key.identity) as file:
            budget = Budget(self._timeout_s, self._clock)
            answer = _checked(worker.ask({"do": "time"}, [file.fd], budget), self.paths)
            file.confirm()
            digest = _believe(lambda: digest_from_wire(answer.get("digest")))
            sighting = _believe(lambda: _sighting(answer, self._key, digest, self._specs, worker))
            return sighting, _believe(lambda: _steps(answer.get("steps_ns")))


class PixelRequest:
    """The digest of a file's pixels, where its bytes still have `digest`."""

    def __init__(self, path: bytes, digest: bytes, *, timeout_s: float, clock: Clock) -> None:
        self.paths = (path,)
        self._digest = digest
        self._timeout_s = timeout_s
        self._clock = clock

    def __call__(self, worker: WorkerProcess) -> bytes:
        with OpenedFile(self.paths[0]) as file:
            request = {"do": "pixels", "digest": self._digest.hex()}
            answer = _checked(worker.ask(request, [file.fd], Budget(self._timeout_s, self._clock)), self.paths)
            file.confirm()
            return _believe(lambda: digest_from_wire(answer.get("pixels")))


class CopyRequest:
    """Sighting of a copy that the worker makes of a file's picture; `digest` of the sighting is the copy's own."""

    def __init__(
        self,
        key: FileKey,
        digest: bytes,
        name: str,
        seed: int,
        *,
        side_px: int,
        specs: Sequence[InputSpec],
        timeout_s: float,
        clock: Clock,
    ) -> None:
        self.paths = (key.path,)
        self._key = key
        self._request = {"do": "copy", "digest": digest.hex(), "name": name, "seed": seed, "side_px": side_px}
        self._specs = specs
        self._timeout_s = timeout_s
        self._clock = clock

    def __call__(self, worker: WorkerProcess) -> Sighting:
        with OpenedFile(self._key.path, self._key.identity) as file:
            budget = Budget(self._timeout_s, self._clock)
            answer = _checked(worker.ask(self._request, [file.fd], budget), self.paths)
            digest = _believe(lambda: digest_from_wire(answer.get("digest")))
            return _believe(lambda: _sighting(answer, self._key, digest, self._specs, worker))


class CompareRequest:
    """What a top-level function says of two pictures."""

    def __init__(
        self,
        a: tuple[bytes, bytes],
        b: tuple[bytes, bytes],
        compare: Callable[..., Comparison],
        *,
        side_px: int,
        timeout_s: float,
        clock: Clock,
    ) -> None:
        """Raises ValueError where `compare` cannot be imported by name."""
        self.paths = (a[0], b[0])
        self._request = {
            "do": "compare",
            "call": _importable(compare),
            "side_px": side_px,
            "digests": [a[1].hex(), b[1].hex()],
        }
        self._timeout_s = 2 * timeout_s  # two files
        self._clock = clock

    def __call__(self, worker: WorkerProcess) -> Comparison:
        with OpenedFile(self.paths[0]) as first, OpenedFile(self.paths[1]) as second:
            budget = Budget(self._timeout_s, self._clock)
            answer = _checked(worker.ask(self._request, [first.fd, second.fd], budget), self.paths)
            return _believe(lambda: comparison_from_wire(answer.get("comparison")))


class RenderRequest:
    """The encoded picture that a top-level function makes of one or two pictures."""

    def __init__(
        self,
        files: Sequence[tuple[bytes, bytes]],
        call: Callable[..., U8Array],
        *,
        side_px: int,
        arguments: Mapping[str, Any],
        kind: Literal["JPEG", "PNG"],
        options: Mapping[str, Any],
        timeout_s: float,
        clock: Clock,
    ) -> None:
        """Raises ValueError where `call` cannot be imported by name."""
        self.paths = tuple(path for path, _ in files)
        self._magic = _MAGIC[kind]
        self._request = {
            "do": "render",
            "call": _importable(call),
            "side_px": side_px,
            "digests": [digest.hex() for _, digest in files],
            "arguments": dict(arguments),
            "kind": kind,
            "options": dict(options),
        }
        self._timeout_s = len(files) * timeout_s
        self._clock = clock

    def __call__(self, worker: WorkerProcess) -> bytes:
        with contextlib.ExitStack() as stack:
            opened = [stack.enter_context(OpenedFile(path)) for path in self.paths]
            budget = Budget(self._timeout_s, self._clock)
            answer = _checked(worker.ask(self._request, [file.fd for file in opened], budget), self.paths)
            picture = bytearray()
            while True:
                picture += _believe(lambda answer=answer: part_from_wire(answer.get("part")))  # type: ignore[misc] # bound now
                if len(picture) > _MAX_PICTURE_BYTES or not picture.startswith(self._magic):
                    raise WorkerDied("garbled answer: no picture")
                if answer.get("more") is not True:
                    return bytes(picture)
                answer = worker.ask({"next": True}, [], budget)


def _importable(call: Callable[..., Any]) -> str:
    if "." in call.__qualname__ or not call.__module__:
        raise ValueError(f"{call.__qualname__} is not a top-level function: a worker cannot import it")
    return f"{call.__module__}:{call.__qualname__}"


def _sighting(
    answer: Mapping[str, Any], key: FileKey, digest: bytes, specs: Sequence[InputSpec], worker: WorkerProcess
) -> Sighting:
    joined = digest_from_wire(answer.get("variants"), _VARIANTS * _HASH_BYTES)
    hashes = tuple(joined[at : at + _HASH_BYTES] for at in range(0, len(joined), _HASH_BYTES))
    return Sighting(
        key=key,
        digest=digest,
        facts=facts_from_wire(answer.get("facts")),
        pdq=PdqHash(hashes[0], whole_from_wire(answer.get("quality"), 0, 100)),
        pdq_variants=hashes,
        inputs=dict(zip(specs, worker.inputs(), strict=True)),
    )


def _steps(value: object) -> StepTimes:
    if not isinstance(value, dict):
        raise Garbled("no times")
    seconds = [whole_from_wire(value.get(name), 0, 1 << 62) / 1e9 for name in ("read", "hash", "decode", "prepare")]
    return StepTimes(*seconds)


def _checked(answer: Mapping[str, Any], paths: Sequence[bytes]) -> Mapping[str, Any]:
    """Raises FileFailed where the worker refused."""
    if "refused" not in answer:
        return answer

    def refusal() -> FileFailed:
        try:
            kind = Kind(text_from_wire(answer["refused"], 32))
        except ValueError as error:
            raise Garbled("no known kind") from error
        which = whole_from_wire(answer.get("which", 0), 0, len(paths) - 1)
        return failure(kind, text_from_wire(answer.get("text")), paths[which])

    raise _believe(refusal)


def _believe(read: Callable[[], _Result]) -> _Result:
    """A worker that sends what it must not send is as good as dead."""
    try:
        return read()
    except Garbled as error:
        raise WorkerDied(f"garbled answer: {error}") from error
