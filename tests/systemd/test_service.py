"""The service as an administrator meets it: systemctl and journalctl of a real systemd."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from deepdupe_daemon.act import Kind
from tests.service.pictures import photo, save
from tests.systemd.installed import HOME_ROOT, PROGRAM, UNIT, Installed

Eventually = Callable[..., None]

PHOTOS = "/srv/photos"


@pytest.fixture
def original(service: Installed, tmp_path: Path, eventually: Eventually) -> Path:
    """A picture that is known in /srv/photos, so that what arrives from now on is its copy."""
    made = save(photo(1), tmp_path / "original.png")
    if not service.box.path(f"{PHOTOS}/original.png").exists():
        service.drop(made, f"{PHOTOS}/original.png")
        eventually(lambda: json.loads(service.program("status", "--json"))["files"]["indexed"] >= 1, timeout_s=60)
    return made


def pair(service: Installed, original: Path, name: str, folder: str = PHOTOS) -> str:
    """A copy of what is known already arrives; its path."""
    target = f"{folder}/{name}"
    service.drop(original, target)
    return target


def running(service: Installed) -> bool:
    return service.show("ActiveState", "SubState") == {"ActiveState": "active", "SubState": "running"}


def test_it_is_active_once_its_models_are_resident_and_its_folders_watched(service: Installed) -> None:
    assert running(service), service.log()
    (ready,) = service.told(Kind.READY.message_id)[:1]
    assert ready["_SYSTEMD_UNIT"] == UNIT
    # `systemctl start` came back only after READY=1, which came after the model and the watches
    (started,) = service.journal("_PID=1", f"UNIT={UNIT}", "JOB_TYPE=start", "JOB_RESULT=done")[:1]
    assert int(ready["__MONOTONIC_TIMESTAMP"]) <= int(started["__MONOTONIC_TIMESTAMP"])
    status = json.loads(service.program("status", "--json"))
    assert status["forward"]["state"] == "ready"
    assert status["intake"]["armed"] is True
    assert set(status["roots"]) == {PHOTOS, HOME_ROOT, "/srv/sorted"}


def test_the_status_text_says_how_far_it_is(service: Installed, eventually: Eventually) -> None:
    eventually(lambda: service.show("StatusText")["StatusText"].startswith("watching, "), timeout_s=60)
    assert "files known, " in service.show("StatusText")["StatusText"]


def test_a_duplicate_is_found_in_the_journal_with_every_field(
    service: Installed, original: Path, eventually: Eventually
) -> None:
    path = pair(service, original, "a copy.png")
    eventually(lambda: service.told(Kind.DUPLICATE_FOUND.message_id, path), timeout_s=60)
    (alert,) = service.told(Kind.DUPLICATE_FOUND.message_id, path)
    assert alert["MESSAGE"] == f"duplicate (identical-bytes): {path} is a copy of {PHOTOS}/original.png, observed"
    assert alert["PRIORITY"] == "5"
    assert alert["SYSLOG_IDENTIFIER"] == "deepdupe-daemon"
    assert alert["DEEPDUPE_VERDICT"] == "identical-bytes"
    assert alert["DEEPDUPE_KEEPER"] == f"{PHOTOS}/original.png"
    assert alert["DEEPDUPE_DIGEST"] == alert["DEEPDUPE_KEEPER_DIGEST"]
    assert alert["DEEPDUPE_KEEPER_RULE"] == "first"
    assert alert["DEEPDUPE_ACTION"] == "observed"
    assert alert["DEEPDUPE_VERDICT_ID"].startswith("v")
    assert int(alert["DEEPDUPE_LATENCY_MS"]) >= 0
    assert alert["_SYSTEMD_UNIT"] == UNIT


def test_a_proven_copy_has_the_evidence_in_its_fields(
    service: Installed, original: Path, tmp_path: Path, eventually: Eventually
) -> None:
    pair(service, original, "another copy.png")
    path = f"{PHOTOS}/recompressed.jpg"
    service.drop(save(photo(1), tmp_path / "again.jpg", quality=85), path)
    eventually(lambda: service.told(Kind.DUPLICATE_FOUND.message_id, path), timeout_s=60)
    (alert,) = service.told(Kind.DUPLICATE_FOUND.message_id, path)
    assert alert["DEEPDUPE_VERDICT"] == "re-encoded"
    assert alert["DEEPDUPE_SPACE"] == "pdq.hash"
    assert float(alert["DEEPDUPE_SIMILARITY"]) > 0.7
    assert json.loads(alert["DEEPDUPE_SIMILARITIES"]).keys() == {"pdq.hash"}
    assert float(alert["DEEPDUPE_VERIFIER"]) > 0.8


def test_a_folder_below_home_is_open_and_its_neighbours_are_not(
    service: Installed, original: Path, eventually: Eventually
) -> None:
    service.write("/home/ann/diary.txt", "dear diary")
    path = pair(service, original, "at home.png", HOME_ROOT)
    eventually(lambda: service.told(Kind.DUPLICATE_FOUND.message_id, path), timeout_s=60)
    inside = f"/proc/{service.main_pid()}/root"
    assert service.box.run("ls", f"{inside}/home/ann").split("\n")[0] == HOME_ROOT.rpartition("/")[2]
    assert "diary" not in service.box.run("ls", "-R", f"{inside}/home")
    assert service.box.run("ls", "-A", f"{inside}/root") == ""


def test_what_it_watches_cannot_be_written_by_it(service: Installed) -> None:
    mounts = service.box.run("cat", f"/proc/{service.main_pid()}/mountinfo").splitlines()
    by_point = {line.split()[4]: line.split()[5].split(",") for line in mounts}
    assert "ro" in by_point["/"]
    assert "ro" in next(options for point, options in by_point.items() if point.startswith("/home/ann"))
    assert "rw" in by_point["/var/lib/deepdupe-daemon"]
    assert "rw" in by_point["/srv/sorted"], "but for the folder that it quarantines from"


def test_the_workers_have_locked_themselves_in_under_the_units_own_filter(service: Installed) -> None:
    protections = json.loads(service.program("status", "--json"))["decoder"]["protections"]
    assert {"landlock", "seccomp", "no-new-privs"} <= set(protections)


def test_its_socket_is_for_its_own_group(service: Installed) -> None:
    status = service.box.run("stat", "-c", "%a %U %G", "/run/deepdupe-daemon/control.sock").strip()
    assert status == "660 deepdupe deepdupe"
    ask = (
        "import json, socket; s = socket.socket(socket.AF_UNIX); s.connect('/run/deepdupe-daemon/control.sock');"
        's.sendall(b\'{"v": 1, "op": "rescan"}\\n\'); print(s.recv(999).decode())'
    )
    python = f"{PROGRAM}/bin/python"
    member = service.box.run("setpriv", "--reuid=65534", "--regid=65534", "--groups=deepdupe", python, "-c", ask)
    assert json.loads(member) == {"ok": True}
    program = f"{PROGRAM}/bin/deepdupe-daemon"
    member_of = ("setpriv", "--reuid=65534", "--regid=65534", "--groups=deepdupe", "env", "HOME=/nonexistent")
    shown = service.box.run(*member_of, program, "status")
    assert shown.startswith("running (pid"), "without the right to read a file of the daemon's"
    stranger = service.box.run(
        *("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", python, "-c", ask), check=False
    )
    assert "PermissionError" in stranger


def test_the_catalog_explains_an_alert(service: Installed, original: Path, eventually: Eventually) -> None:
    path = pair(service, original, "explained.png")
    eventually(lambda: service.told(Kind.DUPLICATE_FOUND.message_id, path), timeout_s=60)
    shown = service.box.run("journalctl", "-x", "--no-pager", f"MESSAGE_ID={Kind.DUPLICATE_FOUND.message_id}")
    assert "Subject: A duplicate picture was found: identical-bytes" in shown
    assert path in shown.partition("Subject:")[2]
    assert "mark not-duplicate" in shown


def test_a_good_reload_is_taken_over_while_the_process_goes_on(
    service: Installed, original: Path, eventually: Eventually
) -> None:
    pid, config = service.main_pid(), "/etc/deepdupe-daemon/deepdupe.yaml"
    before = service.box.path(config).read_text()
    try:
        service.write(config, before.replace("intake:\n", "intake:\n  exclude: ['*.skip']\n"))
        service.systemctl("reload", UNIT)
        eventually(lambda: service.told(Kind.RELOADED.message_id), timeout_s=60)
        assert "intake.exclude" in service.told(Kind.RELOADED.message_id)[-1]["MESSAGE"]
        eventually(lambda: running(service), timeout_s=60)
        skipped = pair(service, original, "x.skip")
        path = pair(service, original, "after the reload.png")
        eventually(lambda: service.told(Kind.DUPLICATE_FOUND.message_id, path), timeout_s=60)
        assert not service.told(Kind.DUPLICATE_FOUND.message_id, skipped)
        assert service.main_pid() == pid
    finally:
        service.write(config, before)
        service.systemctl("reload", UNIT)


def test_a_bad_reload_fails_and_the_old_configuration_goes_on(
    service: Installed, original: Path, eventually: Eventually
) -> None:
    pid, config = service.main_pid(), "/etc/deepdupe-daemon/deepdupe.yaml"
    before = service.box.path(config).read_text()
    try:
        service.write(config, before + "jugde: {}\n")
        service.systemctl("reload", UNIT, check=False)
        eventually(lambda: service.told(Kind.RELOAD_REFUSED.message_id), timeout_s=60)
        assert "did you mean judge" in service.told(Kind.RELOAD_REFUSED.message_id)[-1]["MESSAGE"]
        assert "Reload failed" in service.box.run("journalctl", "-q", "--no-pager", "-u", UNIT)
        eventually(lambda: running(service), timeout_s=60)
        path = pair(service, original, "after the refusal.png")
        eventually(lambda: service.told(Kind.DUPLICATE_FOUND.message_id, path), timeout_s=60)
        assert service.main_pid() == pid
    finally:
        service.write(config, before)


def restarted(service: Installed, pid: int) -> bool:
    return running(service) and service.main_pid() not in (0, pid)


def test_a_process_that_stands_still_is_restarted_by_the_watchdog(
    service: Installed, original: Path, eventually: Eventually
) -> None:
    service.write(f"/run/systemd/system/{UNIT}.d/short.conf", "[Service]\nWatchdogSec=3\n")
    service.systemctl("daemon-reload")
    service.systemctl("restart", UNIT)
    pid = service.main_pid()
    service.systemctl("kill", "--kill-who=main", "-s", "STOP", UNIT)
    path = pair(service, original, "while it stood still.png")
    eventually(lambda: restarted(service, pid), timeout_s=120)
    said = " ".join(str(entry["MESSAGE"]) for entry in service.journal("_PID=1", f"UNIT={UNIT}"))
    assert "Watchdog timeout" in said
    eventually(lambda: service.told(Kind.DUPLICATE_FOUND.message_id, path), timeout_s=60)
    # the stacks of all threads, told by the signal that ended it
    assert "Current thread" in service.box.run("journalctl", "-q", "--no-pager", "-u", UNIT)
    service.box.path(f"/run/systemd/system/{UNIT}.d/short.conf").unlink()
    service.systemctl("daemon-reload")
    service.systemctl("restart", UNIT)


def test_a_killed_process_comes_back_and_finds_what_came_meanwhile(
    service: Installed, original: Path, eventually: Eventually
) -> None:
    service.systemctl("reset-failed", UNIT)
    pid = service.main_pid()
    service.systemctl("kill", "--kill-who=main", "-s", signal.SIGKILL.name, UNIT)
    path = pair(service, original, "while it was dead.png")
    eventually(lambda: restarted(service, pid), timeout_s=120)
    eventually(lambda: service.told(Kind.DUPLICATE_FOUND.message_id, path), timeout_s=60)


def test_it_stops_in_time_under_load(service: Installed, tmp_path: Path, eventually: Eventually) -> None:
    for number in range(60):
        service.drop(save(photo(number), tmp_path / f"{number}.png"), f"{PHOTOS}/load-{number}.png")
    service.systemctl("stop", UNIT)
    assert service.show("ActiveState", "Result") == {"ActiveState": "inactive", "Result": "success"}, service.log()
    assert service.told(Kind.STOPPING.message_id)
    for number in range(60):  # what is left to do would only keep the next test waiting
        service.box.path(f"{PHOTOS}/load-{number}.png").unlink()
    service.systemctl("start", UNIT)
    eventually(lambda: running(service), timeout_s=60)


def test_a_wrong_configuration_ends_with_78_and_is_not_tried_again(service: Installed) -> None:
    config = "/etc/deepdupe-daemon/deepdupe.yaml"
    before = service.box.path(config).read_text()
    try:
        service.write(config, before.replace("roots", "roofs"))
        service.systemctl("restart", UNIT, check=False)
        found = service.show("ActiveState", "ExecMainStatus", "NRestarts")
        assert found == {"ActiveState": "failed", "ExecMainStatus": "78", "NRestarts": "0"}
        assert "did you mean roots" in service.box.run("journalctl", "-q", "--no-pager", "-n", "20", "-u", UNIT)
    finally:
        service.write(config, before)
        service.systemctl("reset-failed", UNIT)
        service.systemctl("start", UNIT)
