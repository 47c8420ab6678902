"""A failure has a life: it is listed with its reason and its next try, tried again where that can help, and cleared."""

from __future__ import annotations

import json
import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

from deepdupe_daemon.clock import SystemClock
from deepdupe_daemon.config import Config, IntakeConfig, config_for_folders
from deepdupe_daemon.ledger import FileRow, Ledger
from deepdupe_daemon.model import FileState
from deepdupe_daemon.service import run_scan
from tests.acceptance.daemon import Daemon, counts, program
from tests.benchmarks.processes import family
from tests.conftest import Eventually
from tests.service.pictures import photo, save

PATIENCE_S = 120.0


def listed(state: Path, project_root: Path) -> dict[str, dict[str, Any]]:
    """What `status --failed --json` prints, by the name of the file."""
    lines = program("status", "--failed", "--json", "--state-dir", str(state), cwd=project_root).splitlines()
    return {os.path.basename(row["path"]): row for row in map(json.loads, lines)}


def row_of(state: Path, path: Path) -> FileRow | None:
    if not (state / "ledger.sqlite").exists():
        return None
    with Ledger.open(state, SystemClock(), readonly=True) as ledger:
        return ledger.file_by_path(os.fsencode(path))


def test_failures_are_listed_tried_again_where_it_helps_and_cleared_by_a_change(
    tmp_path: Path, project_root: Path, eventually: Eventually
) -> None:
    root, state = tmp_path / "photos", tmp_path / "state"
    root.mkdir()
    whole = save(photo(1, (192, 144)), tmp_path / "whole.png").read_bytes()
    damaged = bytearray(whole)
    damaged[len(damaged) // 2] ^= 0x10
    (root / "truncated.png").write_bytes(whole[:2000])
    (root / "damaged.png").write_bytes(damaged)
    (root / "letter.png").write_text("Dear photo library, this is a letter.\n" * 9)
    daemon = Daemon(root, state, tmp_path / "said.jsonl", project_root)
    try:
        eventually(lambda: daemon.ready, PATIENCE_S)
        eventually(lambda: counts(state)[FileState.FAILED] == 2, PATIENCE_S)
        failed = listed(state, project_root)
        assert (failed["truncated.png"]["kind"], failed["damaged.png"]["kind"]) == ("truncated", "corrupt")
        assert failed["damaged.png"]["retry_at"] is None, "the same bytes will never be a picture"
        assert failed["truncated.png"]["retry_at"] is not None, "it may still be arriving"
        eventually(lambda: (row_of(state, root / "truncated.png") or failure()).attempts >= 2, PATIENCE_S)
        assert row_of(state, root / "damaged.png").attempts == 1  # type: ignore[union-attr] # it was listed
        (root / "truncated.png").write_bytes(whole)
        (root / "damaged.png").write_bytes(whole)
        eventually(lambda: counts(state)[FileState.INDEXED] == 2, PATIENCE_S)
        assert listed(state, project_root) == {}
        eventually(lambda: len(daemon.records("duplicate-found")) == 1, PATIENCE_S)
        told = [os.path.basename(record["path"]) for record in daemon.records("file-failed")]
        assert sorted(told) == ["damaged.png", "truncated.png"], "once each, and the letter quietly"
        assert daemon.terminate(60) == 0
    finally:
        if daemon.process.poll() is None:
            daemon.kill(whole_group=True)


def failure() -> FileRow:
    raise AssertionError("the row went away")


def test_a_file_that_changes_while_it_is_read_is_judged_by_its_last_content(
    tmp_path: Path, project_root: Path, eventually: Eventually
) -> None:
    """The worker is stopped with the file in its hands, and other bytes are written meanwhile."""
    root, state = tmp_path / "photos", tmp_path / "state"
    root.mkdir()
    save(photo(1, (192, 144)), root / "a.png")
    save(photo(2, (192, 144)), root / "b.png")
    daemon = Daemon(root, state, tmp_path / "said.jsonl", project_root)
    try:
        eventually(lambda: daemon.ready, PATIENCE_S)
        eventually(lambda: state_of(state, root / "b.png") is FileState.INDEXED, PATIENCE_S)
        workers = [pid for pid in family(daemon.pid) if b"vision.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()]
        for pid in workers:
            os.kill(pid, signal.SIGSTOP)
        save(photo(1, (192, 144)), root / "new.jpg", quality=90)
        eventually(lambda: state_of(state, root / "new.jpg") is FileState.PENDING, PATIENCE_S)
        threading.Event().wait(0.5)  # for the worker to be asked; if it was not, the test only shows less
        with (root / "new.jpg").open("r+b") as file:  # in place: the same inode, and the descriptor that the worker has
            save(photo(2, (192, 144)), tmp_path / "other.jpg", quality=90)
            file.write((tmp_path / "other.jpg").read_bytes())
            file.truncate()
        for pid in workers:
            os.kill(pid, signal.SIGCONT)
        eventually(lambda: daemon.records("duplicate-found"), PATIENCE_S)
        eventually(lambda: state_of(state, root / "new.jpg") is FileState.INDEXED, PATIENCE_S)
        (told,) = daemon.records("duplicate-found")
        assert (told["path"], told["keeper"]) == (str(root / "new.jpg"), str(root / "b.png"))
        assert daemon.terminate(60) == 0
    finally:
        if daemon.process.poll() is None:
            daemon.kill(whole_group=True)


def state_of(state: Path, path: Path) -> FileState | None:
    row = row_of(state, path)
    return None if row is None else row.state


def test_a_file_over_the_configured_size_has_its_row_and_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    save(photo(1, (192, 144)), tmp_path / "photos" / "large.png")
    config: Config = config_for_folders([tmp_path / "photos"], state_dir=tmp_path / "state", environ={})
    run_scan(config.model_copy(update={"intake": IntakeConfig(max_file_bytes=1000)}))
    row = row_of(config.state_dir, tmp_path / "photos" / "large.png")
    assert row is not None
    assert (row.state, row.error_kind, row.retry_at_ns) == (FileState.FAILED, "too-large", None)


@pytest.mark.parametrize("folders", [1, 20])
def test_a_path_too_long_to_be_opened_has_its_row_and_is_not_tried_again(tmp_path: Path, folders: int) -> None:
    (tmp_path / "photos").mkdir()
    fd = os.open(tmp_path / "photos", os.O_RDONLY)
    for _ in range(folders):
        os.mkdir("d" * 250, dir_fd=fd)
        inner = os.open("d" * 250, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = inner
    whole = save(photo(1, (192, 144)), tmp_path / "whole.png").read_bytes()
    file = os.open("deep.png", os.O_CREAT | os.O_WRONLY, dir_fd=fd)
    os.write(file, whole)
    os.close(file)
    os.close(fd)
    config = config_for_folders([tmp_path / "photos"], state_dir=tmp_path / "state", environ={})
    result = run_scan(config)
    with Ledger.open(config.state_dir, SystemClock(), readonly=True) as ledger:
        failed = ledger.failed(10)
    assert (result.indexed, len(failed)) == ((1, 0) if folders == 1 else (0, 1))
    assert [row.retry_at_ns for row in failed] == [None] * len(failed)
    assert all("ENAMETOOLONG" in (row.error or "") for row in failed)
