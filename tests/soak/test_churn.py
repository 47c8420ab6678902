"""A seeded storm over two live roots, with overflows, restarts and kills; at the end the ledger equals the tree.

The seed is printed with a failure. `make nightly` runs the long form.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from functools import partialmethod
from pathlib import Path

import pytest

from deepdupe_daemon.intake.inbox import Inbox
from deepdupe_daemon.model import FileIdentity
from tests.conftest import Eventually
from tests.intake.conftest import Ground
from tests.soak.storm import Storm, on_disk

pytestmark = pytest.mark.soak


def in_ledger(ground: Ground, root: Path) -> dict[bytes, FileIdentity]:
    return {path: identity for path, identity, _ in ground.ledger.known_paths(os.fsencode(root))}


def until_equal(ground: Ground, roots: list[Path], eventually: Eventually, *, but_for: set[int]) -> None:
    """Wait until the ledger knows exactly the files of `roots`, and how they are, but for the inodes `but_for`."""

    def same(disk: dict[bytes, FileIdentity], ledger: dict[bytes, FileIdentity]) -> bool:
        return disk.keys() == ledger.keys() and all(
            identity == ledger[path] or identity.ino in but_for for path, identity in disk.items()
        )

    def equal() -> bool:
        return all(same(on_disk(root), in_ledger(ground, root)) for root in roots)

    def differences() -> str:
        lines = []
        for root in roots:
            disk, ledger = on_disk(root), in_ledger(ground, root)
            lines += [f"not in the ledger: {path!r}" for path in sorted(disk.keys() - ledger.keys())[:10]]
            lines += [f"not on the disk: {path!r}" for path in sorted(ledger.keys() - disk.keys())[:10]]
            lines += [
                f"other identity: {path!r}" for path in sorted(disk) if ledger.get(path, disk[path]) != disk[path]
            ][:10]
        return "\n".join(lines)

    try:
        # An intake that lost events waits up to 60 s before it walks for the next loss; and to compare costs time, of
        # which intake, in this very process, needs some.
        eventually(equal, 240, every_s=0.5)
    except pytest.fail.Exception:
        pytest.fail(differences() or "equal just now, but not in time")


def storm_over_a_live_intake(
    ground: Ground, seconds: float, seed: int, eventually: Eventually, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = random.Random(seed)
    other = tmp_path / "other"
    other.mkdir()
    roots = [ground.root, other]
    storm = Storm(rng, [*roots, ground.elsewhere])
    whole_init = Inbox.__init__
    ground.start(*roots)
    rounds = 0
    until_s = ground.clock.monotonic_s() + seconds
    while ground.clock.monotonic_s() < until_s:
        rounds += 1
        for _ in range(rng.randrange(200, 1500)):
            storm.step()
            if rng.random() < 0.005:
                ground.index_all()
            if rng.random() < 0.01:
                ground.clock.wait(ground.never, rng.random() * 0.2)
        if rng.random() < 0.4:
            until_equal(ground, roots, eventually, but_for=storm.linked)
        if rng.random() < 0.3:
            ground.stop()
            for _ in range(rng.randrange(100)):
                storm.step()
            # sometimes an inbox that is much too small, so that events are lost all the time
            most = rng.choice([20, 100_000])
            monkeypatch.setattr(Inbox, "__init__", partialmethod(whole_init, most=most))
            ground.start(*roots, walked=rng.random() < 0.5)
    until_equal(ground, roots, eventually, but_for=storm.linked)
    assert ground.intake is not None
    ground.intake.rescan()
    until_equal(ground, roots, eventually, but_for=set())
    assert "handler-error" not in ground.kinds(), [notice.text for notice in ground.notices]
    assert ground.ledger.damage() == []
    print(f"{storm.steps} steps, {rounds} rounds, {ground.kinds().count('events-lost')} losses")


def storm_over_a_daemon_that_is_killed(
    ground: Ground, seconds: float, seed: int, eventually: Eventually, project_root: Path
) -> None:
    rng = random.Random(seed)
    storm = Storm(rng, [ground.root, ground.elsewhere])
    command = [sys.executable, "-m", "tests.intake.runner", str(ground.root), str(ground.state)]
    until_s = ground.clock.monotonic_s() + seconds
    kills = 0
    while ground.clock.monotonic_s() < until_s:
        child = subprocess.Popen(command, cwd=project_root, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        pause_s = ground.clock.monotonic_s() + 0.3 + rng.random() * 2
        while ground.clock.monotonic_s() < pause_s:
            storm.step()
        child.send_signal(signal.SIGKILL)
        child.communicate()
        kills += 1
    ground.start()
    until_equal(ground, [ground.root], eventually, but_for=set())
    assert ground.ledger.damage() == []
    print(f"{storm.steps} steps, {kills} kills")


def test_a_storm_over_a_live_intake(
    ground: Ground, seed: int, eventually: Eventually, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storm_over_a_live_intake(ground, 12, seed, eventually, tmp_path, monkeypatch)


def test_a_storm_over_a_daemon_that_is_killed(
    ground: Ground, seed: int, eventually: Eventually, project_root: Path
) -> None:
    storm_over_a_daemon_that_is_killed(ground, 8, seed, eventually, project_root)


@pytest.mark.nightly
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("offset", range(10))
def test_the_long_storm(
    ground: Ground, seed: int, offset: int, eventually: Eventually, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storm_over_a_live_intake(ground, 60, seed + offset, eventually, tmp_path, monkeypatch)


@pytest.mark.nightly
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("offset", range(10))
def test_the_long_storm_with_kills(
    ground: Ground, seed: int, offset: int, eventually: Eventually, project_root: Path
) -> None:
    storm_over_a_daemon_that_is_killed(ground, 60, seed + offset, eventually, project_root)
