"""Which file is whose copy: groups on one keeper each, kept true around what changed."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from deepdupe_daemon.judge import CHAINED, Bond, Member, Ruling, bond_of, preference
from deepdupe_daemon.ledger import FileRow
from deepdupe_daemon.model import KeeperRule, VerdictClass
from deepdupe_daemon.service.neighbourhood import Neighbourhood
from deepdupe_daemon.service.proofs import Pair

__all__ = ["Grouping", "Outcome"]

#: strongest first, as the enumeration is ordered
_RANK = {verdict_class: rank for rank, verdict_class in enumerate(VerdictClass)}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is to be told of a file: it is (or resembles) `keeper`; None where it stands alone."""

    row: FileRow
    keeper: FileRow | None = None
    verdict_class: VerdictClass | None = None
    vetoes: tuple[str, ...] = ()


class Grouping:
    """One batch's judgement on files. Owned by the judging thread.

    The groups of all files are those of `judge.anchored_groups`: best file first, each joins the keeper that it is
    proven against, or becomes one. So a file's place depends on better files only, and what changed is followed from
    the best file that it touches to the worse ones; all others stand as the ledger has them.
    """

    def __init__(self, around: Neighbourhood, rules: Sequence[KeeperRule]) -> None:
        self._around = around
        self._rules = rules
        self._rows: dict[int, FileRow] = {}
        self._worth: dict[int, tuple[float, ...]] = {}
        self._bonds: dict[int, Bond | None] = {}
        self._queue: list[tuple[tuple[float, ...], int]] = []

    def settle(self, arrived: Sequence[FileRow], new_images: Collection[int]) -> list[Outcome]:
        """Every file on which the judgement may be another now, best first.

        `new_images`: those whose pairs have just become known; they may hold together what was apart before.
        """
        news = {row.file_id for row in arrived}
        for row in arrived:
            self._push(row)
        for image_id in new_images:
            for near in (image_id, *self._around.copies(image_id)):
                self._push_all(near)
        changed = self._follow(news)
        seen = dict(self._bonds)
        alone = [self._rows[file_id] for file_id, bond in seen.items() if bond is None]
        alone += [row for row in self._alike_and_worse(changed) if row.file_id not in seen]
        outcomes = [self._in_group(self._rows[file_id], bond) for file_id, bond in seen.items() if bond is not None]
        outcomes += [self._alike(row) for row in alone]
        return sorted(outcomes, key=lambda outcome: self._value(outcome.row), reverse=True)

    def _follow(self, news: Collection[int]) -> list[FileRow]:
        """Bond what waits, best first, and what follows from it; gives the files that are new or changed sides."""
        changed = []
        while self._queue:
            _, file_id = heapq.heappop(self._queue)
            if file_id in self._bonds:
                continue
            row = self._rows[file_id]
            was_keeper = self._is_keeper(row)
            self._bonds[file_id] = self._bond(row)
            if file_id in news or self._is_keeper(row) != was_keeper:
                changed.append(row)
                for image_id in self._around.reach(row.image_id or 0):
                    self._push_all(image_id, worse_than=row)
        return changed

    def _bond(self, row: FileRow) -> Bond | None:
        keepers = [
            other
            for image_id in self._around.reach(row.image_id or 0)
            for other in self._around.files(image_id)
            if self._value(other) > self._value(row) and self._is_keeper(other)
        ]
        keepers.sort(key=self._value, reverse=True)
        rows = {other.file_id: other for other in keepers}
        members = [self._around.member(other) for other in keepers]
        while True:
            lacking: list[Pair] = []

            def proven(_member: Member, keeper: Member, lacking: list[Pair] = lacking) -> VerdictClass | None:
                other = rows[keeper.file_id]
                pair = self._around.lacking(row, other)
                if pair is not None:
                    lacking.append(pair)
                    return None
                return self._around.ruling(row, other).verdict_class

            bond = bond_of(self._around.member(row), members, proven)
            if not lacking:
                return bond
            self._around.fetch(lacking)

    def _in_group(self, row: FileRow, bond: Bond) -> Outcome:
        keeper = self._rows.get(bond.keeper.file_id) or self._row_of(bond.keeper, row)
        if bond.verdict_class is None:
            return Outcome(row)
        return Outcome(row, keeper, bond.verdict_class)

    def _row_of(self, member: Member, near: FileRow) -> FileRow:
        images = self._around.reach(near.image_id or 0)
        return next(row for image_id in images for row in self._around.files(image_id) if row.file_id == member.file_id)

    def _alike(self, row: FileRow) -> Outcome:
        """What a keeper, or a single, resembles among the files that are preferred to it."""
        best: tuple[tuple[int, bool, bool, tuple[float, ...]], Outcome] | None = None
        for image_id in self._around.others(row.image_id or 0):
            other = self._preferred(row, image_id)
            if other is None:
                continue
            ruling = self._weak(self._around.ruling(row, other))
            if ruling.verdict_class is None:
                continue
            proven = CHAINED in ruling.vetoes  # says more than that they are merely alike
            rank = (-_RANK[ruling.verdict_class], proven, self._is_keeper(other), self._value(other))
            if best is None or rank > best[0]:
                best = rank, Outcome(row, other, ruling.verdict_class, ruling.vetoes)
        return best[1] if best is not None else Outcome(row)

    @staticmethod
    def _weak(ruling: Ruling) -> Ruling:
        """A proof against a file that is a copy itself, and not against that one's keeper, joins no group."""
        if ruling.verdict_class is not None and ruling.verdict_class.proven:
            return Ruling(VerdictClass.RELATED, (CHAINED,), ruling.reason)
        return ruling

    def _preferred(self, row: FileRow, image_id: int) -> FileRow | None:
        """The file of an image that `row` is a copy of, if it is one: its keeper, or else its best."""
        better = [other for other in self._around.files(image_id) if self._value(other) > self._value(row)]
        better = [other for other in better if other.key.identity != row.key.identity]
        return max(better, key=lambda other: (self._is_keeper(other), self._value(other)), default=None)

    def _alike_and_worse(self, changed: Iterable[FileRow]) -> list[FileRow]:
        """Keepers and singles that may resemble a file that is new or changed sides, and that it is preferred to."""
        found = {}
        for row in changed:
            for image_id in self._around.others(row.image_id or 0):
                for other in self._around.files(image_id):
                    if self._value(other) < self._value(row) and self._is_keeper(other):
                        found[other.file_id] = other
        return list(found.values())

    def _is_keeper(self, row: FileRow) -> bool:
        """Whether the file is in no group but its own, as far as is known by now."""
        if row.file_id in self._bonds:
            return self._bonds[row.file_id] is None
        standing = self._around.standing(row)
        return standing is None or not standing.in_group

    def _value(self, row: FileRow) -> tuple[float, ...]:
        if row.file_id not in self._worth:
            self._worth[row.file_id] = preference(self._around.member(row), self._rules)
        return self._worth[row.file_id]

    def _push_all(self, image_id: int, worse_than: FileRow | None = None) -> None:
        for row in self._around.files(image_id):
            if worse_than is None or self._value(row) < self._value(worse_than):
                self._push(row)

    def _push(self, row: FileRow) -> None:
        if row.file_id not in self._rows:
            self._rows[row.file_id] = row
            heapq.heappush(self._queue, (tuple(-worth for worth in self._value(row)), row.file_id))
