"""The main job, whole: real inotify, ledger, workers, Chroma; folders in, verdicts out."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deepdupe_daemon.act import Kind, Record
from deepdupe_daemon.clock import SystemClock
from deepdupe_daemon.config import Config, config_for_folders
from deepdupe_daemon.errors import AlreadyRunning
from deepdupe_daemon.ledger import Ledger, VerdictRow
from deepdupe_daemon.model import FileState, VerdictClass
from deepdupe_daemon.service import ControlClient, check_offline, run_scan
from deepdupe_daemon.service.checking import CheckResult
from deepdupe_daemon.service.protocol import encode_path
from deepdupe_daemon.service.resident import ResidentModels
from tests.service.pictures import photo, save
from tests.service.service_thread import ServiceThread, service_thread

Eventually = Callable[..., None]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    return folder


@pytest.fixture
def config(tmp_path: Path, photos: Path) -> Config:
    return config_for_folders([photos], state_dir=tmp_path / "state", environ={})


@contextmanager
def running(config: Config, eventually: Eventually, *, models: ResidentModels | None = None) -> Iterator[ServiceThread]:
    """A service that is ready, and that must not fail."""
    with service_thread(config, models) as service:
        eventually(lambda: service.told(Kind.READY) or service.failure, timeout_s=60)
        assert service.failure is None
        yield service
    if service.failure is not None:
        raise service.failure


def verdicts(config: Config) -> list[VerdictRow]:
    with Ledger.open(config.state_dir, SystemClock(), readonly=True) as ledger:
        return list(ledger.duplicates())


def said(rows: list[VerdictRow]) -> set[tuple[str, str, str]]:
    return {
        (
            str(row.verdict.verdict_class),
            os.path.basename(os.fsdecode(row.verdict.duplicate.path)),
            os.path.basename(os.fsdecode(row.verdict.keeper.path)),
        )
        for row in rows
        if row.verdict.verdict_class.proven
    }


def test_a_scan_tells_copies_from_pictures(photos: Path, config: Config) -> None:
    original = save(photo(1), photos / "a.png")
    shutil.copy(original, photos / "b.png")
    save(photo(1), photos / "c.bmp")
    save(photo(1), photos / "d.jpg", quality=80)
    save(photo(2), photos / "e.jpg", quality=80)
    (photos / "f.jpg").write_text("no picture")
    (photos / "g.jpg").write_bytes((photos / "e.jpg").read_bytes()[:2000])
    records: list[Record] = []
    result = run_scan(config, on_record=records.append)
    assert said(verdicts(config)) == {
        ("identical-bytes", "b.png", "a.png"),
        ("identical-pixels", "c.bmp", "a.png"),
        ("re-encoded", "d.jpg", "a.png"),
    }
    assert (result.files, result.indexed, result.ignored, result.failed) == (7, 5, 1, 1)
    assert (result.duplicates, result.told, result.complete) == (3, 3, True)
    assert [r.fields["FAILURE"] for r in records if r.kind is Kind.FILE_FAILED] == ["truncated"]


def test_a_second_scan_finds_nothing_new_and_decodes_nothing(photos: Path, config: Config) -> None:
    for seed in range(5):
        save(photo(seed), photos / f"{seed}.png")
    shutil.copy(photos / "0.png", photos / "copy.png")
    first = run_scan(config)
    again = run_scan(config)
    assert (first.told, again.told) == (1, 0)
    assert (first.duplicates, again.duplicates) == (1, 1)


def test_two_copies_dropped_together_give_exactly_one_verdict(
    photos: Path, config: Config, eventually: Eventually
) -> None:
    with running(config, eventually) as service:
        save(photo(1), photos / "one.png")
        save(photo(1), photos / "two.jpg", quality=90)
        eventually(lambda: service.told(Kind.DUPLICATE_FOUND), timeout_s=30)
        eventually(lambda: _states(config) == {FileState.INDEXED: 2}, timeout_s=30)
    assert len(service.told(Kind.DUPLICATE_FOUND)) == 1
    assert len(service.told(Kind.STOPPING)) == 1
    assert said(verdicts(config)) in ({("re-encoded", "two.jpg", "one.png")}, {("re-encoded", "one.png", "two.jpg")})


def test_an_arrival_is_judged_against_what_was_there(photos: Path, config: Config, eventually: Eventually) -> None:
    save(photo(1), photos / "old.png")
    run_scan(config)
    with running(config, eventually) as service:
        save(photo(1).transpose(method=0), photos / "sub" / "mirrored.png")
        save(photo(1).resize((240, 180)), photos / "sub" / "small.png")
        save(photo(3), photos / "sub" / "other.png")
        eventually(lambda: _states(config).get(FileState.INDEXED) == 4, timeout_s=30)
        eventually(lambda: service.told(Kind.DUPLICATE_FOUND), timeout_s=30)
    assert ("re-encoded", "small.png", "old.png") in said(verdicts(config))
    assert not [row for row in verdicts(config) if row.verdict.duplicate.path.endswith(b"other.png")]


def test_a_rename_keeps_what_is_known(photos: Path, config: Config, eventually: Eventually) -> None:
    save(photo(1), photos / "old.png")
    run_scan(config)
    with running(config, eventually) as service:
        (photos / "old.png").rename(photos / "new name.png")
        shutil.copy(photos / "new name.png", photos / "copy.png")
        eventually(lambda: service.told(Kind.DUPLICATE_FOUND), timeout_s=30)
    assert said(verdicts(config)) == {("identical-bytes", "copy.png", "new name.png")}
    assert _states(config) == {FileState.INDEXED: 2}


def test_a_removed_file_leaves_no_ghost_in_recall(photos: Path, config: Config, eventually: Eventually) -> None:
    save(photo(1), photos / "old.png")
    run_scan(config)
    with running(config, eventually) as service:
        (photos / "old.png").unlink()
        eventually(lambda: _states(config) == {FileState.GONE: 1}, timeout_s=30)
        save(photo(1), photos / "again.jpg", quality=90)
        eventually(lambda: _states(config).get(FileState.INDEXED) == 1, timeout_s=30)
    assert service.told(Kind.DUPLICATE_FOUND) == []


def test_a_group_whose_keeper_goes_finds_its_next_keeper(photos: Path, config: Config, eventually: Eventually) -> None:
    save(photo(1), photos / "a.png")
    save(photo(1), photos / "b.jpg", quality=92)
    save(photo(1), photos / "c.webp", quality=90)
    run_scan(config)
    assert said(verdicts(config)) == {("re-encoded", "b.jpg", "a.png"), ("re-encoded", "c.webp", "a.png")}
    with running(config, eventually):
        (photos / "a.png").unlink()
        eventually(lambda: said(verdicts(config)) == {("re-encoded", "c.webp", "b.jpg")}, timeout_s=40)


def test_other_keeper_rules_hold_for_what_was_judged_before(photos: Path, config: Config) -> None:
    save(photo(1, (240, 180)), photos / "first" / "small.png")
    save(photo(1, (240, 180)).resize((480, 360)), photos / "second" / "large.png")
    run_scan(config)
    by_size = config.model_copy(update={"judge": config.judge.model_copy(update={"keeper": "best"})})
    run_scan(by_size)
    assert {row[1] for row in said(verdicts(config))} == {"small.png"}
    assert [row.verdict.keeper_rule for row in verdicts(config)] == ["pixels"]
    by_path = config.judge.model_copy(update={"keeper": "best", "prefer_paths": ("first/",)})
    run_scan(config.model_copy(update={"judge": by_path}))
    assert {row[1] for row in said(verdicts(config))} == {"large.png"}
    assert [row.verdict.keeper_rule for row in verdicts(config)] == ["path"]


def test_a_changed_file_is_judged_anew(photos: Path, config: Config, eventually: Eventually) -> None:
    save(photo(1), photos / "a.png")
    save(photo(1), photos / "b.png", compress_level=1)
    run_scan(config)
    assert said(verdicts(config)) == {("identical-pixels", "b.png", "a.png")}
    with running(config, eventually):
        save(photo(2), photos / "b.png")
        eventually(lambda: not verdicts(config), timeout_s=30)
        eventually(lambda: _states(config) == {FileState.INDEXED: 2}, timeout_s=30)


def test_check_writes_nothing_and_says_the_same_with_and_without_a_daemon(
    photos: Path, tmp_path: Path, config: Config, eventually: Eventually
) -> None:
    save(photo(1), photos / "a.png")
    stranger = save(photo(1), tmp_path / "elsewhere" / "x.jpg", quality=85)
    unknown = save(photo(2), tmp_path / "elsewhere" / "y.jpg", quality=85)
    paths = [os.fsencode(stranger), os.fsencode(unknown), b"/nowhere"]
    run_scan(config)
    offline = check_offline(config, paths, clock=SystemClock(), environ={})
    with running(config, eventually):
        client = ControlClient.find(config)
        assert client is not None
        answer = client.request("check", paths_b64=[encode_path(path) for path in paths])
        online = [CheckResult.from_dict(raw) for raw in answer["results"]]
        status = client.request("status")
    assert offline == online
    assert [match.verdict_class for match in online[0].matches] == [VerdictClass.RE_ENCODED]
    assert online[1].matches == ()
    assert online[2].failure == "vanished"
    assert _states(config) == {FileState.INDEXED: 1}
    assert status["files"]["indexed"] == 1
    assert status["spaces"]["pdq.hash"]["rows"] == 1


def test_one_state_dir_holds_one_daemon(photos: Path, config: Config, eventually: Eventually) -> None:
    with running(config, eventually), pytest.raises(AlreadyRunning) as refused:
        run_scan(config)
    assert refused.value.pid == os.getpid()


def test_a_thread_that_dies_ends_the_service_with_a_record(
    photos: Path, config: Config, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = ServiceThread(config)
    service.thread.start()
    eventually(lambda: service.told(Kind.READY), timeout_s=60)
    monkeypatch.setattr(Ledger, "record_judged", _broken)
    save(photo(1), photos / "a.png")
    service.thread.join(60)
    assert isinstance(service.failure, ZeroDivisionError)
    (fatal,) = service.told(Kind.FATAL)
    assert fatal.fields["THREAD"] == "judging"
    monkeypatch.undo()
    assert run_scan(config).indexed == 1, "what was in flight is found again"


def _broken(*_arguments: object, **_keywords: object) -> None:
    raise ZeroDivisionError("planted")


def _states(config: Config) -> dict[FileState, int]:
    with Ledger.open(config.state_dir, SystemClock(), readonly=True) as ledger:
        return {state: count for state, count in ledger.counts().items() if count}
