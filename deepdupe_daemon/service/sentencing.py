"""From findings to verdicts: which of two files is the duplicate, and which verdict stands. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from deepdupe_daemon.judge import KeeperRule, Member, choose_keeper
from deepdupe_daemon.ledger import FileRow
from deepdupe_daemon.model import Verdict, VerdictClass
from deepdupe_daemon.service.examiner import Finding

__all__ = ["AsMember", "Sentence", "identical_verdicts", "keeper_of", "pair_verdicts"]

#: strongest first, as the enumeration is ordered
_RANK = {verdict_class: rank for rank, verdict_class in enumerate(VerdictClass)}

#: makes the judge's member of a file: what its keeper rules look at
AsMember = Callable[[FileRow], Member]


@dataclass(frozen=True, slots=True)
class Sentence:
    """A verdict with the ids of its two files, which decide among several verdicts on one file."""

    duplicate_id: int
    keeper_id: int
    verdict: Verdict

    def stands_over(self, verdict_class: VerdictClass, keeper_id: int) -> bool:
        """The stronger class wins, then the keeper that was there first.

        A total order, so that the verdict that stands does not depend on which pair was judged first.
        """
        return (_RANK[self.verdict.verdict_class], self.keeper_id) < (_RANK[verdict_class], keeper_id)


def keeper_of(files: Sequence[FileRow], as_member: AsMember, rules: Sequence[KeeperRule]) -> tuple[FileRow, str]:
    """The keeper among one or more files of the same bytes, and the rule that decided last."""
    keeper, rule = files[0], "only"
    for other in files[1:]:
        chosen, _, rule = choose_keeper(as_member(keeper), as_member(other), rules)
        keeper = keeper if chosen.file_id == keeper.file_id else other
    return keeper, rule


def identical_verdicts(
    files: Sequence[FileRow], digest: bytes, as_member: AsMember, rules: Sequence[KeeperRule], decided_at_ns: int
) -> list[Sentence]:
    """Of files with the same bytes, every one but the keeper is a duplicate of it.

    Two names of one inode (hard links) are one file, and so no duplicates of each other.
    """
    keeper, _ = keeper_of(files, as_member, rules)
    held = (keeper.key.identity.dev, keeper.key.identity.ino)
    sentences = []
    for file in files:
        if file.file_id == keeper.file_id or (file.key.identity.dev, file.key.identity.ino) == held:
            continue
        _, _, rule = choose_keeper(as_member(keeper), as_member(file), rules)
        verdict = Verdict(
            verdict_class=VerdictClass.IDENTICAL_BYTES,
            duplicate=file.key,
            keeper=keeper.key,
            duplicate_digest=digest,
            keeper_digest=digest,
            similarities={},
            comparison=None,
            vetoes=(),
            keeper_rule=rule,
            decided_at_ns=decided_at_ns,
        )
        sentences.append(Sentence(file.file_id, keeper.file_id, verdict))
    return sentences


def pair_verdicts(
    file: FileRow,
    digest: bytes,
    findings: Sequence[Finding],
    as_member: AsMember,
    rules: Sequence[KeeperRule],
    decided_at_ns: int,
) -> list[Sentence]:
    """What follows from the findings on `file` (the keeper of its own bytes): at most one verdict a duplicate file."""
    standing: dict[int, Sentence] = {}
    for finding in findings:
        verdict_class = finding.ruling.verdict_class
        if verdict_class is None:
            continue
        theirs, _ = keeper_of(finding.files, as_member, rules)
        chosen, _, rule = choose_keeper(as_member(file), as_member(theirs), rules)
        file_stays = chosen.file_id == file.file_id
        keeper, duplicate = (file, theirs) if file_stays else (theirs, file)
        verdict = Verdict(
            verdict_class=verdict_class,
            duplicate=duplicate.key,
            keeper=keeper.key,
            duplicate_digest=finding.image.digest if file_stays else digest,
            keeper_digest=digest if file_stays else finding.image.digest,
            similarities=finding.evidence.similarities,
            comparison=finding.evidence.comparison,
            vetoes=finding.ruling.vetoes,
            keeper_rule=rule,
            decided_at_ns=decided_at_ns,
        )
        sentence = Sentence(duplicate.file_id, keeper.file_id, verdict)
        rival = standing.get(duplicate.file_id)
        if rival is None or sentence.stands_over(rival.verdict.verdict_class, rival.keeper_id):
            standing[duplicate.file_id] = sentence
    return [standing[file_id] for file_id in sorted(standing)]
