"""What is said of a verdict: the message reads alone, and no file name can forge a field or a line."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepdupe_daemon.act import Kind, Priority, Record, alert_record, failure_record, notice_record
from deepdupe_daemon.model import Comparison, FileIdentity, FileKey, Relation, Verdict, VerdictClass


def verdict(
    duplicate: bytes = b"/new.jpg",
    keeper: bytes = b"/old.jpg",
    verdict_class: VerdictClass = VerdictClass.RE_ENCODED,
    comparison: Comparison | None = None,
    vetoes: tuple[str, ...] = (),
) -> Verdict:
    identity = FileIdentity(1, 2, 3, 4)
    return Verdict(
        verdict_class=verdict_class,
        duplicate=FileKey(duplicate, identity),
        keeper=FileKey(keeper, identity),
        duplicate_digest=b"\x01" * 32,
        keeper_digest=b"\x02" * 32,
        similarities={"clip-vit-l-14.final": 0.98713, "pdq.hash": 0.9},
        comparison=comparison,
        vetoes=vetoes,
        keeper_rule="first",
        decided_at_ns=5,
    )


def test_the_message_of_the_design_comes_out_word_for_word() -> None:
    record = alert_record(
        verdict(comparison=Comparison(Relation.SAME, 0.9961)), verdict_id="7", latency_ms=12, action="quarantined"
    )
    assert record.message == (
        "duplicate (re-encoded): /new.jpg is a copy of /old.jpg "
        "(clip-vit-l-14.final 0.987, pdq.hash 0.900, verifier 0.996), quarantined"
    )
    fields = record.journal_fields()
    assert fields["DEEPDUPE_PATH"] == b"/new.jpg"
    assert fields["DEEPDUPE_KEEPER"] == b"/old.jpg"
    assert fields["DEEPDUPE_VERDICT"] == b"re-encoded"
    assert fields["DEEPDUPE_SPACE"] == b"clip-vit-l-14.final"
    assert fields["DEEPDUPE_SIMILARITY"] == b"0.9871"
    assert fields["DEEPDUPE_VERIFIER"] == b"0.9961"
    assert fields["DEEPDUPE_LATENCY_MS"] == b"12"
    assert fields["PRIORITY"] == b"5"
    assert fields["MESSAGE_ID"] == Kind.DUPLICATE_FOUND.message_id.encode()


def test_what_only_resembles_is_not_called_a_copy() -> None:
    for verdict_class in (VerdictClass.RELATED, VerdictClass.SERIES):
        record = alert_record(
            verdict(verdict_class=verdict_class, vetoes=("capture time",)), verdict_id="7", latency_ms=1
        )
        assert record.kind is Kind.RELATED_FOUND
        assert "copy" not in record.message
        assert "veto: capture time" in record.message


def test_a_transform_is_named_in_message_and_field() -> None:
    record = alert_record(
        verdict(verdict_class=VerdictClass.EDITED, comparison=Comparison(Relation.EDITED, 0.9, transform="mirrored")),
        verdict_id="7",
        latency_ms=None,
    )
    assert "mirrored" in record.message
    assert record.journal_fields()["DEEPDUPE_TRANSFORM"] == b"mirrored"
    assert "DEEPDUPE_LATENCY_MS" not in record.journal_fields()


@given(st.binary(min_size=1).map(lambda name: b"/" + name))
def test_no_file_name_breaks_the_message_or_changes_a_field(path: bytes) -> None:
    for record in (
        alert_record(verdict(duplicate=path, keeper=path), verdict_id="7", latency_ms=1),
        failure_record(path, failure="corrupt", reason=path.decode("utf-8", "replace"), retry=True),
        notice_record("root-offline", path.decode("utf-8", "surrogateescape"), path=path),
    ):
        assert record.message.isprintable()
        assert record.journal_fields()["DEEPDUPE_PATH"] == path
        assert record.journal_fields()["DEEPDUPE_PATH_TEXT"].decode().isprintable()
        record.to_json()


@given(st.text(st.characters()), st.text(st.characters(categories=["Cs", "Cc", "Cf"])))
def test_no_text_breaks_a_record(sentence: str, odd: str) -> None:
    """Not even one with half a surrogate pair, which no encoding takes: a library's error may hold anything."""
    record = failure_record(b"/x", failure="corrupt", reason=sentence + odd, retry=False)
    assert record.journal_fields()["DEEPDUPE_REASON"].decode().isprintable()
    json.dumps(record.to_json(), ensure_ascii=False).encode()


def test_a_traceback_keeps_its_lines_and_nothing_else_that_is_not_printable() -> None:
    fields = notice_record("fatal", "x", traceback="one\n  two\x1b[31m\n", thread="a\nb").journal_fields()
    assert fields["DEEPDUPE_TRACEBACK"] == b"one\n  two\\x1b[31m"
    assert fields["DEEPDUPE_THREAD"] == b"a\\nb"


def test_the_priorities_mean_something() -> None:
    """Critical is what a person must see to at once, a warning what is not as it should be, a notice what happened."""
    of = {kind.slug: kind.priority for kind in Kind}
    assert {slug for slug, level in of.items() if level is Priority.CRITICAL} == {"breaker-open", "stage-hung", "fatal"}
    assert {"duplicate-found", "quarantined", "restored", "purged"} <= {
        slug for slug, level in of.items() if level is Priority.NOTICE
    }
    assert {"file-failed", "events-lost", "root-offline", "reload-refused", "quarantine-failed", "store-set-aside"} <= {
        slug for slug, level in of.items() if level is Priority.WARNING
    }


def test_json_gives_undecodable_paths_back_exactly() -> None:
    out = Record(Kind.NOTICE, "x", {"PATH": b"/caf\xe9"}).to_json()
    assert out["path"] == "/caf\\xe9"
    assert out["path_b64"] == "L2NhZuk="


def test_every_kind_has_an_id_and_a_slug_of_its_own() -> None:
    assert len({kind.message_id for kind in Kind}) == len(Kind)
    assert len({kind.slug for kind in Kind}) == len(Kind)
    assert all(len(kind.message_id) == 32 and int(kind.message_id, 16) for kind in Kind)
    assert all(Kind.from_slug(kind.slug) is kind for kind in Kind)
    assert Kind.from_slug("nobody knows this") is Kind.NOTICE


def test_a_priority_of_the_moment_overrides_the_kinds_own() -> None:
    assert notice_record("notice", "x", priority=Priority.ERROR).journal_fields()["PRIORITY"] == b"3"
    assert notice_record("root-offline", "x").level is Priority.WARNING


@pytest.mark.parametrize("name", ["lower", "WITH SPACE", "A=B", "NEW\nLINE", ""])
def test_a_field_name_that_the_journal_would_drop_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="field name"):
        Record(Kind.NOTICE, "x", {name: b"y"})


def test_a_message_with_a_line_break_is_refused() -> None:
    with pytest.raises(ValueError, match="printable"):
        Record(Kind.NOTICE, "two\nlines")
