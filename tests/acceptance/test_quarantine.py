"""Quarantine through the program as a person starts it: moved, listed, restored, and killed at any moment."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deepdupe_daemon.clock import SystemClock
from deepdupe_daemon.ledger import Ledger
from deepdupe_daemon.model import FileState
from deepdupe_daemon.service import quarantine_numbers
from deepdupe_daemon.service.switches import switches
from tests.acceptance.daemon import PROGRAM, counts
from tests.conftest import Eventually
from tests.service.pictures import photo, save

pytestmark = pytest.mark.timeout(1800)

SEED = 20260608
ORIGINALS = 12
COPIES = 10  # that arrive in each life


class Service:
    """A folder that is quarantined from, its configuration, and one `run --config` after the other."""

    def __init__(self, home: Path, project_root: Path) -> None:
        self.photos, self.state_dir, self.log = home / "photos", home / "state", home / "log"
        self.photos.mkdir()
        self.config = home / "deepdupe.yaml"
        self.config.write_text(
            f"roots:\n  - path: {self.photos}\n    action: quarantine\nstate_dir: {self.state_dir}\n"
            "judge: {bundle_wait_s: 0}\nchroma: {mode: 'off'}\nalerts: {to: stderr}\n"
            "quarantine: {breaker: {most: 1000, most_share: 1}}\n"
        )
        self._cwd = project_root
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._log_bytes = log.tell()
            self._process = subprocess.Popen(
                [*PROGRAM, "run", "--config", str(self.config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._cwd,
                start_new_session=True,
            )

    def ready(self) -> bool:
        """Whether the process that was started last has said so."""
        return b" ready: " in self.log.read_bytes()[self._log_bytes :]

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """SIGKILL to it and all that it started; nothing where it has ended."""
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def reload(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)

    def terminate(self) -> int:
        assert self._process is not None
        self._process.terminate()
        return self._process.wait(120)

    def command(self, *arguments: str) -> tuple[int, list[dict[str, Any]], str]:
        """`quarantine ARGUMENTS --json`: exit code, objects, what was said beside."""
        command = [*PROGRAM, "quarantine", *arguments, "--config", str(self.config), "--json"]
        done = subprocess.run(command, capture_output=True, text=True, cwd=self._cwd, check=False, timeout=300)
        return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr

    def numbers(self) -> dict[str, int]:
        with Ledger.open(self.state_dir, SystemClock(), readonly=True) as ledger:
            found: dict[str, int] = quarantine_numbers(ledger)["actions"]
            return found

    def switched(self) -> bool:
        """Whether the first walk since quarantine was switched on is over."""
        if not (self.state_dir / "ledger.sqlite").exists():
            return False
        with Ledger.open(self.state_dir, SystemClock(), readonly=True) as ledger:
            switch = switches(ledger).get(os.fsencode(self.photos))
            return switch is not None and switch.walked_at_ns is not None

    def contents(self) -> tuple[Counter[bytes], Counter[bytes]]:
        """How often each file's bytes rest in the folder, and in quarantine."""
        resting: Counter[bytes] = Counter()
        away: Counter[bytes] = Counter()
        for path in self.photos.rglob("*"):
            if path.is_file() and not path.name.startswith("manifest.json"):
                (away if ".deepdupe-quarantine" in path.parts else resting)[path.read_bytes()] += 1
        return resting, away


@pytest.fixture
def service(tmp_path: Path, project_root: Path) -> Iterator[Service]:
    made = Service(tmp_path, project_root)
    for seed in range(ORIGINALS):
        save(photo(seed, (192, 144)), made.photos / f"{seed:02}.jpg", quality=90)
    yield made
    made.kill()


def test_dropped_quarantined_listed_restored_and_left_alone(service: Service, eventually: Eventually) -> None:
    on = service.config.read_text()
    service.config.write_text(on.replace("action: quarantine", "action: observe"))
    earlier = service.photos / "earlier.jpg"
    shutil.copy(service.photos / "02.jpg", earlier)
    service.start()
    eventually(lambda: counts(service.state_dir)[FileState.INDEXED] == ORIGINALS + 1, timeout_s=120)
    eventually(service.ready, timeout_s=120)
    service.config.write_text(on)
    service.reload()
    eventually(service.switched, timeout_s=120)
    copy = service.photos / "again.jpg"
    shutil.copy(service.photos / "03.jpg", copy)
    os.utime(copy, ns=(1_600_000_000_123_456_789, 1_600_000_000_987_654_321))
    copy.chmod(0o640)
    before = copy.stat()
    eventually(lambda: service.numbers() == {"quarantined": 1}, timeout_s=120)
    assert not copy.exists()
    code, (listed,), _ = service.command("list")
    assert (code, listed["path"], listed["keeper"]) == (0, str(copy), str(service.photos / "03.jpg"))
    assert (listed["action_id"], listed["state"], listed["class"]) == ("q1", "quarantined", "identical-bytes")
    assert service.command("verify")[0] == 0
    code, (restored,), _ = service.command("restore", "--path", str(copy))
    assert (code, restored["files"]) == (0, [{"was": str(copy), "path": str(copy)}])
    after = copy.stat()
    assert (after.st_mtime_ns, after.st_mode, after.st_uid) == (before.st_mtime_ns, before.st_mode, before.st_uid)
    shutil.copy(service.photos / "04.jpg", service.photos / "other.jpg")  # a later one has gone the whole way
    eventually(lambda: service.numbers() == {"quarantined": 1, "restored": 1}, timeout_s=120)
    assert copy.exists(), "it is not quarantined again"
    assert earlier.exists(), "it was there before the switch"
    assert service.terminate() == 0
    assert service.command("list")[1][0]["path"] == str(service.photos / "other.jpg")
    code, (purged,), _ = service.command("purge", "q2", "--yes")
    assert (code, purged["files"]) == (0, [{"path": str(service.photos / "other.jpg")}])
    assert service.command("restore", "q2")[0] == 1
    assert (service.photos / "04.jpg").exists()


@pytest.mark.parametrize("kills", [2, pytest.param(25, marks=pytest.mark.nightly)])
def test_kills_at_random_lose_nothing_and_every_life_converges(
    kills: int, service: Service, eventually: Eventually
) -> None:
    choose = random.Random(SEED)
    pause = threading.Event()
    service.start()
    eventually(service.switched, timeout_s=120)
    put: Counter[bytes] = service.contents()[0]
    arrived = 0
    for life in range(kills):
        if not service.running:
            service.start()
        goal = sum(service.numbers().values()) + choose.randint(1, COPIES)
        for number in range(COPIES):
            original = service.photos / f"{choose.randrange(ORIGINALS):02}.jpg"
            target = service.photos / f"life-{life}" / f"copy-{number}.jpg"
            target.parent.mkdir(exist_ok=True)
            shutil.copy(original, target)
            put[original.read_bytes()] += 1
            arrived += 1
        eventually(lambda goal=goal: sum(service.numbers().values()) >= goal, timeout_s=180)
        pause.wait(choose.uniform(0.0, 0.1))
        service.kill()
        resting, away = service.contents()
        assert +((resting + away) - put) == Counter(), "nothing is there twice"
        assert +(put - (resting + away)) == Counter(), "nothing is lost"
        quarantined = [row for row in service.command("list")[1] if row["state"] == "quarantined"]
        if quarantined:  # while no daemon runs; what the kill cut off is put right first
            assert service.command("restore", choose.choice(quarantined)["action_id"])[0] == 0
    service.start()
    eventually(service.ready, timeout_s=120)  # before, SIGTERM would find a program that only loads
    eventually(
        lambda: service.numbers().get("quarantined", 0) + service.numbers().get("restored", 0) == arrived,
        timeout_s=180,
    )
    eventually(lambda: counts(service.state_dir)[FileState.PENDING] == 0, timeout_s=120)
    assert service.terminate() == 0
    resting, away = service.contents()
    assert resting + away == put
    found = service.numbers()
    assert set(found) <= {"quarantined", "restored", "abandoned"}, "nothing is left under way"
    assert sum(away.values()) == found["quarantined"]
    for number in range(ORIGINALS):
        assert (service.photos / f"{number:02}.jpg").exists()
    code, findings, _ = service.command("verify")
    assert (code, [one for one in findings if one["problem"]]) == (0, [])
