"""`scan` and the commands that read what it left, on real pictures through the real service."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import Deepdupe
from tests.cli.pictures import picture, save

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for seed in range(3):
        save(seed, folder / f"{seed}.jpg")
    return folder


def test_scans_and_what_they_leave(
    deepdupe: Deepdupe, here: Deepdupe, photos: Path, environment: dict[str, str]
) -> None:
    """The exit code tells what a scan found; `duplicates`, `why`, `status` and `check` read what it left."""
    nothing = deepdupe("scan", "photos")
    assert (nothing.code, nothing.out) == (0, ""), nothing.err
    assert "3 files in " in nothing.err
    assert ": 0 duplicates" in nothing.err

    (photos / "broken.jpg").write_bytes((photos / "0.jpg").read_bytes()[:2000])
    (photos / "notes.txt").write_text("no picture")
    broken = deepdupe("scan", "photos")
    assert (broken.code, broken.out) == (2, ""), broken.err
    assert "1 file without a picture in it, 1 could not be read" in broken.err
    assert here("status", "--failed", "--json").records[0]["path"] == f"{photos}/broken.jpg"

    odd = os.fsencode(photos) + b"/caf\xe9\n.jpg"
    shutil.copyfile(os.fsencode(photos / "1.jpg"), odd)
    picture(2).save(photos / "smaller.webp", quality=80)
    found = deepdupe("scan", "--json", "photos")
    assert found.code == 1, found.err
    *listed, summary = found.records
    assert {(record["kind"], record["class"], record["keeper"]) for record in listed} == {
        ("duplicate", "identical-bytes", f"{photos}/1.jpg"),
        ("duplicate", "re-encoded", f"{photos}/2.jpg"),
    }
    assert summary["kind"] == "summary"
    assert {key: summary[key] for key in ("files", "indexed", "ignored", "failed", "waiting", "duplicates")} == {
        "files": 7,
        "indexed": 5,
        "ignored": 1,
        "failed": 1,
        "waiting": 0,
        "duplicates": 2,
    }
    assert summary["complete"] is True

    _what_it_left(here, photos, odd)
    _check_writes_nothing(here, photos, Path(environment["XDG_STATE_HOME"], "deepdupe-daemon", "ledger.sqlite"))


def _what_it_left(here: Deepdupe, photos: Path, odd: bytes) -> None:
    assert len(here("duplicates").lines) == 2
    told = here("why", odd)
    assert told.lines[0] == f"{photos}/caf\\xe9\\n.jpg"
    assert any("identical-bytes: is a copy of" in line for line in told.lines)
    (pair,) = (record["pair"] for record in here("why", "--json", photos / "smaller.webp", photos / "2.jpg").records)
    assert pair["similarities"]["pdq.hash"] > 0.75
    (state,) = here("status", "--json").records
    assert (state["running"], state["images"], state["duplicates"]) == (False, 4, 2)


def _check_writes_nothing(here: Deepdupe, photos: Path, ledger: Path) -> None:
    """`check` without a daemon."""
    picture(0).save(photos.parent / "again.png")
    save(7, photos.parent / "new.jpg")
    before = ledger.read_bytes()
    done = here("check", "--json", "again.png", "new.jpg", "photos/0.jpg", "none.jpg")
    assert done.code == 1, done.err
    again, new, itself, none = done.records
    assert (again["duplicate"], again["matches"][0]["class"]) == (True, "re-encoded")
    assert again["matches"][0]["path"] == f"{photos}/0.jpg"
    assert (new["duplicate"], itself["duplicate"], none["duplicate"]) == (False, False, False)
    assert none["failure"] == "vanished"
    only_new = here("check", "new.jpg")
    assert (only_new.code, only_new.out) == (0, f"{photos.parent}/new.jpg: new\n")
    assert ledger.read_bytes() == before
