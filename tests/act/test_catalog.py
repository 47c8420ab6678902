"""The catalog that `journalctl -x` reads explains every kind of record, and no other."""

from __future__ import annotations

import re
from pathlib import Path

from deepdupe_daemon.act import Kind


def entries(project_root: Path) -> dict[str, str]:
    text = (project_root / "systemd" / "deepdupe-daemon.catalog").read_text()
    parts = re.split(r"^-- ([0-9a-f]{32})$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_every_kind_has_its_entry_and_every_entry_its_kind(project_root: Path) -> None:
    assert set(entries(project_root)) == {kind.message_id for kind in Kind}


def test_every_entry_has_a_subject_and_says_something(project_root: Path) -> None:
    for message_id, entry in entries(project_root).items():
        assert re.match(r"\nSubject: .+\nDefined-By: deepdupe-daemon\n\n\S", entry), message_id


def test_every_field_that_is_named_is_one_of_ours_and_printable(project_root: Path) -> None:
    named = {field for entry in entries(project_root).values() for field in re.findall(r"@(\w+)@", entry)}
    known = {"VERDICT", "KEEPER_RULE", "ACTION", "FAILURE", "REASON", "THREAD", "STAGE"}
    known |= {"ACTION_ID", "ABOUT", "COMMAND", "EVENT", "PATH_TEXT", "KEEPER_TEXT", "QUARANTINE_TEXT"}
    assert named <= {f"DEEPDUPE_{field}" for field in known}
