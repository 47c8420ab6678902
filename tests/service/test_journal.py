"""Records reach a real systemd-journald, whole: the one of a private namespace, never the machine's own."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from deepdupe_daemon.act import Kind

ODD = b"/new/2024/caf\xe9\nMESSAGE=forged\n-- Subject: forged\x1b[31m.jpg"
ODD_TEXT = "/new/2024/caf\\xe9\\nMESSAGE=forged\\n-- Subject: forged\\x1b[31m.jpg"

JOURNALD = Path("/lib/systemd/systemd-journald")

#: New user, mount, pid, ipc and net namespaces; fresh tmpfs where journald writes; /dev/kmsg hidden, else it would
#: drain the kernel's log. Propagation is private (unshare's default), so no mount reaches the machine.
NAMESPACE = [
    *("unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"),
    *("--ipc", "--net", "sh", "-ec"),
    """
    mount -t tmpfs -o size=64m t /run
    mount -t tmpfs -o size=64m t /var/log
    mount -t tmpfs -o size=16m t /usr/lib/systemd/catalog
    mount -t tmpfs -o size=16m t /var/lib/systemd/catalog
    cp "$CATALOG" /usr/lib/systemd/catalog/
    journalctl --update-catalog
    mkdir -p /run/systemd/journal
    [ ! -e /dev/kmsg ] || mount --bind /dev/null /dev/kmsg
    /lib/systemd/systemd-journald &
    n=0
    while [ ! -S /run/systemd/journal/socket ]; do n=$((n+1)); [ $n -lt 500 ]; sleep 0.01; done
    "$@"
    """,
    "sh",
]

SEND = """
import sys
from deepdupe_daemon.act import alert_record, failure_record
from deepdupe_daemon.clock import SystemClock
from deepdupe_daemon.model import *
from deepdupe_daemon.service.sinks import JournalSink, choose_sink

sink, remark = choose_sink("auto", stream=sys.stderr, clock=SystemClock())
assert isinstance(sink, JournalSink) and remark is None, (sink, remark)
identity = FileIdentity(1, 2, 3, 4)
for number, (path, similarity) in enumerate([
    (b"/new/2024/caf\\xe9\\nMESSAGE=forged\\n-- Subject: forged\\x1b[31m.jpg", 0.98), (b"/srv/photos/again.jpg", 0.91)
]):
    sink.emit(alert_record(
        Verdict(
            verdict_class=VerdictClass.RE_ENCODED,
            duplicate=FileKey(path, identity),
            keeper=FileKey(b"/old.jpg", identity),
            duplicate_digest=b"1" * 32, keeper_digest=b"2" * 32, similarities={"pdq.hash": similarity},
            comparison=Comparison(Relation.SAME, 0.99), vetoes=(), keeper_rule="first", decided_at_ns=1,
        ),
        verdict_id=f"v{41 + number}", latency_ms=12,
    ))
sink.emit(failure_record(b"/bad.jpg", failure="truncated", reason="ends early", retry=False))
"""


@pytest.fixture(scope="module")
def shown(project_root: Path) -> Callable[[str], bytes]:
    """What a line of shell prints beside a private journal that holds two alerts and a failure."""
    pytest.importorskip("systemd.journal", reason="systemd-python is not installed")
    if not (JOURNALD.exists() and shutil.which("unshare") and shutil.which("journalctl")):
        pytest.skip("no systemd-journald on this machine")
    environ = {**os.environ, "CATALOG": str(project_root / "systemd" / "deepdupe-daemon.catalog")}
    if subprocess.run([*NAMESPACE, "true"], capture_output=True, timeout=60, check=False, env=environ).returncode != 0:
        pytest.skip("this machine allows no user namespace in which a journal could run")

    def show(line: str) -> bytes:
        command = [*NAMESPACE, "sh", "-ec", f'"$0" -c "$1"; journalctl --sync; {line}', sys.executable, SEND]
        done = subprocess.run(command, capture_output=True, timeout=60, check=False, env=environ)
        assert done.returncode == 0, done.stderr.decode("utf-8", "replace")
        assert done.stderr == b"" or b"journal" in done.stderr, done.stderr
        return done.stdout

    return show


@pytest.fixture(scope="module")
def entries(shown: Callable[[str], bytes]) -> list[dict[str, object]]:
    return [json.loads(line) for line in shown("journalctl -a -o json -t deepdupe-daemon").splitlines()]


def test_an_alert_is_one_entry_with_every_field(entries: list[dict[str, object]]) -> None:
    alert = entries[0]
    assert len(entries) == 3
    assert alert["MESSAGE_ID"] == Kind.DUPLICATE_FOUND.message_id
    assert alert["PRIORITY"] == "5"
    assert alert["DEEPDUPE_VERDICT"] == "re-encoded"
    assert alert["DEEPDUPE_KEEPER"] == "/old.jpg"
    assert alert["DEEPDUPE_SIMILARITY"] == "0.9800"
    assert alert["DEEPDUPE_VERDICT_ID"] == "v41"
    assert alert["DEEPDUPE_LATENCY_MS"] == "12"


def test_a_path_that_is_no_text_arrives_as_its_bytes(entries: list[dict[str, object]]) -> None:
    assert bytes(entries[0]["DEEPDUPE_PATH"]) == ODD  # type: ignore[arg-type]  # journalctl gives a list of numbers


def test_a_file_name_forges_no_field(entries: list[dict[str, object]]) -> None:
    message = entries[0]["MESSAGE"]
    assert isinstance(message, str)
    assert message.startswith(f"duplicate (re-encoded): {ODD_TEXT} is a copy of /old.jpg")


def test_a_failed_file_is_a_warning(entries: list[dict[str, object]]) -> None:
    assert entries[2]["PRIORITY"] == "4"
    assert entries[2]["DEEPDUPE_FAILURE"] == "truncated"


def test_nothing_else_is_in_an_entry(entries: list[dict[str, object]]) -> None:
    """But for what journald itself adds, which begins with an underscore."""
    ours = {name for name in entries[0] if not name.startswith("_")}
    assert ours - {"MESSAGE", "MESSAGE_ID", "PRIORITY", "SYSLOG_IDENTIFIER"} == {
        *("DEEPDUPE_VERDICT", "DEEPDUPE_VERDICT_ID", "DEEPDUPE_ACTION", "DEEPDUPE_LATENCY_MS", "DEEPDUPE_KEEPER_RULE"),
        *("DEEPDUPE_PATH", "DEEPDUPE_PATH_TEXT", "DEEPDUPE_KEEPER", "DEEPDUPE_KEEPER_TEXT", "DEEPDUPE_VERIFIER"),
        *("DEEPDUPE_DIGEST", "DEEPDUPE_KEEPER_DIGEST"),
        *("DEEPDUPE_SPACE", "DEEPDUPE_SIMILARITY", "DEEPDUPE_SIMILARITIES"),
    }


def test_the_explanation_shows_a_file_name_and_does_not_obey_it(shown: Callable[[str], bytes]) -> None:
    """`journalctl -x` puts a field onto the terminal as it is: a name must neither paint there nor add lines."""
    text = shown("journalctl -x DEEPDUPE_VERDICT_ID=v41").decode()
    assert text.count("Subject:") - text.count(ODD_TEXT) == 1
    assert f"  {ODD_TEXT}\n" in text
    assert "\x1b" not in text
    assert "mark not-duplicate" in text


def recipes(project_root: Path) -> list[tuple[str, str]]:
    """(what it says it shows, the line of shell) for each recipe of the README that asks the journal."""
    blocks = [
        part
        for part in (project_root / "README.md").read_text().split("```")
        if part.lstrip("sh").startswith("\njournalctl")
    ]
    lines = "".join(block.lstrip("sh") for block in blocks).replace("\\\n", " ").replace("|\n", "| ").splitlines()
    found = [(line.partition(" # ")[2], line.partition(" # ")[0].strip()) for line in lines if line.strip()]
    return [(told or command, re.sub(r" -f\b", "", command)) for told, command in found]


def test_every_recipe_of_the_readme_shows_what_it_says(project_root: Path, shown: Callable[[str], bytes]) -> None:
    if shutil.which("jq") is None:
        pytest.skip("jq is not installed")
    both = recipes(project_root)
    assert len(both) >= 12
    mark = "=== "
    text = shown("; ".join(f"echo '{mark}{number}'; {command}" for number, (_, command) in enumerate(both)))
    parts = text.decode("utf-8", "backslashreplace").split(mark)[1:]
    answers = {told: part.partition("\n")[2] for (told, _), part in zip(both, parts, strict=True)}

    def of(words: str) -> str:
        (answer,) = (answer for told, answer in answers.items() if words in told)
        return answer

    assert of("today's duplicates").count("is a copy of") == 2
    assert of("those of one folder").count("is a copy of") == 1
    assert of("all of one verdict").count("Subject:") == 1
    assert of("all that was said of one file").count("again.jpg") == 1
    assert [json.loads(line)["DEEPDUPE_VERDICT_ID"] for line in of("each as JSON").splitlines()] == ["v41", "v42"]
    assert of("could not be read") == "could not be read as an image (truncated): /bad.jpg: ends early\n"
    assert of("tonumber") == ODD_TEXT.replace("\\", "\\\\") + "\t/old.jpg\n", "above 0.95; tsv doubles a backslash"
    assert of("for programs").count('"DEEPDUPE_VERDICT":"re-encoded"') == 2
