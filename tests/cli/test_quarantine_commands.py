"""`quarantine ...` where no daemon runs: the commands work on the ledger and the files themselves."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from deepdupe_daemon.act import BreakerState
from deepdupe_daemon.clock import SystemClock
from deepdupe_daemon.config import Config, JudgeConfig, RootConfig, remember
from deepdupe_daemon.ledger import Ledger, lock_state_dir
from deepdupe_daemon.model import VerdictClass
from deepdupe_daemon.service.breaker import Breaker
from deepdupe_daemon.service.carrier import Carrier
from tests.cli.conftest import Deepdupe
from tests.ledger.build import SPACE, arrival_at, seen, verdict

ODD = b"caf\xe9\n.jpg"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    (tmp_path / "photos" / "sub").mkdir(parents=True)
    return tmp_path / "photos"


@pytest.fixture(autouse=True)
def known(environment: dict[str, str], photos: Path) -> Config:
    """keep.jpg, its copy sub/ODD and its re-encode b.jpg, both quarantined; c.jpg, another copy, and d.jpg like it."""
    state_dir = Path(environment["XDG_STATE_HOME"], "deepdupe-daemon")
    root = RootConfig(path=photos, action="quarantine")
    config = Config(roots=(root,), state_dir=state_dir, judge=JudgeConfig(bundle_wait_s=0.0))
    clock = SystemClock()
    contents = {b"keep.jpg": "a", b"sub/" + ODD: "a", b"b.jpg": "b", b"c.jpg": "a", b"d.jpg": "d"}
    paths = {name: os.path.join(os.fsencode(photos), name) for name in contents}
    for name, path in paths.items():
        with open(path, "wb") as file:
            file.write(contents[name].encode())
    with Ledger.open(state_dir, clock) as ledger:
        remember(config)
        ledger.ensure_space(SPACE)
        ledger.note_arrivals([arrival_at(os.fsdecode(path), photos) for path in paths.values()])
        rows = [row for path in paths.values() if (row := ledger.file_by_path(path)) is not None]
        ledger.record_seen([seen(row, content) for row, content in zip(rows, contents.values(), strict=True)])
        keep, odd, b, c, d = (row for path in paths.values() if (row := ledger.file_by_path(path)) is not None)
        same = VerdictClass.IDENTICAL_BYTES
        verdicts = [verdict(odd, keep, same), verdict(b, keep), verdict(c, keep, same)]
        ledger.record_judged(
            [row.file_id for row in (keep, odd, b, c, d)], [*verdicts, verdict(d, keep, VerdictClass.RELATED)]
        )
        done = Carrier(config, ledger, clock, lambda _record: None).carry_now([1, 2])
        assert [str(order.state) for order in done] == ["quarantined", "quarantined"], done
    return config


def test_what_rests_there_is_listed(here: Deepdupe, photos: Path) -> None:
    done = here("quarantine", "list")
    assert (done.code, done.err) == (0, "")
    first, second = done.lines
    assert first.startswith("q1  ")
    assert first.endswith(f"identical-bytes  {photos}/sub/caf\\xe9\\n.jpg, a copy of {photos}/keep.jpg")
    assert second.endswith(f"re-encoded  {photos}/b.jpg, a copy of {photos}/keep.jpg")
    assert here("quarantine", "list", photos / "sub").lines == [first]
    assert here("quarantine", "list", "--class", "re-encoded").lines == [second]
    assert here("quarantine", "list", "--since", "2100-01-01").lines == []
    assert "found 'copies'; allowed: identical-bytes" in here("quarantine", "list", "--class", "copies").err


def test_the_listing_for_programs_gives_every_path_exactly(here: Deepdupe, photos: Path) -> None:
    first, second = here("quarantine", "list", "--json").records
    assert base64.b64decode(first["path_b64"]) == os.fsencode(photos) + b"/sub/" + ODD
    assert first["files"][0]["stored"] == "0.jpg"
    assert (first["keeper"], first["state"], first["verdict_id"]) == (f"{photos}/keep.jpg", "quarantined", "v1")
    manifest = json.loads((Path(second["folder"]) / "manifest.json").read_text())
    assert (manifest["action"], manifest["files"][0]["path"]) == ("q2", f"{photos}/b.jpg")


def test_restore_by_id_by_path_and_all(here: Deepdupe, photos: Path) -> None:
    assert here("quarantine", "restore", "2").lines == [f"q2  restored {photos}/b.jpg"]
    shutil.rmtree(photos / "sub")
    done = here("quarantine", "restore", "--path", os.fsencode(photos) + b"/sub/" + ODD, "--json")
    (record,) = done.records
    assert base64.b64decode(record["files"][0]["path_b64"]) == os.fsencode(photos) + b"/sub/" + ODD
    assert record["notes"], "the folder was made anew"
    assert os.path.exists(os.fsencode(photos) + b"/sub/" + ODD)
    assert here("quarantine", "list").lines == []
    assert [line.split("(")[-1] for line in here("quarantine", "list", "--all").lines] == ["restored)", "restored)"]
    assert here("quarantine", "restore", "--all").err == "nothing rests in quarantine\n"


def test_restore_never_overwrites(here: Deepdupe, photos: Path) -> None:
    (photos / "b.jpg").write_text("another")
    refused = here("quarantine", "restore", "--since", "1h")
    assert refused.code == 1
    assert refused.lines == [f"q1  restored {photos}/sub/caf\\xe9\\n.jpg"], "the others come back"
    assert refused.err.startswith(f"q2  not restored: {photos}/b.jpg: another file has its name")
    done = here("quarantine", "restore", "q2", "--free-name")
    assert done.code == 0
    assert (photos / "b.jpg").read_text() == "another"
    assert (photos / "b (restored).jpg").read_text() == "b"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((), 78, "found nothing to restore"),
        (("seven",), 78, "ID: found 'seven'; allowed: an id such as q42"),
        (("q99",), 1, "q99: no such action"),
        (("--path", "keep.jpg"), 1, "keep.jpg: does not rest in quarantine"),
        (("--since", "soon"), 78, "--since: found 'soon'"),
    ],
)
def test_what_cannot_be_meant_is_said(arguments: tuple[str, ...], code: int, said: str, here: Deepdupe) -> None:
    done = here("quarantine", "restore", *arguments)
    assert done.code == code
    assert said in done.err


def test_restore_by_the_manifest_alone(here: Deepdupe, photos: Path, known: Config) -> None:
    folder = here("quarantine", "list", "--json").records[1]["folder"]
    shutil.rmtree(known.state_dir)
    assert here("quarantine", "restore", "--manifest", folder).lines == [f"restored {photos}/b.jpg"]
    assert (photos / "b.jpg").read_text() == "b"


def test_the_readmes_way_by_hand_brings_everything_back(here: Deepdupe, photos: Path, project_root: Path) -> None:
    folder = Path(here("quarantine", "list", "--json").records[1]["folder"])
    (said,) = json.loads((folder / "manifest.json").read_text())["files"]
    readme = (project_root / "README.md").read_text()
    block = next(part for part in readme.split("```") if part.startswith("sh\ncd /srv/photos/.deepdupe-quarantine"))
    seconds, nanoseconds = divmod(said["mtime_ns"], 10**9)
    for shown, meant in {
        r"/srv/photos/\.deepdupe-quarantine/\S+": str(folder),
        "/srv/photos/again.jpg": said["path"],
        "1000:1000": f"{said['uid']}:{said['gid']}",
        "0644": said["mode"],
        r"@[0-9.]+": f"@{seconds}.{nanoseconds:09}",
    }.items():
        assert re.search(shown, block), shown
        block = re.sub(shown, meant, block)
    subprocess.run(["sh", "-e", "-c", block.removeprefix("sh\n")], check=True)
    stat = (photos / "b.jpg").stat()
    assert (photos / "b.jpg").read_text() == "b"
    assert (stat.st_mtime_ns, stat.st_uid, f"{stat.st_mode & 0o7777:04o}") == (
        said["mtime_ns"],
        said["uid"],
        said["mode"],
    )


def test_verify_reads_every_byte(here: Deepdupe, photos: Path) -> None:
    assert here("quarantine", "verify").code == 0
    folder = Path(here("quarantine", "list", "--json").records[1]["folder"])
    (folder / "0.jpg").write_text("x")
    done = here("quarantine", "verify")
    assert done.code == 1
    assert done.lines[0].startswith("q2  damaged: ")
    problems = [(record["action_id"], record["problem"]) for record in here("quarantine", "verify", "--json").records]
    assert problems[0] == ("q1", None)
    assert ("q2", "damaged") in problems
    assert here("quarantine", "verify", "q1").code == 0
    stranger = folder.parent / "20200101-000000-0123456789abcdef"
    stranger.mkdir()
    assert any(stranger.name in line for line in here("quarantine", "verify").lines)


def test_purge_asks_and_says_what_it_deleted(here: Deepdupe, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("no\n"))
    assert "found nothing to delete" in here("quarantine", "purge").err
    assert here("quarantine", "purge", "--older-than", "1h").err == "nothing that old rests in quarantine\n"
    unasked = here("quarantine", "purge", "--older-than", "0s")
    assert (unasked.code, unasked.out) == (130, "")
    assert "Delete 2 files (2 bytes) for good? [y/N]" in unasked.err
    assert f"{photos}/b.jpg" in unasked.err
    assert len(here("quarantine", "list").lines) == 2
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    done = here("quarantine", "purge", "--older-than", "0s")
    assert done.lines == [f"q1  deleted {photos}/sub/caf\\xe9\\n.jpg", f"q2  deleted {photos}/b.jpg"]
    assert list((photos / ".deepdupe-quarantine").iterdir()) == []
    assert here("quarantine", "purge", "q1", "--yes").code == 1


def test_purge_keeps_what_has_no_other_copy(here: Deepdupe, photos: Path) -> None:
    (photos / "keep.jpg").unlink()
    (photos / "c.jpg").unlink()
    done = here("quarantine", "purge", "q1", "--yes", "--json")
    assert (done.code, done.records[0]["done"]) == (1, False)
    assert len(here("quarantine", "list").lines) == 2


def test_add_moves_what_was_there_before(here: Deepdupe, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert here("quarantine", "add").code == 78
    assert "proves no copy: it is never quarantined" in here("quarantine", "add", photos / "d.jpg").err
    assert "is no known duplicate" in here("quarantine", "add", photos / "keep.jpg").err
    assert here("quarantine", "add", photos / "c.jpg").code == 130, "nobody said yes"
    done = here("quarantine", "add", "--all", "--yes")
    assert (done.code, done.lines) == (0, [f"v3  quarantined {photos}/c.jpg"])
    assert here("quarantine", "add", "--all").err == "no such duplicate in a folder with action quarantine\n"
    assert (photos / "d.jpg").exists()


def test_add_says_why_something_stays(here: Deepdupe, photos: Path) -> None:
    os.link(photos / "c.jpg", photos / "second-name.jpg")
    done = here("quarantine", "add", photos / "c.jpg", "--yes")
    assert done.code == 1
    assert done.err.startswith(f"v3  not quarantined (refused): {photos}/c.jpg: hard-linked: ")
    (record,) = here("quarantine", "add", photos / "c.jpg", "--yes", "--json").records
    assert (record["state"], record["path"]) == ("refused", f"{photos}/c.jpg")


def test_resume_and_status_show_the_breaker(here: Deepdupe, known: Config, photos: Path) -> None:
    assert "  quarantine  2 there" in here("status").lines
    assert here("quarantine", "resume").lines == ["quarantining had not stopped"]
    with Ledger.open(known.state_dir, SystemClock()) as ledger:
        ledger.place_orders([(3, os.fsencode(photos))])
        Breaker(ledger, known.quarantine.breaker, SystemClock()).open("too many", "/x.jpg")
        ledger.hold_orders("the breaker is open")
    (line,) = here("quarantine", "list", "--waiting").lines
    assert line.startswith(f"v3  identical-bytes  {photos}/c.jpg is a copy of {photos}/keep.jpg")
    assert line.endswith("  [the breaker is open]")
    (record,) = here("quarantine", "list", "--waiting", "--json").records
    assert (record["duplicate"], record["state"]) == (f"{photos}/c.jpg", "held")
    lines = here("status").lines
    assert "  quarantine  2 there, 1 to be moved" in lines
    assert any(line.startswith("  stopped     quarantining, ") and line.endswith(": too many") for line in lines)
    assert here("status", "--json").records[0]["quarantine"]["breaker"]["about"] == "/x.jpg"
    said = "quarantining goes on; it had stopped because too many; 1 duplicate that waited stay where they are"
    assert here("quarantine", "resume", "--discard").lines == [said]
    with Ledger.open(known.state_dir, SystemClock()) as ledger:
        assert Breaker(ledger, known.quarantine.breaker, SystemClock()).state != BreakerState()
        assert ledger.open_orders() == 0


def test_a_daemon_that_only_starts_keeps_the_commands_out(here: Deepdupe, known: Config) -> None:
    with lock_state_dir(known.state_dir):
        done = here("quarantine", "restore", "q1")
    assert done.code == 75
    assert "uses this state dir" in done.err
