"""Hypothesis strategies for evidence: few values per field, so that equal and different ones both come up often."""

from __future__ import annotations

from hypothesis import strategies as st

from deepdupe_daemon.judge import Member, PairEvidence
from deepdupe_daemon.model import Comparison, ExifFacts, ImageFacts, Relation

exif = st.builds(
    ExifFacts,
    captured_at=st.sampled_from([None, "2024:05:01 10:00:00", "2024:05:01 10:00:01"]),
    subsec=st.sampled_from([None, "12", "120", "57"]),
    sequence_number=st.sampled_from([None, 1, 2]),
    exposure_bias_ev=st.sampled_from([None, 0.0, -1.0]),
    exposure_mode=st.sampled_from([None, 0, 2]),
    exposure_time_s=st.sampled_from([None, 0.01, 0.0101, 0.02]),
    unique_id=st.sampled_from([None, "u1", "u2"]),
    burst_id=st.sampled_from([None, "b"]),
    tag_count=st.integers(0, 3),
)

facts = st.builds(
    ImageFacts,
    width_px=st.sampled_from([8, 640, 4000]),
    height_px=st.sampled_from([8, 480, 3000]),
    format=st.sampled_from(["JPEG", "PNG", "GIF", "MPO"]),
    mode=st.just("RGB"),
    frames=st.sampled_from([1, 1, 1, 2]),
    lossless=st.booleans(),
    exif=exif | st.just(ExifFacts()),
)

comparisons = st.builds(
    Comparison,
    relation=st.sampled_from(list(Relation)),
    score=st.floats(0, 1),
    reason=st.just("pixels"),
)

evidence = st.builds(
    PairEvidence,
    same_bytes=st.booleans(),
    same_pixels=st.sampled_from([None, False, True]),
    similarities=st.dictionaries(st.sampled_from(["pdq", "clip.final"]), st.sampled_from([0.5, 0.9, 0.99]), max_size=2),
    thresholds=st.dictionaries(st.sampled_from(["pdq", "clip.final"]), st.sampled_from([0.76, 0.95]), max_size=2),
    pdq_distance=st.sampled_from([None, 0, 20, 31, 32, 120]),
    qualities=st.sampled_from([None, (100, 100), (30, 100), (100, 49)]),
    facts_a=st.none() | facts,
    facts_b=st.none() | facts,
    comparison=st.none() | comparisons,
    marked_not_duplicate=st.sampled_from([False, False, False, True]),
    same_bundle=st.sampled_from([False, False, False, True]),
)


def members(count: int) -> st.SearchStrategy[list[Member]]:
    """`count` files of one group, in any order, each with its own file id."""
    one = st.builds(
        Member,
        path=st.sampled_from([b"/p.jpg", b"/p.cr2"]),
        file_id=st.integers(1, 50),
        facts=st.none() | facts,
        file_bytes=st.integers(0, 10),
        protected=st.booleans(),
        path_rank=st.integers(0, 2),
    )
    return st.lists(one, min_size=count, max_size=count, unique_by=lambda member: member.file_id)
