"""The whole circle as an administrator has it: a service of systemd, its journal, and the page in a real browser."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import Chrome

from deepdupe_daemon.act import Kind
from deepdupe_daemon.clock import SystemClock
from deepdupe_daemon.ledger import Ledger
from tests.cli.pictures import save
from tests.conftest import Eventually
from tests.page.circle import ARRIVING, KEPT, LEFT, assert_decided, decide
from tests.page.conftest import browser  # noqa: F401 - the fixture
from tests.page.tunnel import Tunnel
from tests.systemd.installed import PROGRAM, Installed

pytestmark = pytest.mark.timeout(900)

PHOTOS, SORTED, STATE = "/srv/photos", "/srv/sorted", "/var/lib/deepdupe-daemon"


@contextmanager
def reviewed(service: Installed, eventually: Eventually) -> Iterator[str]:
    """`review` inside, on a Unix socket: the sandbox has a network of its own. Its address as a tunnel leads to it."""
    place, said = "/run/review.sock", "/run/review.said"
    service.box.run(
        *(
            "systemd-run",
            "--unit=review",
            "--quiet",
            "-p",
            f"StandardOutput=truncate:{said}",
            "-p",
            "StandardError=journal",
        ),
        *(f"{PROGRAM}/bin/deepdupe-daemon", "review", "--socket", place),
    )
    try:
        address = eventually(lambda: _text(service.box.path(said)).strip(), 120, every_s=0.1)
        assert address.startswith("http://localhost/")
        with Tunnel(service.box.path(place)) as tunnel:
            yield address.replace("localhost", tunnel.host)
    finally:
        service.systemctl("stop", "review")


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def brought_out(service: Installed, folder: Path) -> Path:
    """A folder with the ledger as it is now: SQLite follows the link that leads into the sandbox out of it again."""
    inside = "/run/ledger.sqlite"
    backup = (
        f"import sqlite3; sqlite3.connect('file:{STATE}/ledger.sqlite?mode=ro', uri=True)"
        f".backup(sqlite3.connect('{inside}'))"
    )
    service.box.run(f"{PROGRAM}/bin/python", "-c", backup)
    folder.mkdir()
    shutil.copyfile(service.box.path(inside), folder / "ledger.sqlite")
    service.box.path(inside).unlink()
    return folder


def _number(name: str) -> int:
    return next(int(each) for each in name if each.isdigit())


def told(service: Installed, kind: Kind) -> dict[str, list[dict[str, Any]]]:
    """Name in the folder -> the journal's entries of that kind about it."""
    found: dict[str, list[dict[str, Any]]] = {}
    for entry in service.told(kind.message_id):
        folder, _, name = str(entry["DEEPDUPE_PATH"]).rpartition("/")
        if folder == SORTED and name in ARRIVING:
            found.setdefault(name, []).append(entry)
    return found


def test_journal_ledger_page_and_folders_agree(
    service: Installed,
    browser: Chrome,  # noqa: F811
    tmp_path: Path,
    eventually: Eventually,
) -> None:
    for number, name in KEPT.items():
        save(number, tmp_path / name)
        service.drop(tmp_path / name, f"{PHOTOS}/{name}")
    kept = [f"{PHOTOS}/{name}" for name in KEPT.values()]
    eventually(lambda: all("indexed" in service.program("why", path, check=False) for path in kept), 120, every_s=0.3)
    for name, write in ARRIVING.items():
        write(tmp_path / name)
        service.drop(tmp_path / name, f"{SORTED}/{name}")
    eventually(lambda: len(told(service, Kind.QUARANTINED)) == 2, 180, every_s=0.3)
    eventually(
        lambda: told(service, Kind.DUPLICATE_FOUND).keys() >= {"mirrored3.jpg", "mirrored4.jpg"}, 120, every_s=0.3
    )
    try:
        with reviewed(service, eventually) as address:
            decide(browser, address, service.box.path(SORTED), eventually)
        eventually(lambda: told(service, Kind.RESTORED), 60, every_s=0.3)
        alerts, moved, back = (told(service, kind) for kind in (Kind.DUPLICATE_FOUND, Kind.QUARANTINED, Kind.RESTORED))
        assert {name: len(entries) for name, entries in alerts.items()} == dict.fromkeys(ARRIVING, 1)
        assert {name: len(entries) for name, entries in moved.items()} == {
            "again1.jpg": 1,
            "again2<b>.jpg": 1,
            "mirrored4.jpg": 1,
        }
        assert {name: len(entries) for name, entries in back.items()} == {"again1.jpg": 1}
        with Ledger.open(brought_out(service, tmp_path / "state"), SystemClock(), readonly=True) as ledger:
            assert_decided(ledger, SORTED.encode())
            for name, entries in alerts.items():
                rows = {row.label: row for row in ledger.verdicts_for(f"{SORTED}/{name}".encode())}
                row = rows[entries[0]["DEEPDUPE_VERDICT_ID"]]
                assert entries[0]["DEEPDUPE_VERDICT"] == row.verdict.verdict_class
                assert entries[0]["DEEPDUPE_KEEPER"] == f"{PHOTOS}/{KEPT[_number(name)]}"
            actions = {row.label: row for row in ledger.actions()}
            for name, entries in (*moved.items(), *back.items()):
                row_path = actions[entries[0]["DEEPDUPE_ACTION_ID"]].first.file.path
                assert row_path == f"{SORTED}/{name}".encode()
        assert set(LEFT) <= {path.name for path in service.box.path(SORTED).iterdir()}
    finally:
        for name in KEPT.values():
            service.box.path(f"{PHOTOS}/{name}").unlink()
        for name in set(LEFT) & set(ARRIVING):
            service.box.path(f"{SORTED}/{name}").unlink(missing_ok=True)
