"""Listings in other forms, help at 80 columns, the manual page, completion."""

from __future__ import annotations

import csv
import io
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import Deepdupe
from tests.cli.test_ledger_commands import ODD, known, photos  # noqa: F401 - the fixtures
from tests.test_documents import command_names


def test_the_table_has_its_columns_under_their_titles(here: Deepdupe, photos: Path) -> None:  # noqa: F811
    title, first, second = here("duplicates", "--format", "table").lines
    assert title.split() == ["id", "verdict", "change", "likeness", "verifier", "duplicate", "keeper"]
    assert first[title.index("verdict") :].startswith("re-encoded")
    assert second[title.index("duplicate") :].startswith(f"{photos}/sub/caf\\xe9\\n.jpg"[:60])
    assert first.endswith(f"{photos}/a.jpg")


def test_csv_is_read_again_by_any_reader(here: Deepdupe, photos: Path) -> None:  # noqa: F811
    done = here("duplicates", "--format", "csv")
    first, second = csv.DictReader(io.StringIO(done.out))
    assert (first["class"], first["duplicate"]) == ("re-encoded", f"{photos}/b.jpg")
    assert (first["space"], first["similarity"], first["vetoes"]) == ("small.final", "0.5000", "sub-second")
    assert first["duplicate_b64"] == ""
    assert second["duplicate_b64"]


def test_json_is_json(here: Deepdupe) -> None:
    assert here("duplicates", "--format", "json").out == here("duplicates", "--json").out


def test_paths_for_xargs_are_exact(
    command: list[str],
    environment: dict[str, str],
    photos: Path,  # noqa: F811
) -> None:
    done = subprocess.run([*command, "duplicates", "-0"], env=environment, capture_output=True, check=True, timeout=120)
    assert done.stdout == os.fsencode(photos) + b"/b.jpg\0" + os.fsencode(photos) + b"/sub/" + ODD + b"\0"
    read = subprocess.run(["xargs", "-0", "cat"], input=done.stdout, capture_output=True, check=True, timeout=60)
    assert read.stdout == b"b.jpgodd"


@pytest.mark.parametrize("arguments", [["--format", "xml"], ["--format", "csv", "--json"], ["-0", "--format", "table"]])
def test_one_form_at_a_time_and_a_known_one(arguments: list[str], here: Deepdupe) -> None:
    done = here("duplicates", *arguments)
    assert done.code == 78
    assert "--format: found" in done.err


@pytest.mark.parametrize("name", ["", *sorted(command_names())])
def test_help_reads_well_at_80_columns(name: str, here: Deepdupe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    done = here(*name.split(), "--help")
    assert done.code == 0
    assert max(len(line) for line in done.lines) <= 80
    assert "[[" not in done.out


def test_the_manual_page_has_every_command_and_no_mistake(here: Deepdupe, tmp_path: Path) -> None:
    page = here("man").out
    titles = re.findall(r"^\.SS ([a-z\\ -]+?)(?: [A-Z\[].*)?$", page, re.MULTILINE)
    shown = {each.replace("\\-", "-") for each in titles}
    groups = {"config", "models", "mark", "quarantine", "service"}
    assert {name for name in command_names() if name not in groups} - {"man"} <= shown
    assert "print0" in page
    if shutil.which("groff") is None:
        return
    (tmp_path / "page.1").write_text(page, "utf-8")
    troff = ["groff", "-man", "-Tutf8", "-ww", "-Kutf8", "page.1"]
    done = subprocess.run(troff, cwd=tmp_path, capture_output=True, check=True, timeout=60)
    assert done.stderr == b""


@pytest.mark.parametrize(
    ("typed", "offered"), [("cal", "calibrate"), ("models l", "list"), ("duplicates --pr", "--print0")]
)
def test_bash_completes(typed: str, offered: str, command: list[str], environment: dict[str, str]) -> None:
    words = ["deepdupe-daemon", *typed.split()]
    given = {"COMP_WORDS": " ".join(words), "COMP_CWORD": str(len(words) - 1)}
    asked = environment | given | {"_DEEPDUPE_DAEMON_COMPLETE": "complete_bash"}
    done = subprocess.run(command, env=asked, capture_output=True, text=True, check=False, timeout=120)
    assert offered in done.stdout.split()
