"""Groups of copies, each anchored on its keeper: a member is in a group because it was proven against the keeper.

Likeness never chains: a ~ b and b ~ c put a and c into one group only if the keeper among them is proven against both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from deepdupe_daemon.judge.keeper import DEFAULT_RULES, Member, preference
from deepdupe_daemon.model import KeeperRule, VerdictClass

__all__ = ["Bond", "Group", "anchored_groups", "bond_of"]

#: what is proven of two files: an automatic class, or anything else
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
    members: Sequence[Member],
    near: Callable[[Member, Member], bool],
    proven: Proof,
    rules: Sequence[KeeperRule] = DEFAULT_RULES,
) -> list[Group]:
    """The groups of all files, the same for any order of `members`; singles are left out.

    The best file is a keeper. Its group grows from it: whatever is `near` it or near one of its members (recall
    proposes the two to each other) and proven against the keeper itself. The best of the rest is the next keeper.
    """
    left = sorted(members, key=lambda member: preference(member, rules), reverse=True)
    groups = []
    while left:
        keeper, *left = left
        group, grown = list[Member](), True
        while grown:
            reached = [one for one in left if any(near(one, other) for other in (keeper, *group))]
            joined = [one for one in reached if bond_of(one, [keeper], proven) is not None]
            grown = bool(joined)
            group += joined
            left = [one for one in left if one not in joined]
        told = [one for one in group if one.inode is None or one.inode != keeper.inode]
        if told:
            groups.append(Group(keeper, tuple(sorted(told, key=lambda one: preference(one, rules), reverse=True))))
    return groups
