"""`status`, `duplicates`, `why`, `mark` and `rescan` where no daemon runs: they read the ledger."""

from __future__ import annotations

import base64
import os
from dataclasses import replace
from pathlib import Path

import pytest

from deepdupe_daemon.clock import ManualClock
from deepdupe_daemon.config import Config, RootConfig, remember
from deepdupe_daemon.ledger import Ledger
from deepdupe_daemon.model import VerdictClass
from tests.cli.conftest import Deepdupe
from tests.ledger.build import SPACE, arrival_at, seen, vector_of, verdict

ODD = b"caf\xe9\n.jpg"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    (tmp_path / "photos" / "sub").mkdir(parents=True)
    return tmp_path / "photos"


@pytest.fixture(autouse=True)
def known(environment: dict[str, str], photos: Path) -> Path:
    """A state dir that knows a.jpg, its copies b.jpg and sub/ODD, a c.jpg like it, a broken and a waiting one."""
    state_dir = Path(environment["XDG_STATE_HOME"], "deepdupe-daemon")
    config = Config(roots=(RootConfig(path=photos),), state_dir=state_dir)
    names = ("a.jpg", "b.jpg", "c.jpg", "broken.jpg")
    paths = {name: os.path.join(os.fsencode(photos), name.encode()) for name in names}
    paths["odd"] = os.fsencode(photos) + b"/sub/" + ODD
    paths["new"] = os.fsencode(photos) + b"/new.jpg"
    for content, path in paths.items():
        with open(path, "wb") as file:
            file.write(content.encode())
    with Ledger.open(state_dir, ManualClock()) as ledger:
        remember(config)
        ledger.ensure_space(SPACE)
        ledger.note_arrivals([arrival_at(os.fsdecode(path), photos) for path in paths.values()])
        rows = {name: ledger.file_by_path(path) for name, path in paths.items()}
        a, b, c, odd, broken = (row for name in ("a.jpg", "b.jpg", "c.jpg", "odd", "broken.jpg") if (row := rows[name]))
        ledger.record_seen([seen(a, "a"), seen(b, "b"), seen(c, "c"), seen(odd, "a")])
        a, b, c, odd = (row for each in (a, b, c, odd) if (row := ledger.file_by_path(each.key.path)))
        ledger.record_judged([row.file_id for row in (a, b, c, odd)], [])
        early, late = 1_700_000_000_000_000_000, 1_700_086_400_000_000_000
        ledger.record_judged(
            [],
            [
                verdict(b, a, VerdictClass.RE_ENCODED, at_ns=early),
                verdict(odd, a, VerdictClass.IDENTICAL_BYTES, at_ns=late),
                verdict(c, a, VerdictClass.RELATED, at_ns=late),
            ],
        )
        ledger.record_failed(broken.file_id, broken.key, "truncated", "ends after 3\nbytes", 1_700_000_000_000_000_000)
    return state_dir


def test_duplicates_are_listed_a_line_each_without_what_is_only_alike(here: Deepdupe, photos: Path) -> None:
    done = here("duplicates")
    assert (done.code, done.err) == (0, "")
    evidence = "(small.final 0.500, verifier 0.750, veto: sub-second)"
    odd = f"{photos}/sub/caf\\xe9\\n.jpg"
    assert done.lines == [
        f"v1  re-encoded  {photos}/b.jpg is a copy of {photos}/a.jpg  {evidence}",
        f"v2  identical-bytes  {odd} is a copy of {photos}/a.jpg  {evidence}",
    ]


def test_duplicates_as_json_give_every_path_exactly(here: Deepdupe, photos: Path) -> None:
    first, second = here("duplicates", "--json").records
    assert first["duplicate"] == f"{photos}/b.jpg"
    assert "duplicate_b64" not in first
    assert second["duplicate"] == f"{photos}/sub/caf\\xe9\\n.jpg"
    assert base64.b64decode(second["duplicate_b64"]) == os.fsencode(photos) + b"/sub/" + ODD
    assert second["class"] == "identical-bytes"
    assert second["similarities"] == {"small.final": 0.5}
    assert second["comparison"]["relation"] == "same"
    assert second["decided_at"].startswith("2023-11-15T")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--all"], ["v1", "v2", "v3"]),
        (["--class", "related"], ["v3"]),
        (["--class", "related", "--class", "re-encoded"], ["v1", "v3"]),
        (["--since", "2023-11-15T12:00Z"], ["v2"]),
        (["--since", "1d"], []),
        (["photos/sub"], ["v2"]),
        (["photos/none"], []),
    ],
)
def test_duplicates_can_be_narrowed(arguments: list[str], expected: list[str], here: Deepdupe) -> None:
    assert [record["verdict_id"] for record in here("duplicates", "--json", *arguments).records] == expected


def test_a_duplicate_that_went_is_listed_on_demand_only(here: Deepdupe, known: Path, photos: Path) -> None:
    with Ledger.open(known, ManualClock()) as ledger:
        ledger.note_gone(os.fsencode(photos / "b.jpg"))
    assert [record["verdict_id"] for record in here("duplicates", "--json").records] == ["v2"]
    gone = here("duplicates", "--json", "--all").records[0]
    assert (gone["verdict_id"], gone["duplicate_there"], gone["keeper_there"]) == ("v1", False, True)


def test_status_tells_what_is_known(here: Deepdupe, known: Path, photos: Path) -> None:
    done = here("status")
    assert done.code == 0
    assert done.lines[0] == "not running; what it knows:"
    assert f"  state dir   {known}" in done.lines
    assert f"  folder      {photos}" in done.lines
    assert "  files       1 waiting, 4 indexed, 1 failed" in done.lines
    assert "  images      3 different ones" in done.lines
    assert "  duplicates  2" in done.lines
    (record,) = here("status", "--json").records
    assert record["running"] is False
    assert {state: count for state, count in record["files"].items() if count} == {
        "pending": 1,
        "indexed": 4,
        "failed": 1,
    }
    assert record["chroma_behind"] == {"small.final": 3}


def test_status_tells_how_far_a_reindex_is(here: Deepdupe, known: Path) -> None:
    """Being built, complete, replaced; while no process works on it, and while one does, for the ledger says it."""
    new = replace(SPACE, weights="v2")
    with Ledger.open(known, ManualClock()) as ledger:
        alias = ledger.begin_building(new)
        ledger.add_vectors(alias, [(1, vector_of("new"))])

    def told() -> tuple[str, dict[str, object]]:
        (line,) = [line for line in here("status").lines if line.startswith("  reindex     small.final, weights v")]
        (record,) = here("status", "--json").records[0]["reindex"]
        return line, record

    line, record = told()
    assert "v2: 1 of 3 pictures (33 %); `deepdupe-daemon reindex --model small` goes on" in line
    assert (record["space"], record["state"], record["done"], record["total"]) == ("small.final", "building", 1, 3)
    with Ledger.open(known, ManualClock()) as ledger:
        ledger.mark_complete(alias)
    assert "complete; it serves from the daemon's next start" in told()[0]
    with Ledger.open(known, ManualClock()) as ledger:
        assert ledger.switch_to(new) == [new]
    line, record = told()
    assert "weights v1: 3 pictures, replaced; `deepdupe-daemon reindex --drop-old` forgets them" in line
    assert record["state"] == "retired"


def test_status_lists_what_could_not_be_read(here: Deepdupe, photos: Path) -> None:
    (line,) = here("status", "--failed").lines
    assert line.startswith(f"{photos}/broken.jpg: truncated: ends after 3\\nbytes; next try 20")
    (record,) = here("status", "--failed", "--json").records
    assert (record["path"], record["kind"], record["attempts"]) == (f"{photos}/broken.jpg", "truncated", 1)


def test_why_tells_the_evidence(here: Deepdupe, photos: Path) -> None:
    done = here("why", "photos/b.jpg")
    assert done.code == 0
    assert done.lines[0] == f"{photos}/b.jpg"
    assert f"  v1 re-encoded: is a copy of {photos}/a.jpg" in done.lines
    assert "    small.final: similarity 0.5000" in done.lines
    assert "    pixels: same, score 0.7500, tiles" in done.lines
    assert "    measured: ssim 0.5" in done.lines
    assert "    veto: sub-second" in done.lines
    assert any("rule `first`" in line for line in done.lines)


def test_why_of_a_keeper_names_its_copies(here: Deepdupe, photos: Path) -> None:
    done = here("why", photos / "a.jpg")
    assert "  not a duplicate of any other; kept" in done.lines
    assert [line.split()[2] for line in done.lines if line.startswith("  its copy: ")] == ["v1", "v2", "v3"]


def test_why_of_a_failed_file_says_the_reason(here: Deepdupe, photos: Path) -> None:
    done = here("why", photos / "broken.jpg")
    assert "  truncated: ends after 3\\nbytes (attempts: 1)" in done.lines


def test_why_finds_a_file_through_a_linked_folder_and_by_its_bytes(here: Deepdupe, photos: Path) -> None:
    (photos.parent / "link").symlink_to(photos)
    (record,) = here("why", "--json", os.fsencode(photos.parent) + b"/link/sub/" + ODD).records
    assert base64.b64decode(record["path_b64"]) == os.fsencode(photos) + b"/sub/" + ODD
    assert [row["class"] for row in record["verdicts"]] == ["identical-bytes"]
    assert record["facts"]["width_px"] == 40
    assert record["facts"]["exif"]["captured_at"] == "2024:01:02 03:04:05"


def test_why_of_two_files_compares_what_is_known(here: Deepdupe, photos: Path) -> None:
    (record,) = here("why", "--json", "photos/b.jpg", os.fsencode(photos) + b"/sub/" + ODD).records
    pair = record["pair"]
    assert pair["same_bytes"] is False
    assert 0 < pair["pdq_distance"] < 256
    assert -1 <= pair["similarities"]["small.final"] < 0.99
    assert pair["common_keeper"] == f"{photos}/a.jpg"
    assert pair["verdicts"] == []
    told = here("why", "photos/a.jpg", os.fsencode(photos) + b"/sub/" + ODD)
    assert "  the same bytes" in told.lines
    assert any(line.startswith("  PDQ hashes differ in 0 of 256 bits") for line in told.lines)
    assert any(line.startswith("  v2  identical-bytes") for line in told.lines)
    unseen = here("why", "photos/a.jpg", "photos/new.jpg")
    assert "  one of them was not seen, so nothing can be said" in unseen.lines


def test_why_of_an_unknown_file_says_what_else_to_try(here: Deepdupe, tmp_path: Path) -> None:
    done = here("why", "elsewhere.jpg")
    assert done.code == 1
    assert done.err.splitlines()[0] == f"error: {tmp_path}/elsewhere.jpg: is not known"
    assert "check FILE" in done.err


def test_a_mark_closes_the_verdict_and_is_remembered(here: Deepdupe, photos: Path) -> None:
    # the ledger of this test knows digests of its own; the mark is by what the ledger knows once the file is gone
    (photos / "a.jpg").unlink()
    (photos / "b.jpg").unlink()
    done = here("mark", "not-duplicate", "photos/b.jpg", "photos/a.jpg")
    assert (done.code, done.out) == (0, "remembered: these two pictures are not duplicates of each other\n")
    assert [record["verdict_id"] for record in here("duplicates", "--json").records] == ["v2"]
    told = here("why", "photos/b.jpg", "photos/a.jpg")
    assert "  veto: marked not duplicate" in told.lines
    assert any(line.startswith("  earlier: v1") and line.endswith("marked not-duplicate") for line in told.lines)


def test_a_mark_needs_two_contents_that_can_be_read(here: Deepdupe, photos: Path) -> None:
    same = here("mark", "not-duplicate", "photos/c.jpg", "photos/c.jpg")
    assert (same.code, same.err.splitlines()[0]) == (1, "error: the two files have the same bytes")
    missing = here("mark", "not-duplicate", "photos/c.jpg", "none.jpg")
    assert "no such file, and none is known" in missing.err


def test_rescan_needs_a_daemon_and_a_watched_folder(here: Deepdupe, photos: Path) -> None:
    done = here("rescan")
    assert done.code == 69
    assert "no daemon is running" in done.err
    wrong = here("rescan", "photos/sub")
    assert wrong.code == 78
    assert f"found {photos}/sub, which is not watched; allowed: {photos}" in wrong.err


def test_the_state_dir_can_be_named(here: Deepdupe, known: Path, environment: dict[str, str], tmp_path: Path) -> None:
    known.rename(tmp_path / "moved")
    assert len(here("duplicates", "--state-dir", "moved").lines) == 2


def test_the_configuration_file_can_be_named(here: Deepdupe, known: Path, photos: Path, tmp_path: Path) -> None:
    known.rename(tmp_path / "moved")
    (tmp_path / "c.yaml").write_text(
        f"roots: [{{path: {photos}}}]\nstate_dir: {tmp_path}/moved\nalerts: {{classes: [related]}}\n"
    )
    assert [line.split()[0] for line in here("duplicates", "--config", "c.yaml").lines] == ["v3"]
