"""Numbers put into a person's file, and nothing else touched."""

from __future__ import annotations

import difflib

import pytest

from deepdupe_daemon.config import sample_yaml, with_values
from deepdupe_daemon.config.yaml_lines import read_yaml
from deepdupe_daemon.errors import ConfigError

PLAIN = """\
# of the family
roots:
  - path: /srv/photos   # the old ones

models:
  # the hash first
  - name: pdq
  - name: clip-vit-b-32   # sees more
    device: cpu
"""


def changes(before: str, after: str) -> list[str]:
    lines = difflib.ndiff(before.splitlines(), after.splitlines())
    return [line for line in lines if line[0] in "+-"]


def test_a_key_is_added_after_its_name_and_every_comment_stays() -> None:
    after = with_values(PLAIN, {("models", 1, "threshold"): 0.9123})
    assert changes(PLAIN, after) == ["+     threshold: 0.9123"]
    assert after.splitlines().index("    threshold: 0.9123") == 8


def test_a_value_is_replaced_where_it_stands() -> None:
    before = PLAIN.replace("    device: cpu\n", "    threshold:   0.9  # by hand\n    device: cpu\n")
    after = with_values(before, {("models", 1, "threshold"): 0.95})
    assert changes(before, after) == ["-     threshold:   0.9  # by hand", "+     threshold:   0.95  # by hand"]


def test_null_and_nothing_are_replaced() -> None:
    for nothing in ("threshold: null # as it comes", "threshold:"):
        before = PLAIN.replace("    device: cpu\n", f"    {nothing}\n    device: cpu\n")
        after = with_values(before, {("models", 1, "threshold"): 0.95})
        value = read_yaml(after.encode()).value
        assert isinstance(value, dict)
        assert value["models"][1] == {"name": "clip-vit-b-32", "threshold": 0.95, "device": "cpu"}


def test_a_section_is_added_at_the_end() -> None:
    after = with_values(PLAIN, {("judge", "pdq_max_distance"): 24})
    assert after == PLAIN + "\njudge:\n  pdq_max_distance: 24\n"
    assert with_values(PLAIN.rstrip("\n"), {("judge", "pdq_max_distance"): 24}) == after


def test_sections_in_braces_stay_in_braces() -> None:
    before = "roots: [{path: /a}]\nmodels: [{name: pdq}, { name: clip-vit-b-32 }]\njudge: {max_candidates: 4}\n"
    after = with_values(before, {("models", 1, "threshold"): 0.5, ("judge", "pdq_max_distance"): 7})
    assert after == (
        "roots: [{path: /a}]\nmodels: [{name: pdq}, {threshold: 0.5, name: clip-vit-b-32 }]\n"
        "judge: {pdq_max_distance: 7, max_candidates: 4}\n"
    )


def test_line_ends_and_odd_indents_are_kept() -> None:
    before = "roots:\r\n    - path: /a\r\nmodels:\r\n-   name: clip-vit-b-32\r\n    device: cpu\r\n"
    after = with_values(before, {("models", 0, "threshold"): 0.5})
    assert read_yaml(after.encode()).value == {
        "roots": [{"path": "/a"}],
        "models": [{"name": "clip-vit-b-32", "threshold": 0.5, "device": "cpu"}],
    }
    assert after.startswith(before[:50])


def test_the_sample_with_its_comments_can_be_edited() -> None:
    before = sample_yaml()
    after = with_values(before, {("models", 0, "threshold"): 0.8125, ("judge", "pdq_max_distance"): 24})
    assert len(changes(before, after)) == 4


@pytest.mark.parametrize("text", ["models: nonsense\n", "models:\n - name: [\n", "- a\n", "models: []\n"])
def test_what_cannot_be_edited_is_said_and_what_to_write_by_hand(text: str) -> None:
    with pytest.raises(ConfigError) as refused:
        with_values(text, {("models", 0, "threshold"): 0.5})
    assert refused.value.hint is not None
    assert "0.5" in refused.value.hint
