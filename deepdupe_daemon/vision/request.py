"""The three things that are asked of a worker, as the daemon asks them: open, ask, check every answer, give the result.

Each request object belongs to one task. It may be carried out twice, where the first worker died of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from deepdupe_daemon.clock import Clock
from deepdupe_daemon.errors import FileFailed
from deepdupe_daemon.model import Comparison, FileKey, InputSpec, PdqHash, Sighting
from deepdupe_daemon.vision.decode.refusal import Kind
from deepdupe_daemon.vision.opened import OpenedFile, failure
from deepdupe_daemon.vision.wire import (
    Garbled,
    comparison_from_wire,
    digest_from_wire,
    facts_from_wire,
    text_from_wire,
    whole_from_wire,
)
from deepdupe_daemon.vision.worker_process import Budget, WorkerDied, WorkerProcess

__all__ = ["Claim", "CompareRequest", "PixelRequest", "SeeRequest"]

#: whether bytes of this digest, found in this file, are to be decoded
Claim = Callable[[int, FileKey, bytes], bool]
_VARIANTS, _HASH_BYTES = 8, 32
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
            return _believe(lambda: self._sighting(answer, digest, worker))

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

    def _sighting(self, answer: Mapping[str, Any], digest: bytes, worker: WorkerProcess) -> Sighting:
        joined = digest_from_wire(answer.get("variants"), _VARIANTS * _HASH_BYTES)
        hashes = tuple(joined[at : at + _HASH_BYTES] for at in range(0, len(joined), _HASH_BYTES))
        return Sighting(
            key=self._key,
            digest=digest,
            facts=facts_from_wire(answer.get("facts")),
            pdq=PdqHash(hashes[0], whole_from_wire(answer.get("quality"), 0, 100)),
            pdq_variants=hashes,
            inputs=dict(zip(self._specs, worker.inputs(), strict=True)),
        )


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
        if "." in compare.__qualname__ or not compare.__module__:
            raise ValueError(f"{compare.__qualname__} is not a top-level function: a worker cannot import it")
        self.paths = (a[0], b[0])
        self._request = {
            "do": "compare",
            "call": f"{compare.__module__}:{compare.__qualname__}",
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
