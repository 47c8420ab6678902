"""Recalled and proven: which known images an image is a copy of, with the evidence. Writes no verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from deepdupe_daemon.index import ExactIndex
from deepdupe_daemon.judge import JudgePolicy, PairEvidence, Ruling, decide
from deepdupe_daemon.ledger import FileRow, ImageRow, Ledger
from deepdupe_daemon.model import F32Array, FileKey, ImageFacts, PdqHash
from deepdupe_daemon.service.proofs import Pair, Picture, Proofs
from deepdupe_daemon.vision import PDQ_SPACE, DecoderPool, PdqEmbedder

__all__ = ["Examiner", "Finding", "Subject"]


@dataclass(frozen=True, slots=True)
class Subject:
    """A picture to examine. `image_id` is None for one that the ledger does not hold (`check`)."""

    image_id: int | None
    key: FileKey
    digest: bytes
    facts: ImageFacts
    pdq: PdqHash
    pdq_variants: tuple[bytes, ...]
    vectors: Mapping[str, F32Array]  # space name -> (dim,) float32, L2-normalised
    pixel_digest: bytes | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """One other image that was proposed for a subject: its living files by id (never empty), evidence and ruling."""

    image: ImageRow
    files: tuple[FileRow, ...]
    evidence: PairEvidence
    ruling: Ruling


class Examiner:
    """Owns the exact index. Used by one thread: the judging one, or the caller of a check without a daemon."""

    def __init__(
        self,
        *,
        index: ExactIndex,
        ledger: Ledger,
        pool: DecoderPool,
        policy: JudgePolicy,
        thresholds: Mapping[str, float],
        max_candidates: int,
    ) -> None:
        """`thresholds`: space name -> cosine, of every active space."""
        self.index = index
        self.thresholds = dict(thresholds)
        self._ledger = ledger
        self._pool = pool
        self._policy = policy
        self._max_candidates = max_candidates

    def retune(self, *, policy: JudgePolicy, thresholds: Mapping[str, float], max_candidates: int) -> None:
        """Other settings from the next examination on. The owning thread."""
        self._policy = policy
        self.thresholds = dict(thresholds)
        self._max_candidates = max_candidates

    def examine(self, subjects: Sequence[Subject]) -> tuple[list[list[Finding]], dict[int, bytes]]:
        """Per subject its findings, strongest proposal first; and pixel digests that are new, by image id.

        The subjects are in the index already, so that those in flight together are compared with each other. A pair of
        two subjects is met from both sides but proven once, and reported with the first of the two.
        """
        met: set[tuple[int, int]] = set()
        pairs: list[list[tuple[ImageRow, tuple[FileRow, ...], Pair]]] = [
            self._pairs(subject, proposals, met)
            for subject, proposals in zip(subjects, self._recall(subjects), strict=True)
        ]
        proofs = Proofs(self._pool, self._policy)
        proofs.fetch(pair for of_subject in pairs for _, _, pair in of_subject)
        findings = [
            [Finding(image, files, pair.evidence, self._ruling(pair)) for image, files, pair in of_subject]
            for of_subject in pairs
        ]
        return findings, proofs.new_pixel_digests()

    def same_bytes(self, digest: bytes, path: bytes) -> tuple[FileRow, ...]:
        """The living files that hold these bytes under another name, by file id."""
        image = self._ledger.image_by_digest(digest)
        files = self._ledger.living_files(image.image_id) if image is not None else ()
        return tuple(file for file in files if file.key.path != path)

    def _ruling(self, pair: Pair) -> Ruling:
        ruling = decide(pair.evidence, self._policy)
        return replace(ruling, reason=f"not proven: {pair.failed}") if pair.failed else ruling

    def _recall(self, subjects: Sequence[Subject]) -> list[dict[int, dict[str, float]]]:
        found: list[dict[int, dict[str, float]]] = [{} for _ in subjects]
        if not subjects:
            return found
        for space, threshold in self.thresholds.items():
            queries = [self._queries(subject, space) for subject in subjects]
            owners = [position for position, rows in enumerate(queries) for _ in range(len(rows))]
            # More than are compared: images without a living file are left out afterwards.
            answers = self.index.search(space, np.concatenate(queries), threshold, 4 * self._max_candidates)
            for owner, candidates in zip(owners, answers, strict=True):
                for candidate in candidates:
                    similarities = found[owner].setdefault(candidate.image_id, {})
                    similarities[space] = max(candidate.similarity, similarities.get(space, -1.0))
        return found

    def _queries(self, subject: Subject, space: str) -> F32Array:
        # Turned and mirrored copies are proposed through PDQ's eight variants; a neural embedding has one row.
        if space == PDQ_SPACE.name:
            hashes = np.frombuffer(b"".join(subject.pdq_variants), np.uint8).reshape(len(subject.pdq_variants), -1)
            return PdqEmbedder().embed(hashes)[space]
        return subject.vectors[space][None, :]

    def _pairs(
        self, subject: Subject, proposals: Mapping[int, Mapping[str, float]], met: set[tuple[int, int]]
    ) -> list[tuple[ImageRow, tuple[FileRow, ...], Pair]]:
        pairs: list[tuple[ImageRow, tuple[FileRow, ...], Pair]] = []
        mine = Picture(subject.image_id, subject.digest, subject.key.path, subject.pixel_digest)
        for image_id in sorted(proposals, key=lambda image_id: (-max(proposals[image_id].values()), image_id)):
            if len(pairs) == self._max_candidates:
                break
            ends = (min(subject.image_id or 0, image_id), max(subject.image_id or 0, image_id))
            if image_id == subject.image_id or (subject.image_id is not None and ends in met):
                continue
            image = self._ledger.image(image_id)
            if image is None or image.digest == subject.digest:
                continue
            files = tuple(file for file in self._ledger.living_files(image_id) if file.key.path != subject.key.path)
            if not files:
                continue
            met.add(ends)
            theirs = Picture(image_id, image.digest, files[0].key.path, image.pixel_digest)
            pairs.append((image, files, Pair(mine, theirs, self._evidence(subject, image, proposals[image_id]))))
        return pairs

    def _evidence(self, subject: Subject, image: ImageRow, similarities: Mapping[str, float]) -> PairEvidence:
        return PairEvidence(
            similarities=dict(similarities),
            thresholds=self.thresholds,
            pdq_distance=min(_hamming(bits, image.pdq.bits) for bits in subject.pdq_variants),
            qualities=(subject.pdq.quality, image.pdq.quality),
            facts_a=subject.facts,
            facts_b=image.facts,
            marked_not_duplicate=self._ledger.is_not_duplicate(subject.digest, image.digest),
        )


def _hamming(a: bytes, b: bytes) -> int:
    return (int.from_bytes(a) ^ int.from_bytes(b)).bit_count()
