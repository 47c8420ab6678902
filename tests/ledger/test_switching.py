"""A space built beside the one that serves, and the switch."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deepdupe_daemon.errors import SpaceMismatch
from deepdupe_daemon.ledger import Ledger
from tests.ledger.build import OTHER, SPACE, add, content_vectors, vector_of

NEW = replace(SPACE, weights="v2", dim=4)


def built(ledger: Ledger, *image_ids: int) -> str:
    alias = ledger.begin_building(NEW)
    ledger.add_vectors(alias, [(image_id, vector_of(f"new {image_id}", 4)) for image_id in image_ids])
    return alias


def test_a_build_changes_nothing_that_serves(ledger: Ledger) -> None:
    add(ledger, ["a", "b"])
    before = content_vectors(ledger, SPACE)
    alias = built(ledger, 1)
    assert ledger.spaces() == [SPACE]
    assert content_vectors(ledger, SPACE) == before
    assert ledger.unstored_counts() == {SPACE.name: 2}
    [spare] = ledger.spare_spaces()
    assert (spare.alias, spare.key, spare.state, spare.rows, spare.missing) == (alias, NEW, "building", 1, 1)
    ledger.check_space(SPACE)
    with pytest.raises(SpaceMismatch):
        ledger.check_space(NEW)


def test_only_a_complete_build_takes_over(ledger: Ledger) -> None:
    add(ledger, ["a"])
    assert not ledger.switch_to(NEW)
    alias = built(ledger, 1)
    assert not ledger.switch_to(NEW)
    ledger.mark_complete(alias)
    ledger.mark_stored(SPACE.name, [1])
    assert ledger.switch_to(NEW)
    assert ledger.spaces() == [NEW]
    ledger.ensure_space(NEW)
    assert content_vectors(ledger, NEW) == {1: vector_of("new 1", 4).tolist()}
    assert ledger.unstored_counts() == {NEW.name: 1}, "the new one waits for a collection of its own"
    assert ledger.space_generation(NEW.name) == 1
    [spare] = ledger.spare_spaces()
    assert (spare.key, spare.state, spare.rows) == (SPACE, "retired", 1)
    assert not ledger.switch_to(NEW), "done once"


def test_the_spaces_of_one_model_change_together(ledger: Ledger) -> None:
    hidden = replace(NEW, embedding="hidden")
    add(ledger, ["a"])
    aliases = [built(ledger, 1), ledger.begin_building(hidden)]
    assert ledger.switch_to(NEW, hidden) == []
    ledger.mark_complete(*aliases)
    assert ledger.switch_to(NEW, hidden) == [NEW, hidden]
    assert ledger.spaces() == [NEW, hidden]


def test_a_build_goes_on_where_it_was_left(ledger: Ledger) -> None:
    add(ledger, ["a", "b"])
    assert built(ledger, 1) == built(ledger, 1, 2)
    [spare] = ledger.spare_spaces()
    assert (spare.rows, spare.missing) == (2, 0)


def test_a_build_follows_files_that_go(ledger: Ledger) -> None:
    add(ledger, ["a", "b"])
    built(ledger, 1, 2)
    ledger.note_gone(b"/photos/a")
    [spare] = ledger.spare_spaces()
    assert (spare.rows, spare.missing) == (1, 0)


def test_a_spare_space_can_be_dropped_and_one_that_serves_cannot(ledger: Ledger) -> None:
    add(ledger, ["a"])
    alias = built(ledger, 1)
    ledger.drop_spare(alias)
    assert ledger.spare_spaces() == []
    assert content_vectors(ledger, SPACE) == {1: vector_of("a").tolist()}
    for name in (alias, SPACE.name):
        with pytest.raises(LookupError, match="no spare space"):
            ledger.drop_spare(name)


def test_the_vectors_of_one_image_by_space(ledger: Ledger) -> None:
    add(ledger, ["a"])
    ledger.ensure_space(OTHER)
    found = ledger.image_vectors(1, [SPACE.name, OTHER.name])
    assert {name: row.tolist() for name, row in found.items()} == {SPACE.name: vector_of("a").tolist()}
    found[SPACE.name][0] = 0  # the caller owns what it gets
