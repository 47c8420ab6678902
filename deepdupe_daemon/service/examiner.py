"""Recalled: which known images an image may be a copy of. Proven for `check`; writes nothing."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from deepdupe_daemon.index import ExactIndex
from deepdupe_daemon.judge import BundleFile, JudgePolicy, PairEvidence, Ruling, decide, proposed, same_bundle
from deepdupe_daemon.ledger import FileRow, ImageRow, Ledger
from deepdupe_daemon.model import F32Array, FileState
from deepdupe_daemon.service.background import BACKGROUND_ROWS, Background, load_background, take_background
from deepdupe_daemon.service.proofs import Pair, Picture, Proofs
from deepdupe_daemon.vision import PDQ_SPACE, DecoderPool, PdqEmbedder

__all__ = ["Examiner", "Finding", "Proposal", "Subject", "measured"]

#: The hash of the turned picture against the other is not quite that of the picture against the other turned back: over
#: 593 alike pairs of evaluation images they are 0.4 bits of 256 apart on average, and 12 at most; where only one side
#: was within the threshold, the other was 5 bits beyond it at most. So recall looks a little further, and what counts
#: is the smaller of the two, whichever picture came last.
_PDQ_SLACK_BITS = 8

#: images without a living file that the index may hold, however few there are in all: to find them reads all ids
LEAST_GONE = 1000


@dataclass(frozen=True, slots=True)
class Subject:
    """A picture to look for, with its row in each space: (dim,) float32, L2-normalised."""

    picture: Picture
    vectors: Mapping[str, F32Array]


@dataclass(frozen=True, slots=True)
class Proposal:
    """An image that recall found: cosine per space, and the score of those spaces that have a rule of their own."""

    image_id: int
    similarities: Mapping[str, float]
    normalised: Mapping[str, float] = field(default_factory=dict)


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
        normalised: Collection[str] = (),
    ) -> None:
        """`thresholds`: space name -> score, of every active space; `normalised`: those whose scores are so."""
        self.index = index
        self.thresholds = dict(thresholds)
        self.policy = policy
        self.max_candidates = max_candidates
        self._normalised = frozenset(normalised)
        self._backgrounds: dict[str, Background] = {}
        self._ledger = ledger
        self._pool = pool

    def retune(
        self,
        *,
        policy: JudgePolicy,
        thresholds: Mapping[str, float],
        max_candidates: int,
        normalised: Collection[str] = (),
    ) -> None:
        """Other settings from the next recall on. The owning thread."""
        self._normalised = frozenset(normalised)
        self.policy = policy
        self.thresholds = dict(thresholds)
        self.max_candidates = max_candidates

    def proofs(self) -> Proofs:
        """A fresh batch of proofs."""
        return Proofs(self._pool, self.policy)

    def recall(self, subjects: Sequence[Subject]) -> list[list[Proposal]]:
        """Per subject every image at or above the threshold of a space, the likest first, itself included.

        More than are compared, since images without a living file are left out afterwards.
        """
        found: list[dict[int, dict[str, float]]] = [{} for _ in subjects]
        for space, threshold in self.thresholds.items() if subjects else ():
            queries = [self._queries(subject, space) for subject in subjects]
            owners = [position for position, rows in enumerate(queries) for _ in range(len(rows))]
            slack = 2 * _PDQ_SLACK_BITS / PDQ_SPACE.dim if space == PDQ_SPACE.name else 0.0
            answers = self.index.search(space, np.concatenate(queries), threshold - slack, 4 * self.max_candidates)
            for owner, candidates in zip(owners, answers, strict=True):
                for candidate in candidates:
                    similarities = found[owner].setdefault(candidate.image_id, {})
                    similarities[space] = max(candidate.similarity, similarities.get(space, -1.0))
        return [self._in_order(subject, similarities) for subject, similarities in zip(subjects, found, strict=True)]

    def likeness(self, one: int, other: int) -> Proposal:
        """How alike two images are in every space that holds both, whatever its threshold."""
        spaces = list(self.thresholds)
        left, right = self._ledger.image_vectors(one, spaces), self._ledger.image_vectors(other, spaces)
        similarities, normalised = {}, {}
        for space in left.keys() & right.keys():
            a, b = left[space].astype(np.float32), right[space].astype(np.float32)
            similarities[space] = float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))
            if (background := self._background(space)) is not None:
                normalised[space] = background.score(similarities[space], a, b, (one, other))
        return Proposal(other, similarities, normalised)

    def examine(self, subject: Subject) -> list[Finding]:
        """What a picture that the ledger need not hold is a copy of, the likest first. `check` asks this."""
        mine = subject.picture
        pairs: list[tuple[ImageRow, tuple[FileRow, ...], Pair]] = []
        (proposals,) = self.recall([subject])
        for proposal in proposals:
            image = self._ledger.image(proposal.image_id)
            if image is None or image.digest == mine.digest or len(pairs) == self.max_candidates:
                continue
            files = tuple(file for file in self._ledger.living_files(image.image_id) if file.key.path != mine.path)
            if files:
                theirs = Picture.of(image, files[0].key.path)
                pair = Pair(theirs, mine, self._evidence(measured(proposal, theirs, mine), theirs, mine))
                if proposed(pair.evidence, self.policy):
                    pairs.append((image, files, pair))
        self.proofs().fetch(pair for _, _, pair in pairs)
        return [Finding(image, files, pair.evidence, self._ruling(pair)) for image, files, pair in pairs]

    def same_bytes(self, digest: bytes, path: bytes) -> tuple[FileRow, ...]:
        """The living files that hold these bytes under another name, by file id."""
        image = self._ledger.image_by_digest(digest)
        files = self._ledger.living_files(image.image_id) if image is not None else ()
        return tuple(file for file in files if file.key.path != path)

    def _ruling(self, pair: Pair) -> Ruling:
        ruling = decide(pair.evidence, self.policy)
        return replace(ruling, reason=f"not proven: {pair.failed}") if pair.failed else ruling

    def _queries(self, subject: Subject, space: str) -> F32Array:
        # Turned and mirrored copies are proposed through PDQ's eight variants; a neural embedding has one row.
        if space == PDQ_SPACE.name:
            variants = subject.picture.pdq_variants
            hashes = np.frombuffer(b"".join(variants), np.uint8).reshape(len(variants), -1)
            return PdqEmbedder().embed(hashes)[space]
        return subject.vectors[space][None, :]

    def _in_order(self, subject: Subject, found: Mapping[int, Mapping[str, float]]) -> list[Proposal]:
        proposals = []
        for image_id in sorted(found, key=lambda image_id: (-max(found[image_id].values()), image_id)):
            normalised: dict[str, float] = {}
            for space, similarity in found[image_id].items():
                if (background := self._background(space)) is not None:
                    row = self._ledger.image_vectors(image_id, [space])[space].astype(np.float32)
                    ids = (subject.picture.image_id, image_id)
                    normalised[space] = background.score(similarity, subject.vectors[space], row, ids)
            proposals.append(Proposal(image_id, found[image_id], normalised))
        return proposals

    def forget_gone(self) -> int:
        """Take images without a living file out of the index, once they are a fifth of it; gives how many.

        They take memory, and places among the likest that recall gives. One that comes back is judged again, and so
        added again, as after a restart, which loads the living ones alone.
        """
        counts = self._ledger.counts()
        most = counts[FileState.SEEN] + counts[FileState.INDEXED]
        full = [space for space in self.thresholds if self.index.size(space) > most + max(LEAST_GONE, most // 4)]
        if not full:
            return 0
        living = self._ledger.living_images()
        return sum(self.index.keep_only(space, living) for space in full)

    def take_backgrounds(self) -> None:
        """Give each space whose scores are normalised its background, once it holds enough. Writes to the ledger."""
        for space in self._normalised:
            if self.index.size(space) >= BACKGROUND_ROWS and self._background(space) is None:
                take_background(self._ledger, space)

    def _background(self, space: str) -> Background | None:
        """Of a space whose scores are normalised, and that has one."""
        if space not in self._normalised:
            return None
        if space not in self._backgrounds and (found := load_background(self._ledger, space)) is not None:
            self._backgrounds[space] = found
        return self._backgrounds.get(space)

    def _evidence(self, likeness: Proposal, known: Picture, mine: Picture) -> PairEvidence:
        return PairEvidence(
            similarities=likeness.similarities,
            normalised=likeness.normalised,
            thresholds=self.thresholds,
            pdq_distance=known.pdq_distance(mine),
            qualities=(known.pdq.quality, mine.pdq.quality),
            facts_a=known.facts,
            facts_b=mine.facts,
            marked_not_duplicate=self._ledger.is_not_duplicate(known.digest, mine.digest),
            same_bundle=same_bundle(BundleFile(known.path, known.facts.exif), BundleFile(mine.path, mine.facts.exif)),
        )


def measured(proposal: Proposal, one: Picture, other: Picture) -> Proposal:
    """The proposal with what PDQ says of the two pictures from either side."""
    if PDQ_SPACE.name not in proposal.similarities:
        return proposal
    similarity = 1.0 - 2.0 * one.pdq_distance(other) / PDQ_SPACE.dim
    return replace(proposal, similarities={**proposal.similarities, PDQ_SPACE.name: similarity})
