"""`watch` as a person uses it, and the commands that ask it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Deepdupe
from tests.cli.pictures import picture, save
from tests.conftest import Eventually

pytestmark = pytest.mark.timeout(600)


class Watcher:
    """A running `watch --json`; what it said so far lies in files."""

    def __init__(self, command: list[str], environment: dict[str, str], cwd: Path) -> None:
        self._out = cwd / "out.jsonl"
        self._err = cwd / "err.txt"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(command, stdout=out, stderr=err, cwd=cwd, env=environment)

    @property
    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._out.read_text().splitlines(keepends=True) if line.endswith("\n")]

    @property
    def remarks(self) -> str:
        return self._err.read_text()

    def kinds(self) -> list[str]:
        assert self.process.poll() is None, self.remarks
        return [record["kind"] for record in self.records]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for seed in range(2):
        save(seed, folder / f"{seed}.jpg")
    return folder


@pytest.fixture
def watcher(command: list[str], environment: dict[str, str], tmp_path: Path, photos: Path) -> Iterator[Watcher]:
    watcher = Watcher([*command, "watch", "--json", "photos"], environment, tmp_path)
    yield watcher
    if watcher.process.poll() is None:
        watcher.process.kill()
    watcher.process.wait()


def test_a_watched_folder_from_start_to_end(
    watcher: Watcher, deepdupe: Deepdupe, here: Deepdupe, photos: Path, tmp_path: Path, eventually: Eventually
) -> None:
    eventually(lambda: "ready" in watcher.kinds() and "Ctrl-C ends it" in watcher.remarks, 120)

    shutil.copyfile(photos / "0.jpg", photos / "copy.jpg")
    eventually(lambda: "duplicate-found" in watcher.kinds(), 60)
    alert = next(record for record in watcher.records if record["kind"] == "duplicate-found")
    assert (alert["verdict"], alert["path"], alert["keeper"]) == (
        "identical-bytes",
        f"{photos}/copy.jpg",
        f"{photos}/0.jpg",
    )

    second = deepdupe("watch", "photos")
    assert second.code == 75
    assert second.err.splitlines()[-2].startswith("error: ")
    assert f"another daemon (pid {watcher.process.pid}) uses this state dir" in second.err
    assert deepdupe("scan", "photos").code == 75

    (state,) = here("status", "--json").records
    assert (state["running"], state["pid"]) == (True, watcher.process.pid)
    assert here("status").lines[0].startswith(f"running (pid {watcher.process.pid}, version ")

    picture(1).save(tmp_path / "elsewhere.png")
    checked = here("check", "--json", "elsewhere.png")
    assert checked.code == 1, checked.err
    assert checked.records[0]["matches"][0]["path"] == f"{photos}/1.jpg"

    assert here("rescan").code == 0
    assert here("rescan", "photos").code == 0

    told = here("mark", "not-duplicate", "photos/0.jpg", "photos/1.jpg")
    assert told.code == 0, told.err

    watcher.process.send_signal(signal.SIGINT)
    assert watcher.process.wait(60) == 0
    assert "Traceback" not in watcher.remarks
    assert here("status").lines[0] == "not running; what it knows:"


def test_a_service_that_was_started_by_its_file_is_found_by_its_file(
    command: list[str],
    environment: dict[str, str],
    here: Deepdupe,
    photos: Path,
    tmp_path: Path,
    eventually: Eventually,
) -> None:
    config = tmp_path / "c.yaml"
    config.write_text(
        f"roots: [{{path: {photos}}}]\nstate_dir: {tmp_path}/st\nchroma: {{mode: off}}\nalerts: {{to: stderr}}\n"
    )
    with (tmp_path / "log").open("wb") as log:
        service = subprocess.Popen([*command, "run", "--config", str(config)], env=environment, stderr=log, cwd="/")
    try:

        def running() -> bool:
            assert service.poll() is None, (tmp_path / "log").read_text()
            done = here("status", "--config", config, "--json")
            return done.code == 0 and done.records[0]["running"] and done.records[0]["progress"]["phase"] == "idle"

        eventually(running, 120, every_s=0.2)
        os.link(photos / "0.jpg", tmp_path / "outside.jpg")
        done = here("check", "--state-dir", "st", "outside.jpg")
        assert done.out == f"{tmp_path}/outside.jpg: identical-bytes: is a copy of {photos}/0.jpg\n"
        service.terminate()
        assert service.wait(60) == 0
    finally:
        if service.poll() is None:
            service.kill()
            service.wait()
