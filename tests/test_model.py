"""The values that cross rooms: what of them is stored, and comes back as it was."""

from __future__ import annotations

import json
from dataclasses import asdict

from hypothesis import given
from hypothesis import strategies as st

from deepdupe_daemon.model import ExifFacts, ImageFacts

words = st.none() | st.text(max_size=20)
exif = st.builds(
    ExifFacts,
    captured_at=words,
    subsec=words,
    make=words,
    camera=words,
    sequence_number=st.none() | st.integers(),
    exposure_bias_ev=st.none() | st.floats(allow_nan=False, allow_infinity=False),
    tag_count=st.integers(0, 1000),
)
facts = st.builds(
    ImageFacts, st.integers(1, 10**6), st.integers(1, 10**6), st.text(), st.text(), has_alpha=st.booleans(), exif=exif
)


@given(facts)
def test_facts_are_stored_whole_and_equal_facts_as_equal_text(given_facts: ImageFacts) -> None:
    text = given_facts.to_json()
    assert ImageFacts.from_json(text) == given_facts
    assert text == json.dumps(asdict(given_facts), separators=(",", ":"), sort_keys=True)
