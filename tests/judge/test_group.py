"""Groups hang on their keeper, and arrival order does not shape them."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from deepdupe_daemon.judge import BEST_RULES, Member, anchored_groups, to_reprove
from deepdupe_daemon.model import ImageFacts
from tests.judge.strategies import members


def _pair(a: int, b: int) -> frozenset[int]:
    return frozenset((a, b))


ONE, TWO, THREE, FOUR = (Member(b"/%d" % n, n) for n in (1, 2, 3, 4))


@given(members(5), st.data())
def test_groups_do_not_depend_on_the_order_of_arrival(group, data) -> None:
    pairs = [frozenset((a.file_id, b.file_id)) for a, b in combinations(group, 2)]
    proven = set(data.draw(st.lists(st.sampled_from(pairs), max_size=8)))
    shuffled = data.draw(st.permutations(group))
    assert anchored_groups(group, proven, BEST_RULES) == anchored_groups(shuffled, proven, BEST_RULES)


@given(members(5), st.data())
def test_every_member_is_proven_against_its_keeper(group, data) -> None:
    pairs = [frozenset((a.file_id, b.file_id)) for a, b in combinations(group, 2)]
    proven = set(data.draw(st.lists(st.sampled_from(pairs), max_size=8)))
    for found in anchored_groups(group, proven):
        assert found.members
        assert all(_pair(found.keeper.file_id, member.file_id) in proven for member in found.members)


def test_likeness_does_not_chain() -> None:
    found = anchored_groups([ONE, TWO, THREE], {_pair(1, 2), _pair(2, 3)})
    assert [(group.keeper, group.members) for group in found] == [(ONE, (TWO,))]


def test_two_keepers_make_two_groups() -> None:
    found = anchored_groups([FOUR, THREE, TWO, ONE], {_pair(1, 3), _pair(2, 4)})
    assert [(group.keeper, group.members) for group in found] == [(ONE, (THREE,)), (TWO, (FOUR,))]


def test_a_better_keeper_has_to_be_proven_against_the_whole_group() -> None:
    (group,) = anchored_groups([ONE, TWO, THREE], {_pair(1, 2), _pair(1, 3)})
    better = replace(FOUR, facts=ImageFacts(8000, 6000, "PNG", "RGB", lossless=True))
    assert to_reprove(group, better, {_pair(1, 4)}) == []  # first come, first kept
    assert to_reprove(group, better, {_pair(1, 4)}, BEST_RULES) == [(better, TWO), (better, THREE)]
