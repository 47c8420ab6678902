"""The keeper is the same whoever asks and in which order."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepdupe_daemon.judge import BEST_RULES, DEFAULT_RULES, Member, choose_keeper, keeper_rules
from deepdupe_daemon.model import ExifFacts, ImageFacts
from tests.judge.strategies import members

PHOTO = ImageFacts(4000, 3000, "JPEG", "RGB", exif=ExifFacts(tag_count=40))
FIRST = Member(b"/a.jpg", 1, PHOTO, 4_000_000)
rules = st.sampled_from([DEFAULT_RULES, BEST_RULES, keeper_rules("best", by_path=True), keeper_rules(["metadata"])])


@given(members(2), rules)
def test_the_order_of_asking_does_not_matter(pair, chosen) -> None:
    a, b = pair
    assert choose_keeper(a, b, chosen) == choose_keeper(b, a, chosen)
    assert {a, b} == set(choose_keeper(a, b, chosen)[:2])


@given(members(3), rules)
def test_any_order_of_arrival_ends_with_the_same_keeper(group, chosen) -> None:
    def last_standing(order):
        keeper = order[0]
        for member in order[1:]:
            keeper = choose_keeper(keeper, member, chosen)[0]
        return keeper

    assert len({last_standing(order) for order in permutations(group)}) == 1


@pytest.mark.parametrize(
    ("better", "rule"),
    [
        (replace(FIRST, file_id=2, protected=True), "protected"),
        (replace(FIRST, file_id=2, facts=replace(PHOTO, width_px=8000, height_px=6000)), "pixels"),
        (replace(FIRST, file_id=2, facts=replace(PHOTO, format="PNG", lossless=True)), "lossless"),
        (replace(FIRST, file_id=2, file_bytes=6_000_000), "compression"),
        (replace(FIRST, file_id=2, facts=replace(PHOTO, format="HEIF"), file_bytes=2_500_000), "compression"),
        (replace(FIRST, file_id=2, facts=replace(PHOTO, exif=ExifFacts(tag_count=60))), "metadata"),
        (replace(FIRST, file_id=2, path=b"/a.CR2"), "lossless"),
        (replace(FIRST, file_id=0), "first"),
    ],
)
def test_best_prefers_the_better_copy_and_says_why(better: Member, rule: str) -> None:
    assert choose_keeper(FIRST, better, keeper_rules("best")) == (better, FIRST, rule)


def test_by_default_who_was_there_first_stays_unless_the_other_is_protected() -> None:
    larger = replace(FIRST, file_id=2, facts=replace(PHOTO, width_px=8000), file_bytes=9_000_000)
    assert choose_keeper(larger, FIRST) == (FIRST, larger, "first")
    guarded = replace(larger, protected=True)
    assert choose_keeper(FIRST, guarded) == (guarded, FIRST, "protected")


def test_a_preferred_path_goes_before_all_but_a_protected_folder() -> None:
    rules = keeper_rules("best", by_path=True)
    filed = replace(FIRST, file_id=2)
    larger = replace(FIRST, facts=replace(PHOTO, width_px=8000), path_rank=1)
    assert choose_keeper(larger, filed, rules) == (filed, larger, "path")
    assert choose_keeper(replace(larger, protected=True), filed, rules)[2] == "protected"


def test_what_a_person_chose_is_kept_but_never_against_a_protected_folder() -> None:
    better = replace(FIRST, file_id=2, facts=replace(PHOTO, width_px=8000))
    chosen, later = replace(FIRST, chosen_at_ns=1), replace(better, chosen_at_ns=2)
    assert choose_keeper(better, chosen, BEST_RULES) == (chosen, better, "chosen")
    assert choose_keeper(later, chosen, BEST_RULES) == (later, chosen, "chosen"), "the later choice holds"
    assert choose_keeper(replace(better, protected=True), chosen, BEST_RULES)[2] == "protected"


@pytest.mark.parametrize(
    ("chosen", "by_path", "expected"),
    [
        ("first", False, DEFAULT_RULES),
        ("best", False, BEST_RULES),
        ("first", True, ("protected", "chosen", "path", "first")),
        (["metadata", "protected"], True, ("protected", "chosen", "path", "metadata")),
        (["pixels", "path"], True, ("protected", "chosen", "pixels", "path")),
    ],
)
def test_a_configuration_names_its_rules_in_a_word_or_one_by_one(chosen, by_path, expected) -> None:
    assert keeper_rules(chosen, by_path=by_path) == expected


def test_a_file_is_not_its_own_duplicate() -> None:
    with pytest.raises(ValueError, match="own duplicate"):
        choose_keeper(FIRST, FIRST)
