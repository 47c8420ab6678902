"""A writer is killed at moments that nobody chose: what it said was committed is there, and nothing is half there."""

from __future__ import annotations

import contextlib
import random
import signal
import subprocess
import sys
from pathlib import Path

from deepdupe_daemon.clock import ManualClock, SystemClock
from deepdupe_daemon.ledger import Ledger
from deepdupe_daemon.model import FileState
from tests.ledger.build import OTHER, ROOT, SPACE, content_vectors, digest_of, vector_of
from tests.ledger.crash_writer import content_of

ROUNDS = 20
SEED = 20240607


def killed_writer(state_dir: Path, name: str, lines: int, after_s: float, root: Path) -> list[str]:
    """Start a writer and kill it `after_s` after it said so many lines; gives all that it said.

    Counted in its own progress, because on a busy machine a time alone would kill it before it began.
    """
    with subprocess.Popen(
        [sys.executable, "-m", "tests.ledger.crash_writer", str(state_dir), name],
        stdout=subprocess.PIPE,
        text=True,
        cwd=root,
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "open\n"
        said = [child.stdout.readline() for _ in range(lines)]
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(after_s)
        child.send_signal(signal.SIGKILL)
        said += child.stdout.read().splitlines(keepends=True)
    assert child.returncode == -signal.SIGKILL
    return [line for line in said if line.endswith("\n")]


def test_a_killed_writer_loses_nothing_that_it_said(state_dir: Path, project_root: Path) -> None:
    choose = random.Random(SEED)
    seen: set[str] = set()
    gone: set[str] = set()
    judged: dict[bytes, bytes] = {}
    for number in range(ROUNDS):
        for line in killed_writer(
            state_dir, f"r{number}", choose.randint(0, 15), choose.uniform(0.0, 0.02), project_root
        ):
            word, *rest = line.split()
            if word == "seen":
                seen.update(rest)
            elif word == "gone":
                gone.update(rest)
            elif word == "judged":
                judged[rest[0].encode()] = rest[1].encode()
    assert len(seen) > 100, "the rounds were too short to prove anything"
    with Ledger.open(state_dir, SystemClock()) as ledger:
        assert ledger.damage() == []
        rows = {space.name: content_vectors(ledger, space) for space in (SPACE, OTHER)}
        for name in seen - gone:
            row = ledger.file_by_path(ROOT + b"/" + name.encode())
            assert row is not None, name
            if row.state is FileState.GONE:  # the kill came between this commit and its line
                continue
            assert row.state in (FileState.SEEN, FileState.INDEXED), name
            assert row.digest == digest_of(content_of(name))
            for space in (SPACE, OTHER):
                assert rows[space.name][row.image_id or 0] == vector_of(content_of(name), space.dim).tolist()
        for name in gone:
            assert ledger.counts()[FileState.GONE] >= len(gone)
            row = ledger.file_by_path(ROOT + b"/" + name.encode())
            assert row is not None
            assert row.state is FileState.GONE
        listed = {r.verdict.duplicate.path: r.verdict.keeper.path for r in ledger.duplicates(living_only=False)}
        assert judged.items() <= listed.items()
        assert set(ledger.living_images().tolist()) == set(rows[SPACE.name]) == set(rows[OTHER.name])
        assert counted(ledger) == ledger.counts()


def counted(ledger: Ledger) -> dict[FileState, int]:
    rows: dict[str, int] = dict(ledger._db.rows("SELECT state, count(*) FROM files GROUP BY state"))
    return {state: rows.get(str(state), 0) for state in FileState}


def test_an_upgrade_that_is_cut_off_is_begun_again(state_dir: Path, clock: ManualClock) -> None:
    """A draft that a kill left behind is in nobody's way."""
    state_dir.mkdir()
    (state_dir / ".ledger-x.draft").write_bytes(b"half")
    with Ledger.open(state_dir, clock) as ledger:
        ledger.set_meta("a", "b")
    with Ledger.open(state_dir, clock) as ledger:
        assert ledger.meta("a") == "b"
