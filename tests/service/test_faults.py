"""Faults at the edge: what is missing, locked, torn or lost, and what the service does about it."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from deepdupe_daemon.act import Kind
from deepdupe_daemon.clock import SystemClock
from deepdupe_daemon.config import Config, load_config
from deepdupe_daemon.errors import ConfigError, ModelUnavailable
from deepdupe_daemon.ledger import Ledger, lock_state_dir
from deepdupe_daemon.ledger.migration import create_file
from deepdupe_daemon.ledger.schema import STEPS
from deepdupe_daemon.model import F32Array, FileState, U8Array
from deepdupe_daemon.service import run_scan
from deepdupe_daemon.service.resident import ResidentModels
from deepdupe_daemon.vision import PdqEmbedder
from tests.service.pictures import photo, save
from tests.service.service_thread import ServiceThread, service_thread

Eventually = Callable[..., None]

EX_TEMPFAIL, EX_CONFIG = 75, 78


class Given:
    """A configuration file and what it names."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.photos = folder / "photos"
        self.state = folder / "state"
        self.file = folder / "d.yaml"
        self.photos.mkdir()
        self.root: dict[str, Any] = {"path": str(self.photos)}
        self.values: dict[str, Any] = {"roots": [self.root], "state_dir": str(self.state)}

    def write(self, **values: Any) -> Config:
        self.values |= values
        self.file.write_text(yaml.safe_dump(self.values))
        return load_config(self.file)

    def run(self) -> subprocess.CompletedProcess[str]:
        """`run`, which has to end by itself."""
        command = [sys.executable, "-m", "deepdupe_daemon", "run", "--config", str(self.file)]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture
def given(tmp_path: Path) -> Given:
    made = Given(tmp_path)
    made.write()
    return made


def counts(given: Given) -> dict[FileState, int]:
    with Ledger.open(given.state, SystemClock(), readonly=True) as ledger:
        return {state: count for state, count in ledger.counts().items() if count}


# -- folders ---------------------------------------------------------------------------------------------------------


def test_a_missing_folder_fails_the_start_by_default_and_is_named(given: Given) -> None:
    given.photos.rmdir()
    (given.folder / "photo").mkdir()
    done = given.run()
    assert done.returncode == EX_CONFIG
    assert f"{given.file}:" in done.stderr
    assert f"did you mean {given.folder}/photo?" in done.stderr


def test_a_missing_folder_is_waited_for_where_the_configuration_says_so(given: Given, eventually: Eventually) -> None:
    given.photos.rmdir()
    given.root["if_missing"] = "wait"
    with service_thread(given.write()) as service:
        eventually(lambda: service.told(Kind.READY), timeout_s=60)
        eventually(lambda: service.told(Kind.ROOT_OFFLINE), timeout_s=60)
        elsewhere = given.folder / "disk"
        save(photo(1), elsewhere / "a.png")
        shutil.copy(elsewhere / "a.png", elsewhere / "b.png")
        elsewhere.rename(given.photos)
        eventually(lambda: service.told(Kind.ROOT_BACK), timeout_s=60)
        eventually(lambda: service.told(Kind.DUPLICATE_FOUND), timeout_s=60)
    assert service.failure is None


def test_a_file_where_the_folder_should_be_is_not_waited_for(given: Given) -> None:
    given.photos.rmdir()
    given.photos.touch()
    given.root["if_missing"] = "wait"
    with pytest.raises(ConfigError, match="which is a file"):
        given.write()


# -- models and devices -----------------------------------------------------------------------------------------------


def test_a_missing_weights_file_is_a_mistake_that_no_restart_mends(given: Given) -> None:
    missing = given.folder / "weights.safetensors"
    given.values["models"] = [{"name": "clip-vit-b-32", "weights": str(missing)}]
    given.file.write_text(yaml.safe_dump(given.values))
    done = given.run()
    assert done.returncode == EX_CONFIG
    assert str(missing) in done.stderr


class Breaking(PdqEmbedder):
    """A model whose device goes away after some pictures, as a GPU that falls off the bus."""

    left = 3

    def embed(self, batch: U8Array) -> dict[str, F32Array]:
        self.left -= len(batch)
        if self.left < 0:
            raise RuntimeError("CUDA error: device lost")
        return super().embed(np.ascontiguousarray(batch))


def test_a_device_that_is_lost_ends_the_service_for_a_restart_and_loses_nothing(
    given: Given, eventually: Eventually
) -> None:
    for seed in range(8):
        save(photo(seed), given.photos / f"{seed}.png")
    config = given.write()
    models = ResidentModels(config, lambda _model: Breaking(), lambda _model, _space: 0.9)
    service = ServiceThread(config, models)
    service.thread.start()
    service.thread.join(120)
    assert isinstance(service.failure, ModelUnavailable), service.failure
    assert service.failure.exit_code == EX_TEMPFAIL, "systemd starts it again, which it does not do after 78"
    assert "device lost" in str(service.failure)
    again = run_scan(config)
    assert (again.indexed, again.failed) == (8, 0)


# -- the state dir ----------------------------------------------------------------------------------------------------


def test_a_locked_state_dir_is_told_and_may_be_free_later(given: Given) -> None:
    run_scan(given.write())
    with lock_state_dir(given.state):
        done = given.run()
    assert done.returncode == EX_TEMPFAIL
    assert str(os.getpid()) in done.stderr


def test_a_newer_ledger_is_refused_and_left_as_it_is(given: Given) -> None:
    run_scan(given.write())
    with sqlite3.connect(given.state / "ledger.sqlite") as ledger:
        ledger.execute("PRAGMA user_version = 9999")
    ledger.close()
    done = given.run()
    assert done.returncode == EX_CONFIG
    assert "schema 9999" in done.stderr
    with sqlite3.connect(given.state / "ledger.sqlite") as ledger:
        assert ledger.execute("PRAGMA user_version").fetchone() == (9999,)
    ledger.close()


def test_an_older_ledger_is_brought_up_to_date_and_its_copy_named(given: Given, eventually: Eventually) -> None:
    save(photo(1), given.photos / "a.png")
    given.state.mkdir(mode=0o700)
    create_file(str(given.state / "ledger.sqlite"), STEPS[:-1])
    with service_thread(given.write()) as service:
        eventually(lambda: service.told(Kind.READY), timeout_s=60)
        eventually(lambda: counts(given) == {FileState.INDEXED: 1}, timeout_s=60)
    assert service.failure is None
    (told,) = [record.message for record in service.told(Kind.NOTICE) if "brought up to date" in record.message]
    copy = Path(told.rpartition(" lies at ")[2])
    with sqlite3.connect(copy) as before:
        assert before.execute("PRAGMA user_version").fetchone() == (len(STEPS) - 1,)
    before.close()


def test_a_chroma_that_does_not_open_is_set_aside_and_filled_again(given: Given, eventually: Eventually) -> None:
    save(photo(1), given.photos / "a.png")
    run_scan(given.write())
    store = given.state / "chroma" / "chroma.sqlite3"
    store.write_bytes(b"this is no database" * 100)
    (given.state / "chroma.lock").write_bytes(b"open")  # as a kill leaves it
    with service_thread(given.write()) as service:
        eventually(lambda: service.told(Kind.STORE_SET_ASIDE), timeout_s=60)
        save(photo(1), given.photos / "b.png", compress_level=1)
        eventually(lambda: service.told(Kind.DUPLICATE_FOUND), timeout_s=60)
    assert service.failure is None
    assert counts(given) == {FileState.INDEXED: 2}
    assert [path for path in given.state.iterdir() if path.name.startswith("chroma.") and path.is_dir()], "kept"
