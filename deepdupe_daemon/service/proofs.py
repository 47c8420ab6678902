"""Proofs fetched from the decoding workers, all that are wanted side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Self

from deepdupe_daemon.errors import FileFailed
from deepdupe_daemon.judge import PICTURE_SIDE_PX, JudgePolicy, PairEvidence, compare_pictures, needs
from deepdupe_daemon.ledger import ImageRow
from deepdupe_daemon.model import ImageFacts, PdqHash
from deepdupe_daemon.vision import DecoderPool

__all__ = ["Pair", "Picture", "Proofs"]


@dataclass(frozen=True, slots=True)
class Picture:
    """One side of a pair: bytes that are known by digest, what one decode said of them, a file that holds them.

    `image_id` is None for a picture that the ledger does not hold (`check`).
    """

    image_id: int | None
    digest: bytes
    path: bytes
    facts: ImageFacts
    pdq: PdqHash
    pdq_variants: tuple[bytes, ...]
    pixel_digest: bytes | None = None

    @classmethod
    def of(cls, image: ImageRow, path: bytes) -> Self:
        """An image that the ledger holds, in the file at `path`."""
        return cls(image.image_id, image.digest, path, image.facts, image.pdq, image.pdq_variants, image.pixel_digest)

    def pdq_distance(self, other: Self) -> int:
        """The smallest Hamming distance over the eight dihedral variants, the same from either side.

        Each variant is sampled anew, so that turning one picture is not quite turning the other back.
        """
        return min(
            _hamming(variant, still.pdq.bits)
            for turned, still in ((self, other), (other, self))
            for variant in turned.pdq_variants or (turned.pdq.bits,)
        )


@dataclass(slots=True)
class Pair:
    """Two pictures and what is known of them so far; the comparison is told from a to b. Owned by one thread."""

    a: Picture
    b: Picture
    evidence: PairEvidence
    failed: str = ""  # why a proof could not be had


class Proofs:
    """Asks `judge.needs`, fetches, asks again. One object a batch of pairs; owned by the examining thread."""

    def __init__(self, pool: DecoderPool, policy: JudgePolicy) -> None:
        self._pool = pool
        self._policy = policy
        self._pixel_digests: dict[bytes, Future[bytes]] = {}
        self._images: dict[bytes, int] = {}

    def fetch(self, pairs: Iterable[Pair]) -> None:
        """Until no pair needs more. A file that cannot be read any more ends the asking about its pair."""
        waiting = list(pairs)
        while waiting:
            asked = [(pair, take) for pair in waiting if (take := self._ask(pair)) is not None]
            for pair, take in asked:
                try:
                    pair.evidence = take()
                except FileFailed as failed:
                    pair.failed = str(failed)
            waiting = [pair for pair, _ in asked]

    def new_pixel_digests(self) -> dict[int, bytes]:
        """image id -> pixel digest, of those that were worked out here, so that they are never worked out again."""
        return {
            image_id: future.result()
            for digest, image_id in self._images.items()
            if (future := self._pixel_digests[digest]).exception() is None
        }

    def _ask(self, pair: Pair) -> Callable[[], PairEvidence] | None:
        wanted = None if pair.failed else needs(pair.evidence, self._policy)
        if wanted is None:
            return None
        evidence = pair.evidence
        if wanted == "pixels":
            first, second = self._pixel_digest(pair.a), self._pixel_digest(pair.b)
            return lambda: replace(evidence, same_pixels=first.result() == second.result())
        comparison = self._pool.compare(
            (pair.a.path, pair.a.digest), (pair.b.path, pair.b.digest), compare_pictures, PICTURE_SIDE_PX
        )
        return lambda: replace(evidence, comparison=comparison.result())

    def _pixel_digest(self, picture: Picture) -> Future[bytes]:
        future = self._pixel_digests.get(picture.digest)
        if future is None:
            if picture.pixel_digest is not None:
                future = Future()
                future.set_result(picture.pixel_digest)
            else:
                future = self._pool.pixel_digest(picture.path, picture.digest)
                if picture.image_id is not None:
                    self._images[picture.digest] = picture.image_id
            self._pixel_digests[picture.digest] = future
        return future


def _hamming(a: bytes, b: bytes) -> int:
    return (int.from_bytes(a) ^ int.from_bytes(b)).bit_count()
