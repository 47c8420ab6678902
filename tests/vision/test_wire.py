"""Nothing that a worker sends is believed unseen; and what it rightly sends arrives as it was."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepdupe_daemon.model import Comparison, ExifFacts, ImageFacts, InputSpec, Relation
from deepdupe_daemon.vision.wire import (
    MAX_MESSAGE_BYTES,
    Garbled,
    Line,
    comparison_from_wire,
    digest_from_wire,
    facts_from_wire,
    facts_to_wire,
    spec_from_wire,
    spec_to_wire,
    text_from_wire,
    whole_from_wire,
)

texts = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=16)
facts = st.builds(
    ImageFacts,
    width_px=st.integers(1, 1 << 31),
    height_px=st.integers(1, 1 << 31),
    format=texts,
    mode=texts,
    frames=st.integers(1, 1000),
    has_alpha=st.booleans(),
    lossless=st.booleans(),
    orientation=st.integers(1, 8),
    exif=st.builds(
        ExifFacts,
        captured_at=st.none() | texts,
        camera=st.none() | texts,
        sequence_number=st.none() | st.integers(0, 1 << 40),
        exposure_bias_ev=st.none() | st.floats(allow_nan=False, allow_infinity=False),
        tag_count=st.integers(0, 65535),
    ),
)
NAMES = [*facts_to_wire(ImageFacts(1, 1, "PNG", "RGB")), "exif.make", "exif.tag_count", "exif.exposure_time_s"]
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, Line]]:
    a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    yield a, Line(b)
    a.close()
    b.close()


@given(facts)
def test_facts_arrive_as_they_were(value: ImageFacts) -> None:
    assert facts_from_wire(json.loads(json.dumps(facts_to_wire(value)))) == value


@settings(max_examples=150)
@given(facts, st.sampled_from(NAMES), anything)
def test_a_wrong_value_anywhere_is_found_or_is_within_range(value: ImageFacts, name: str, wrong: Any) -> None:
    raw = facts_to_wire(value)
    outer, _, inner = name.partition(".")
    if inner:
        raw[outer][inner] = wrong
    else:
        raw[outer] = wrong
    try:
        believed = facts_from_wire(raw)
    except Garbled:
        return
    # what is believed can be stored and shown
    assert json.loads(believed.to_json())
    assert believed.to_json().encode("utf-8")
    assert 1 <= believed.width_px <= 1 << 31
    assert believed.orientation in range(1, 9)


@given(anything)
def test_any_json_in_place_of_an_answer_is_garbled(wrong: Any) -> None:
    for read in (facts_from_wire, comparison_from_wire, digest_from_wire):
        with pytest.raises(Garbled):
            read(wrong)


def test_comparisons_arrive_as_they_were() -> None:
    found = Comparison(Relation.EDITED, 0.5, "mirrored", (0.0, 0.1, 0.5, 0.25), "tiles", {"ssim": 0.25})
    assert comparison_from_wire(json.loads(json.dumps(found.to_dict()))) == found


@pytest.mark.parametrize(
    "change",
    [
        {"relation": "identical"},
        {"score": float("nan")},
        {"score": "1"},
        {"score": True},
        {"transform": "\x1b]0;owned\x07"},
        {"reason": "x" * 5000},
        {"reason": "\ud800"},
        {"worst_tile": [1, 2, 3]},
        {"worst_tile": "abcd"},
        {"worst_tile": [1, 2, 3, 1e999]},
        {"measures": {"\n": 1}},
        {"measures": {"a": None}},
        {"measures": []},
    ],
)
def test_a_comparison_that_cannot_be_right_is_garbled(change: dict[str, Any]) -> None:
    raw = Comparison(Relation.SAME, 1.0).to_dict() | change
    with pytest.raises(Garbled):
        comparison_from_wire(raw)


@pytest.mark.parametrize("value", ["", "00" * 31, "00" * 33, "zz" * 32, 5, None, "0 " * 32])
def test_a_digest_is_32_bytes_of_hex(value: object) -> None:
    with pytest.raises(Garbled):
        digest_from_wire(value)


@pytest.mark.parametrize("value", [True, 1.0, "1", None, -1, 11, 10**500])
def test_a_whole_number_is_within_range(value: object) -> None:
    with pytest.raises(Garbled):
        whole_from_wire(value, 0, 10)


@pytest.mark.parametrize("value", ["a\nb", "\x9b31m", "\u202egnp.exe", "\ud800", 5, "x" * 401])
def test_text_is_clean(value: object) -> None:
    with pytest.raises(Garbled):
        text_from_wire(value)


@pytest.mark.parametrize(
    "packet", [b"{", b"[]", b"5", b"\xff\xfe", b'{"a": ' + b"9" * 5000 + b"}", b"[" * 60_000, b"null"]
)
def test_a_packet_that_is_no_object_is_garbled(ends: tuple[socket.socket, Line], packet: bytes) -> None:
    ends[0].send(packet)
    with pytest.raises(Garbled):
        ends[1].receive(5)


def test_a_packet_that_is_too_long_is_garbled_not_read(ends: tuple[socket.socket, Line]) -> None:
    ends[0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    ends[0].send(b'{"a": "' + b"x" * MAX_MESSAGE_BYTES + b'"}')
    with pytest.raises(Garbled, match="too long"):
        ends[1].receive(5)
    with pytest.raises(Garbled):
        ends[1].send({"a": "x" * MAX_MESSAGE_BYTES})


def test_files_that_nobody_asked_for_are_closed(ends: tuple[socket.socket, Line]) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for packet in (b"{}", b"no json"):
        fd = os.open("/dev/null", os.O_RDONLY)
        socket.send_fds(ends[0], [packet], [fd, fd])
        os.close(fd)
        with pytest.raises(Garbled):
            ends[1].receive(5)
    assert len(os.listdir("/proc/self/fd")) == before


def test_silence_is_a_timeout_and_hanging_up_is_the_end(ends: tuple[socket.socket, Line]) -> None:
    with pytest.raises(TimeoutError):
        ends[1].receive(0.01)
    ends[0].close()
    assert ends[1].receive(5) is None


def test_specs_cross_the_line() -> None:
    squash = InputSpec(side_px=518, fit="squash", filter="bilinear", resize_px=600)
    for spec in (InputSpec(), InputSpec(kind="pdq"), squash):
        assert spec_from_wire(json.loads(json.dumps(spec_to_wire(spec)))) == spec
