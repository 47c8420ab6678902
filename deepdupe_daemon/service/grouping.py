"""Which file is whose copy: groups on one keeper each, kept true around what changed."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from deepdupe_daemon.judge import Bond, Member, bond_of, preference
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

    The groups are those that `judge.anchored_groups` defines, found without looking at all files: a file is compared
    with the keepers that it meets, which are those among the files that recall proposes to it and the keepers of the
    others, and it joins the best that it is proven against. Where a file changes sides, those near it are asked again
    whether they meet a better keeper now, and those whose keeper it was, or whom it held in a group, begin anew.
    """

    def __init__(self, around: Neighbourhood, rules: Sequence[KeeperRule]) -> None:
        self._around = around
        self._rules = rules
        self._worth: dict[int, tuple[float, ...]] = {}
        self._keepers: dict[int, FileRow | None] = {}  # of files asked here; None: a keeper, or alone
        self._bonds: dict[int, Bond | None] = {}
        self._rows: dict[int, FileRow] = {}
        self._waiting: set[int] = set()
        self._queue: list[tuple[tuple[float, ...], int]] = []

    def settle(self, arrived: Sequence[FileRow], new_images: Collection[int]) -> list[Outcome]:
        """Every file on which the judgement may be another now, best first.

        `new_images`: those that recall was asked about just now.
        """
        self._prepare(new_images)
        news = {row.file_id for row in arrived}
        for row in arrived:
            self._push(row)
        while self._queue:
            _, file_id = heapq.heappop(self._queue)
            self._waiting.discard(file_id)
            row = self._rows[file_id]
            before = self._keeper(row)
            self._bonds[file_id] = bond = self._bond(row)
            self._keepers[file_id] = after = self._row_of(bond)
            if file_id in news or _id(before) != _id(after):
                news.discard(file_id)
                self._follow(row, before, after)
        outcomes = [self._outcome(self._rows[file_id], bond) for file_id, bond in self._bonds.items()]
        return sorted(outcomes, key=lambda outcome: self._value(outcome.row), reverse=True)

    def _prepare(self, new_images: Collection[int]) -> None:
        """Have compared side by side what will most likely be wanted: each new image with the keepers that it meets,
        and with the best of the new ones, which may be the keeper of them all."""
        wanted = []
        for image_id in new_images:
            row = max(self._around.files(image_id), key=self._value)
            met = self._met(row)
            new = [keeper for keeper in met if keeper.image_id in new_images]
            for keeper in [keeper for keeper in met if keeper.image_id not in new_images] + new[:1]:
                pair = self._around.lacking(row, keeper)
                if pair is not None:
                    wanted.append(pair)
        self._around.fetch(wanted)

    def _follow(self, row: FileRow, before: FileRow | None, after: FileRow | None) -> None:
        """Ask those again whom it concerns that `row` has another keeper now (None: is one itself), or is new."""
        if after is not None and before is None:
            self._release(row)
        if before is not None and _id(before) != _id(after):
            self._release(before)
        reached = self._value(after or row)
        for other in self._near(row):
            if self._value(self._keeper(other) or other) < reached:
                self._push(other)

    def _release(self, keeper: FileRow) -> None:
        """The members of a group begin anew: one of them may have been what led the others to the keeper."""
        members = {row.file_id: row for row in self._around.members(keeper)}
        members |= {file_id: self._rows[file_id] for file_id, of in self._keepers.items() if _id(of) == keeper.file_id}
        for row in members.values():
            if _id(self._keeper(row)) == keeper.file_id:
                self._keepers[row.file_id] = None
                self._push(row)

    def _bond(self, row: FileRow) -> Bond | None:
        met = self._met(row)
        rows = {other.file_id: other for other in met}
        members = [self._around.member(other) for other in met]
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

    def _outcome(self, row: FileRow, bond: Bond | None) -> Outcome:
        if bond is None:
            return self._alike(row)
        if bond.verdict_class is None:
            return Outcome(row)
        return Outcome(row, self._row_of(bond), bond.verdict_class)

    def _alike(self, row: FileRow) -> Outcome:
        """What a keeper, or a single, resembles among the keepers that are preferred to it."""
        best: tuple[tuple[int, tuple[float, ...]], Outcome] | None = None
        for other in self._met(row):
            ruling = self._around.ruling(row, other)
            if ruling.verdict_class is None or ruling.verdict_class.proven:
                continue  # proven it can only be where both are one file
            rank = (-_RANK[ruling.verdict_class], self._value(other))
            if best is None or rank > best[0]:
                best = rank, Outcome(row, other, ruling.verdict_class, ruling.vetoes)
        return best[1] if best is not None else Outcome(row)

    def _met(self, row: FileRow) -> list[FileRow]:
        """The keepers that `row` is to be compared with, all of them preferred to it, the best first."""
        found = {}
        for other in self._near(row):
            keeper = self._keeper(other) or other
            if self._value(keeper) > self._value(row):
                found[keeper.file_id] = keeper
        return sorted(found.values(), key=self._value, reverse=True)

    def _near(self, row: FileRow) -> Iterator[FileRow]:
        """The other files with the same bytes, and those that recall proposes."""
        image_id = row.image_id or 0
        for near in (image_id, *self._around.others(image_id)):
            for other in self._around.files(near):
                if other.file_id != row.file_id:
                    yield other

    def _keeper(self, row: FileRow) -> FileRow | None:
        """The keeper of the group that the file is a copy in, as far as is known by now; None: it is in none."""
        if row.file_id in self._keepers:
            return self._keepers[row.file_id]
        return self._around.keeper_of(row)

    def _row_of(self, bond: Bond | None) -> FileRow | None:
        return self._around.row(bond.keeper.file_id) if bond is not None else None

    def _value(self, row: FileRow) -> tuple[float, ...]:
        if row.file_id not in self._worth:
            self._worth[row.file_id] = preference(self._around.member(row), self._rules)
        return self._worth[row.file_id]

    def _push(self, row: FileRow) -> None:
        if row.file_id not in self._waiting:
            self._waiting.add(row.file_id)
            self._rows[row.file_id] = row
            heapq.heappush(self._queue, (tuple(-worth for worth in self._value(row)), row.file_id))


def _id(row: FileRow | None) -> int | None:
    return row.file_id if row is not None else None
