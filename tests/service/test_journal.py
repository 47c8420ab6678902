"""Records reach a real systemd-journald, whole: the one of a private namespace, never the machine's own."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deepdupe_daemon.act import Kind

JOURNALD = Path("/lib/systemd/systemd-journald")

#: New user, mount, pid, ipc and net namespaces; fresh tmpfs where journald writes; /dev/kmsg hidden, else it would
#: drain the kernel's log. Propagation is private (unshare's default), so no mount reaches the machine.
NAMESPACE = [
    *("unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"),
    *("--ipc", "--net", "sh", "-ec"),
    """
    mount -t tmpfs -o size=64m t /run
    mount -t tmpfs -o size=64m t /var/log
    mkdir -p /run/systemd/journal
    [ ! -e /dev/kmsg ] || mount --bind /dev/null /dev/kmsg
    /lib/systemd/systemd-journald &
    n=0
    while [ ! -S /run/systemd/journal/socket ]; do n=$((n+1)); [ $n -lt 500 ]; sleep 0.01; done
    "$@"
    """,
    "sh",
]

SEND_AND_READ = """
import io, subprocess, sys
from deepdupe_daemon.act import alert_record, failure_record
from deepdupe_daemon.clock import SystemClock
from deepdupe_daemon.model import *
from deepdupe_daemon.service.sinks import JournalSink, choose_sink

sink, remark = choose_sink("auto", stream=sys.stderr, clock=SystemClock())
assert isinstance(sink, JournalSink) and remark is None, (sink, remark)
identity = FileIdentity(1, 2, 3, 4)
sink.emit(alert_record(
    Verdict(
        verdict_class=VerdictClass.RE_ENCODED,
        duplicate=FileKey(b"/new/caf\\xe9\\nMESSAGE=forged.jpg", identity),
        keeper=FileKey(b"/old.jpg", identity),
        duplicate_digest=b"1" * 32, keeper_digest=b"2" * 32, similarities={"pdq.hash": 0.98},
        comparison=Comparison(Relation.SAME, 0.99), vetoes=(), keeper_rule="first", decided_at_ns=1,
    ),
    verdict_id="v7", latency_ms=12,
))
sink.emit(failure_record(b"/bad.jpg", failure="truncated", reason="ends early", retry=False))
subprocess.run(["journalctl", "--sync"], check=True)
subprocess.run(["journalctl", "-a", "-o", "json", "-t", "deepdupe-daemon"], check=True)
"""


@pytest.fixture(scope="module")
def entries() -> list[dict[str, object]]:
    """What a private journal holds after one alert and one failure."""
    pytest.importorskip("systemd.journal", reason="systemd-python is not installed")
    if not (JOURNALD.exists() and shutil.which("unshare") and shutil.which("journalctl")):
        pytest.skip("no systemd-journald on this machine")
    if subprocess.run([*NAMESPACE, "true"], capture_output=True, timeout=30, check=False).returncode != 0:
        pytest.skip("this machine allows no user namespace in which a journal could run")
    done = subprocess.run(
        [*NAMESPACE, sys.executable, "-c", SEND_AND_READ], capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr.decode("utf-8", "replace")
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_an_alert_is_one_entry_with_every_field(entries: list[dict[str, object]]) -> None:
    alert = entries[0]
    assert len(entries) == 2
    assert alert["MESSAGE_ID"] == Kind.DUPLICATE_FOUND.message_id
    assert alert["PRIORITY"] == "5"
    assert alert["DEEPDUPE_VERDICT"] == "re-encoded"
    assert alert["DEEPDUPE_KEEPER"] == "/old.jpg"
    assert alert["DEEPDUPE_SIMILARITY"] == "0.9800"
    assert alert["DEEPDUPE_VERDICT_ID"] == "v7"
    assert alert["DEEPDUPE_LATENCY_MS"] == "12"


def test_a_path_that_is_no_text_arrives_as_its_bytes(entries: list[dict[str, object]]) -> None:
    assert bytes(entries[0]["DEEPDUPE_PATH"]) == b"/new/caf\xe9\nMESSAGE=forged.jpg"  # type: ignore[arg-type]  # journalctl gives a list of numbers


def test_a_file_name_forges_no_field(entries: list[dict[str, object]]) -> None:
    message = entries[0]["MESSAGE"]
    assert isinstance(message, str)
    assert message.startswith("duplicate (re-encoded): /new/caf\\xe9\\nMESSAGE=forged.jpg is a copy of /old.jpg")


def test_a_failed_file_is_a_warning(entries: list[dict[str, object]]) -> None:
    assert entries[1]["PRIORITY"] == "4"
    assert entries[1]["DEEPDUPE_FAILURE"] == "truncated"
