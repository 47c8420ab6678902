"""What is known around the images of a batch: their files, the pairs that they are ends of, who stands in a group."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from deepdupe_daemon.judge import (
    BundleFile,
    JudgePolicy,
    Member,
    PairEvidence,
    Ruling,
    decide,
    needs,
    proposed,
    same_bundle,
)
from deepdupe_daemon.ledger import FileRow, ImageRow, Ledger, PairRow, Standing
from deepdupe_daemon.model import ImageFacts
from deepdupe_daemon.service.examiner import Proposal, measured
from deepdupe_daemon.service.proofs import Pair, Picture, Proofs

__all__ = ["VERIFIER", "AsMember", "Neighbourhood"]

#: Which verifier's comparisons are trusted: those of another are made again when their pair is judged next. To be
#: raised whenever the verifier finds otherwise than before.
VERIFIER = 1

#: makes the judge's member of a file: what its keeper rules look at
AsMember = Callable[[FileRow, ImageFacts | None], Member]

_Ends = tuple[int, int]


class Neighbourhood:
    """Reads the ledger as far as it is asked, each thing once. For one batch, in the thread that owns the ledger."""

    def __init__(
        self,
        ledger: Ledger,
        proofs: Proofs,
        *,
        policy: JudgePolicy,
        thresholds: Mapping[str, float],
        as_member: AsMember,
        similarities: Callable[[int, int], Proposal],
    ) -> None:
        """`similarities(one, other)`: of two images whatever their thresholds, as the spaces have them."""
        self._ledger = ledger
        self._proofs = proofs
        self._policy = policy
        self._thresholds = dict(thresholds)
        self._as_member = as_member
        self._similarities = similarities
        self._images: dict[int, ImageRow | None] = {}
        self._files: dict[int, tuple[FileRow, ...]] = {}
        self._members: dict[int, Member] = {}
        self._pairs: dict[_Ends, Pair] = {}
        self._proposed: set[_Ends] = set()
        self._fresh: set[_Ends] = set()
        self._others: dict[int, set[int]] = {}
        self._rows: dict[int, FileRow] = {}
        self._standings: dict[int, Standing | None] = {}

    # -- images and files ------------------------------------------------------------------------------------------

    def image(self, image_id: int) -> ImageRow | None:
        if image_id not in self._images:
            self._images[image_id] = self._ledger.image(image_id)
        return self._images[image_id]

    def files(self, image_id: int) -> tuple[FileRow, ...]:
        """The files that rest with these bytes, who was there first at the head."""
        if image_id not in self._files:
            self._files[image_id] = tuple(self._ledger.living_files(image_id))
            self._rows |= {row.file_id: row for row in self._files[image_id]}
        return self._files[image_id]

    def member(self, row: FileRow) -> Member:
        if row.file_id not in self._members:
            image = self.image(_image_id(row))
            self._members[row.file_id] = self._as_member(row, image.facts if image is not None else None)
        return self._members[row.file_id]

    def standing(self, row: FileRow) -> Standing | None:
        """The current verdict on the file, as long as it speaks of the bytes that it holds."""
        if row.file_id not in self._standings:
            ids = [file.file_id for file in self.files(_image_id(row)) if file.file_id not in self._standings]
            found = self._ledger.standings(ids)
            self._standings |= {file_id: found.get(file_id) for file_id in ids}
        standing = self._standings.get(row.file_id)
        return standing if standing is not None and standing.image_id == row.image_id else None

    def keeper_of(self, row: FileRow) -> FileRow | None:
        """The keeper of the group that the ledger has the file in; None: it is in none."""
        standing = self.standing(row)
        if standing is None or not standing.in_group:
            return None
        return next(
            (file for file in self.files(standing.keeper_image_id) if file.file_id == standing.keeper_file_id), None
        )

    def members(self, keeper: FileRow) -> list[FileRow]:
        """The copies in the group that the ledger has on a keeper."""
        found = [self._ledger.file(file_id) for file_id in self._ledger.copies_in_group(keeper.file_id)]
        rows = [file for row in found if row is not None and row.image_id for file in self.files(row.image_id)]
        return [row for row in rows if (of := self.keeper_of(row)) is not None and of.file_id == keeper.file_id]

    def row(self, file_id: int) -> FileRow:
        """A file that was met before."""
        return self._rows[file_id]

    # -- pairs -----------------------------------------------------------------------------------------------------

    def propose(self, image_id: int, proposals: Sequence[Proposal], most: int) -> None:
        """Take in what recall found for an image: at most `most` pairs, the likest first."""
        taken = 0
        for proposal in proposals:
            if taken == most:
                return
            taken += self._take(image_id, proposal)

    def others(self, image_id: int) -> list[int]:
        """The images with a living file that were proposed as copies of this one, by id."""
        self._load(image_id)
        return sorted(
            other for other in self._others[image_id] if _ends(image_id, other) in self._proposed and self.files(other)
        )

    def pair(self, one: FileRow, other: FileRow) -> Pair | None:
        """What is known of the images of two files."""
        self._load(_image_id(one))
        return self._pairs.get(_ends(_image_id(one), _image_id(other)))

    def ruling(self, one: FileRow, other: FileRow) -> Ruling:
        """The judgement on two files, from what is known by now."""
        bundled = self._bundled(one, other)
        if one.image_id == other.image_id:
            return decide(PairEvidence(same_bytes=True, same_bundle=bundled), self._policy)
        pair = self.pair(one, other)
        evidence = pair.evidence if pair is not None else PairEvidence()
        return decide(replace(evidence, same_bundle=bundled), self._policy)

    def lacking(self, one: FileRow, other: FileRow) -> Pair | None:
        """The pair of two files of which a proof is wanted that was not fetched yet; made where there is none.

        Recall need not have proposed it: that one of them is alike to a copy of the other is proposal enough.
        """
        if one.image_id == other.image_id or self._bundled(one, other):
            return None
        pair = self.pair(one, other) or self._made(_image_id(one), _image_id(other))
        if pair is None or pair.failed:
            return None
        pair.evidence = replace(pair.evidence, joined=True, same_bundle=False)
        return pair if needs(pair.evidence, self._policy) is not None else None

    def fetch(self, pairs: Sequence[Pair]) -> None:
        """Have proven what `pairs` lack, side by side."""
        self._proofs.fetch(pairs)
        self._fresh.update(_ends(pair.a.image_id or 0, pair.b.image_id or 0) for pair in pairs)

    def record(self) -> None:
        """Commit the pairs that are new or better known, and pixel digests."""
        rows = [self._row(ends) for ends in sorted(self._fresh)]
        self._ledger.record_proofs([row for row in rows if row is not None], self._proofs.new_pixel_digests())

    def _take(self, image_id: int, proposal: Proposal) -> bool:
        """Whether the pair counts: the other image is there, and the likeness holds from both sides."""
        image, other = self.image(image_id), self.image(proposal.image_id)
        if image is None or other is None or image_id == proposal.image_id or not self.files(proposal.image_id):
            return False
        ends = _ends(image_id, proposal.image_id)
        self._load(image_id)
        known = self._pairs.get(ends)
        if known is not None and ends in self._fresh:
            return ends in self._proposed  # met from the other side, in this very batch
        likeness = measured(proposal, self.picture(image_id), self.picture(proposal.image_id))
        similarities, normalised = likeness.similarities, likeness.normalised
        found = PairEvidence(similarities=similarities, normalised=normalised, thresholds=self._thresholds)
        if not proposed(found, self._policy):
            return False
        same = (
            known is not None
            and ends in self._proposed
            and (known.evidence.similarities, known.evidence.normalised) == (similarities, normalised)
        )
        if known is None:
            known = self._pairs[ends] = self._evident(ends, found)
            self._link(ends)
        known.evidence = replace(known.evidence, similarities=similarities, normalised=normalised, joined=False)
        self._proposed.add(ends)
        if not same:
            self._fresh.add(ends)
        return True

    def _made(self, one: int, other: int) -> Pair | None:
        ends = _ends(one, other)
        if self.image(one) is None or self.image(other) is None:
            return None
        likeness = self._similarities(*ends)
        found = PairEvidence(
            similarities=likeness.similarities, normalised=likeness.normalised, thresholds=self._thresholds
        )
        pair = self._pairs[ends] = self._evident(ends, found)
        self._link(ends)
        self._fresh.add(ends)
        return pair

    def _load(self, image_id: int) -> None:
        """Read the pairs of an image, once."""
        if image_id in self._others:
            return
        self._others[image_id] = {end for ends in self._pairs for end in ends if image_id in ends} - {image_id}
        for row in self._ledger.pairs_of(image_id):
            ends = (row.low_image_id, row.high_image_id)
            self._others[image_id].add(row.other(image_id))
            if ends in self._pairs or not self.files(row.other(image_id)):
                continue
            if row.proposed:
                self._proposed.add(ends)
            found = PairEvidence(
                same_pixels=row.same_pixels,
                similarities=row.similarities,
                normalised=row.normalised,
                thresholds=self._thresholds,
                comparison=row.comparison if row.verifier == VERIFIER else None,
                joined=not row.proposed,
            )
            self._pairs[ends] = self._evident(ends, found)

    def _link(self, ends: _Ends) -> None:
        for end, other in (ends, ends[::-1]):
            if end in self._others:
                self._others[end].add(other)

    def _evident(self, ends: _Ends, found: PairEvidence) -> Pair:
        """A pair with all that two image rows say of it."""
        low, high = self.picture(ends[0]), self.picture(ends[1])
        evidence = replace(
            found,
            pdq_distance=low.pdq_distance(high),
            qualities=(low.pdq.quality, high.pdq.quality),
            facts_a=low.facts,
            facts_b=high.facts,
            marked_not_duplicate=self._ledger.is_not_duplicate(low.digest, high.digest),
            same_bundle=all(
                self._bundled(one, other) for one in self.files(ends[0])[:_FEW] for other in self.files(ends[1])[:_FEW]
            ),
        )
        return Pair(low, high, evidence)

    def picture(self, image_id: int) -> Picture:
        """An image that is there, in the first of its files."""
        image, files = self.image(image_id), self.files(image_id)
        assert image is not None, "only images that are there make pairs"
        return Picture.of(image, files[0].key.path)

    def _row(self, ends: _Ends) -> PairRow | None:
        pair = self._pairs[ends]
        evidence = pair.evidence
        if ends not in self._proposed and evidence.comparison is None and evidence.same_pixels is None:
            return None
        return PairRow(
            *ends,
            proposed=ends in self._proposed,
            similarities=evidence.similarities,
            normalised=evidence.normalised,
            same_pixels=evidence.same_pixels,
            comparison=evidence.comparison,
            verifier=VERIFIER,
        )

    def _bundled(self, one: FileRow, other: FileRow) -> bool:
        return same_bundle(self._bundle_file(one), self._bundle_file(other))

    def _bundle_file(self, row: FileRow) -> BundleFile:
        image = self.image(_image_id(row))
        return BundleFile(row.key.path, image.facts.exif) if image is not None else BundleFile(row.key.path)


#: files with equal bytes that are looked at to see whether a pair of images is of one shot wherever it rests
_FEW = 8


def _ends(one: int, other: int) -> _Ends:
    return (one, other) if one < other else (other, one)


def _image_id(row: FileRow) -> int:
    assert row.image_id is not None, "a living file has an image"
    return row.image_id
