"""Groups of copies, each anchored on its keeper: a member is in a group because it was proven against the keeper.

Likeness never chains: a ~ b and b ~ c put a and c into one group only if the keeper among them is proven against both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from deepdupe_daemon.judge.keeper import DEFAULT_RULES, Member, preference
from deepdupe_daemon.model import KeeperRule, VerdictClass

__all__ = ["Bond", "Group", "anchored_groups", "bond_of"]

#: what is proven of two files: an automatic class, or None
Proof = Callable[[Member, Member], VerdictClass | None]


@dataclass(frozen=True, slots=True)
class Bond:
    """What holds a file in a group: its keeper, and what is proven of the two. `verdict_class` None: the keeper is the
    same file under another name, of which nothing is to be told."""

    keeper: Member
    verdict_class: VerdictClass | None


@dataclass(frozen=True, slots=True)
class Group:
    """A keeper and the copies proven against it, in the order in which the rules prefer them."""

    keeper: Member
    members: tuple[Member, ...]


def bond_of(member: Member, keepers: Iterable[Member], proven: Proof) -> Bond | None:
    """The bond of `member` to one of `keepers`, all of them preferred to it, the best first; None: it is one itself.

    Same bytes go before the best keeper: they need no other proof. `proven` is asked no more than is needed.
    """
    keepers = list(keepers)
    for keeper in keepers:
        if member.inode is not None and member.inode == keeper.inode:
            return Bond(keeper, None)
    for keeper in sorted(keepers, key=lambda keeper: keeper.digest != member.digest or not member.digest):
        found = proven(member, keeper)
        if found is not None and found.proven:
            return Bond(keeper, found)
    return None


def anchored_groups(
    members: Sequence[Member], proven: Proof, rules: Sequence[KeeperRule] = DEFAULT_RULES
) -> list[Group]:
    """The groups that the proofs allow, the same for any order of `members`; singles are left out.

    The best file of all is a keeper; each further one joins the best keeper that it is proven against, or becomes one.
    """
    anchors: dict[int, tuple[Member, list[Member]]] = {}
    for member in sorted(members, key=lambda member: preference(member, rules), reverse=True):
        bond = bond_of(member, (keeper for keeper, _ in anchors.values()), proven)
        if bond is None:
            anchors[member.file_id] = (member, [])
        elif bond.verdict_class is not None:
            anchors[bond.keeper.file_id][1].append(member)
    return [Group(keeper, tuple(group)) for keeper, group in anchors.values() if group]
