"""Groups hang on their keeper, and arrival order does not shape them."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from deepdupe_daemon.judge import BEST_RULES, Bond, Member, anchored_groups, bond_of
from deepdupe_daemon.model import ImageFacts, VerdictClass
from tests.judge.strategies import members


def _pair(a: int, b: int) -> frozenset[int]:
    return frozenset((a, b))


def _near(_a: Member, _b: Member) -> bool:
    return True


def _by(proven: set[frozenset[int]]):
    """The proof that knows of these pairs of file ids."""

    def proof(a: Member, b: Member) -> VerdictClass | None:
        return VerdictClass.RE_ENCODED if _pair(a.file_id, b.file_id) in proven else VerdictClass.EDITED

    return proof


ONE, TWO, THREE, FOUR = (Member(b"/%d" % n, n) for n in (1, 2, 3, 4))


@given(members(5), st.data())
def test_groups_do_not_depend_on_the_order_of_arrival(group, data) -> None:
    pairs = [frozenset((a.file_id, b.file_id)) for a, b in combinations(group, 2)]
    proven = set(data.draw(st.lists(st.sampled_from(pairs), max_size=8)))
    shuffled = data.draw(st.permutations(group))
    assert anchored_groups(group, _near, _by(proven), BEST_RULES) == anchored_groups(
        shuffled, _near, _by(proven), BEST_RULES
    )


@given(members(5), st.data())
def test_every_member_is_proven_against_its_keeper(group, data) -> None:
    pairs = [frozenset((a.file_id, b.file_id)) for a, b in combinations(group, 2)]
    proven = set(data.draw(st.lists(st.sampled_from(pairs), max_size=8)))
    for found in anchored_groups(group, _near, _by(proven)):
        assert found.members
        assert all(_pair(found.keeper.file_id, member.file_id) in proven for member in found.members)


def test_likeness_does_not_chain() -> None:
    found = anchored_groups([ONE, TWO, THREE], _near, _by({_pair(1, 2), _pair(2, 3)}))
    assert [(group.keeper, group.members) for group in found] == [(ONE, (TWO,))]


def test_two_keepers_make_two_groups() -> None:
    found = anchored_groups([FOUR, THREE, TWO, ONE], _near, _by({_pair(1, 3), _pair(2, 4)}))
    assert [(group.keeper, group.members) for group in found] == [(ONE, (THREE,)), (TWO, (FOUR,))]


def test_a_better_keeper_has_to_be_proven_against_the_whole_group() -> None:
    better = replace(FOUR, facts=ImageFacts(8000, 6000, "PNG", "RGB", lossless=True))
    group = [ONE, TWO, THREE, better]
    old = {_pair(1, 2), _pair(1, 3), _pair(1, 4)}
    (found,) = anchored_groups(group, _near, _by(old))  # first come, first kept
    assert (found.keeper, found.members) == (ONE, (TWO, THREE, better))
    (found,) = anchored_groups(group, _near, _by(old), BEST_RULES)
    assert (found.keeper, found.members) == (better, (ONE,)), "two and three are proven against another only"
    (found,) = anchored_groups(group, _near, _by(old | {_pair(4, 2), _pair(4, 3)}), BEST_RULES)
    assert (found.keeper, found.members) == (better, (ONE, TWO, THREE))


def test_equal_bytes_go_before_a_better_keeper() -> None:
    raw, jpeg, copy = ONE, replace(TWO, digest=b"j"), replace(THREE, digest=b"j")
    bond = bond_of(copy, [raw, jpeg], _by({_pair(1, 3), _pair(2, 3)}))
    assert bond == Bond(jpeg, VerdictClass.RE_ENCODED)


def test_a_group_grows_by_what_is_near_its_members_and_proven_against_its_keeper() -> None:
    def near(a: Member, b: Member) -> bool:
        return abs(a.file_id - b.file_id) == 1

    all_proven = {_pair(a, b) for a, b in combinations(range(1, 5), 2)}
    (found,) = anchored_groups([FOUR, TWO, THREE, ONE], near, _by(all_proven))
    assert (found.keeper, found.members) == (ONE, (TWO, THREE, FOUR))
    one, two = anchored_groups([ONE, TWO, THREE, FOUR], near, _by(all_proven - {_pair(1, 3)}))
    assert (one.members, two.members) == ((TWO,), (FOUR,)), "three leads nobody to one any longer"


def test_two_names_of_one_file_are_neither_copies_nor_keepers() -> None:
    first, second = replace(ONE, inode=(1, 7)), replace(TWO, inode=(1, 7))
    proven = {_pair(1, 2), _pair(1, 3), _pair(2, 3)}
    (found,) = anchored_groups([first, second, THREE], _near, _by(proven))
    assert (found.keeper, found.members) == (first, (THREE,))
