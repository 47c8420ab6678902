"""Groups of copies, each anchored on its keeper: a member is in a group because it was proven against the keeper.

Likeness never chains: a ~ b and b ~ c put a and c into one group only if the keeper among them is proven against both.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cmp_to_key

from deepdupe_daemon.judge.keeper import DEFAULT_RULES, KeeperRule, Member, choose_keeper

__all__ = ["Group", "anchored_groups", "to_reprove"]


@dataclass(frozen=True, slots=True)
class Group:
    """A keeper and the copies proven against it, in the order in which the rules prefer them."""

    keeper: Member
    members: tuple[Member, ...]


def anchored_groups(
    members: Sequence[Member], proven: Collection[frozenset[int]], rules: Sequence[KeeperRule] = DEFAULT_RULES
) -> list[Group]:
    """The groups that the proofs (pairs of file ids) allow, the same for any order of `members`; singles are left out.

    The best file of all is a keeper; each further one joins the best keeper that it is proven against, or becomes one.
    """
    anchors: list[tuple[Member, list[Member]]] = []
    for member in _best_first(members, rules):
        own = member.file_id
        joined = next((group for keeper, group in anchors if frozenset((keeper.file_id, own)) in proven), None)
        if joined is None:
            anchors.append((member, []))
        else:
            joined.append(member)
    return [Group(keeper, tuple(group)) for keeper, group in anchors if group]


def to_reprove(
    group: Group, newcomer: Member, proven: Collection[frozenset[int]], rules: Sequence[KeeperRule] = DEFAULT_RULES
) -> list[tuple[Member, Member]]:
    """The pairs (newcomer, member) still to be proven when `newcomer`, proven against the keeper, would replace it."""
    if choose_keeper(group.keeper, newcomer, rules)[0] != newcomer:
        return []
    pairs = [(newcomer, member) for member in (group.keeper, *group.members)]
    return [pair for pair in pairs if frozenset((pair[0].file_id, pair[1].file_id)) not in proven]


def _best_first(members: Sequence[Member], rules: Sequence[KeeperRule]) -> list[Member]:
    def compare(a: Member, b: Member) -> int:
        return -1 if choose_keeper(a, b, rules)[0] is a else 1

    return sorted(members, key=cmp_to_key(compare))
