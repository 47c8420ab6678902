"""Reload: what changes at once, what needs a restart, and what a mistake in the file costs (nothing)."""

from __future__ import annotations

import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from deepdupe_daemon.act import Kind, Priority, Record
from deepdupe_daemon.clock import SystemClock
from deepdupe_daemon.config import Config, load_config, recall, validated
from deepdupe_daemon.errors import ConfigError
from deepdupe_daemon.ledger import Ledger
from deepdupe_daemon.model import FileState
from deepdupe_daemon.service import ControlClient, running
from deepdupe_daemon.service.loading import resident_models
from deepdupe_daemon.service.notify import Notifier
from deepdupe_daemon.service.reloading import plan_reload
from deepdupe_daemon.service.sinks import CallbackSink
from deepdupe_daemon.service.supervisor import Supervisor
from tests.service.pictures import photo, save

Eventually = Callable[..., None]

BEFORE: dict[str, Any] = {"roots": [{"path": "/a"}], "state_dir": "/s"}


def configured(**values: Any) -> Config:
    return validated({**BEFORE, **values})


@pytest.mark.parametrize(
    ("values", "changed"),
    [
        ({"roots": [{"path": "/b"}]}, ("roots",)),
        ({"roots": [{"path": "/a", "action": "protected"}]}, ("roots",)),
        ({"intake": {"exclude": ["*.bak"]}}, ("intake.exclude",)),
        ({"models": [{"name": "pdq", "threshold": 0.9}]}, ("models.pdq.threshold",)),
        ({"judge": {"pdq_max_distance": 20, "max_candidates": 3}}, ("judge.max_candidates", "judge.pdq_max_distance")),
        ({"alerts": {"classes": ["identical-bytes"]}}, ("alerts.classes",)),
        ({"log_level": "debug"}, ("log_level",)),
        ({"match": "all"}, ("match",)),
    ],
)
def test_what_a_running_service_takes_over(values: dict[str, Any], changed: tuple[str, ...]) -> None:
    wanted = configured(**values)
    plan = plan_reload(configured(), wanted)
    assert (plan.changed, plan.needs_restart) == (changed, ())
    assert plan.config == wanted


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"state_dir": "/other"}, ("state_dir",)),
        ({"runtime_dir": "/r"}, ("runtime_dir",)),
        ({"models": [{"name": "clip-vit-b-32"}]}, ("models",)),
        (
            {"models": [{"name": "pdq"}, {"name": "clip-vit-b-32"}], "match": ["clip-vit-b-32.final"]},
            ("models", "match"),
        ),
        ({"decoder": {"workers": 3, "timeout_s": 5.0}}, ("decoder.workers", "decoder.timeout_s")),
        ({"chroma": {"mode": "off"}}, ("chroma.mode",)),
        ({"alerts": {"to": "stderr"}}, ("alerts.to",)),
        ({"intake": {"max_file_bytes": 5}}, ("intake.max_file_bytes",)),
    ],
)
def test_what_needs_a_restart_is_named_and_left_as_it_is(values: dict[str, Any], named: tuple[str, ...]) -> None:
    plan = plan_reload(configured(), configured(**values))
    assert (plan.changed, plan.needs_restart) == ((), named)
    assert plan.config == configured()


def test_the_two_kinds_together() -> None:
    wanted = configured(alerts={"to": "stderr", "classes": ["edited"]}, log_level="error", state_dir="/other")
    plan = plan_reload(configured(), wanted)
    assert plan.config == configured(alerts={"classes": ["edited"]}, log_level="error")
    assert plan.text == "now in force: alerts.classes, log_level; needs a restart: state_dir, alerts.to"
    assert plan_reload(plan.config, plan.config).text == "nothing changed"


# -- in a real service ------------------------------------------------------------------------------------------------


class Service:
    """A service in a thread, with a configuration file that the test writes."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "deepdupe.yaml"
        self.values: dict[str, Any] = {"state_dir": str(folder / "state"), "roots": []}
        self.records: list[Record] = []
        self.loaded = 0

    def write(self, **values: Any) -> None:
        self.values |= values
        self.file.write_text(yaml.safe_dump(self.values))

    def told(self, kind: Kind) -> list[Record]:
        return [record for record in self.records if record.kind is kind]

    @contextmanager
    def running(self, eventually: Eventually) -> Iterator[Supervisor]:
        config = load_config(self.file)
        models = resident_models(config, {})
        load_one = models._load_one

        def counted(model: Any) -> Any:
            self.loaded += 1
            return load_one(model)

        models._load_one = counted
        supervisor = Supervisor(
            config,
            clock=SystemClock(),
            sink=CallbackSink(self.records.append),
            notifier=Notifier(None),
            models=models,
            watch=True,
            read_config=lambda: load_config(self.file),
        )
        thread = threading.Thread(target=supervisor.run)
        thread.start()
        try:
            eventually(lambda: self.told(Kind.READY), timeout_s=60)
            yield supervisor
        finally:
            supervisor.stop()
            thread.join(60)
            assert not thread.is_alive()


@pytest.fixture
def service(tmp_path: Path) -> Service:
    made = Service(tmp_path)
    (tmp_path / "a").mkdir()
    made.write(roots=[{"path": str(tmp_path / "a")}])
    return made


def indexed(service: Service) -> int:
    with Ledger.open(Path(service.values["state_dir"]), SystemClock(), readonly=True) as ledger:
        return ledger.counts()[FileState.INDEXED]


def duplicates(service: Service) -> set[str]:
    paths = [record.fields["PATH"] for record in service.told(Kind.DUPLICATE_FOUND)]
    return {os.path.basename(os.fsdecode(path)) for path in paths if isinstance(path, bytes)}


def test_folders_and_filters_change_and_no_model_is_loaded_anew(
    service: Service, tmp_path: Path, eventually: Eventually
) -> None:
    original = save(photo(1), tmp_path / "a" / "one.png")
    with service.running(eventually) as supervisor:
        eventually(lambda: indexed(service) == 1, timeout_s=60)
        save(photo(1), tmp_path / "b" / "there-before.png", compress_level=1)
        service.write(roots=[{"path": str(tmp_path / each)} for each in "ab"], intake={"exclude": ["*.skip"]})
        done = supervisor.reload().result(60)
        assert (done.changed, done.needs_restart) == (("roots", "intake.exclude"), ())
        shutil.copy(original, tmp_path / "b" / "new.skip")
        shutil.copy(original, tmp_path / "b" / "new.png")
        eventually(lambda: duplicates(service) >= {"there-before.png", "new.png"}, timeout_s=60)
        service.write(roots=[{"path": str(tmp_path / "b")}])
        supervisor.reload().result(60)
        shutil.copy(original, tmp_path / "a" / "unwatched.png")
        shutil.copy(original, tmp_path / "b" / "last.png")
        eventually(lambda: "last.png" in duplicates(service), timeout_s=60)
        remembered = recall(tmp_path / "state")
        assert remembered is not None
        assert [root.path for root in remembered.roots] == [tmp_path / "b"]
    assert service.loaded == 1
    assert not {"unwatched.png", "new.skip"} & duplicates(service)
    assert len(service.told(Kind.RELOADED)) == 2


def test_thresholds_and_told_verdicts_change(service: Service, tmp_path: Path, eventually: Eventually) -> None:
    save(photo(1), tmp_path / "a" / "one.png")
    service.write(alerts={"classes": ["identical-bytes"]})
    with service.running(eventually) as supervisor:
        eventually(lambda: indexed(service) == 1, timeout_s=60)
        service.write(alerts={"classes": ["re-encoded"]}, judge={"pdq_max_distance": 30})
        assert supervisor.reload().result(60).changed == ("judge.pdq_max_distance", "alerts.classes")
        save(photo(1), tmp_path / "a" / "two.jpg", quality=85)
        eventually(lambda: duplicates(service) == {"two.jpg"}, timeout_s=60)
        client = ControlClient.find(load_config(service.file))
        assert client is not None
        status = client.request("status")
    assert status["spaces"]["pdq.hash"]["threshold"] == pytest.approx(1 - 2 * 30 / 256)


def test_a_wrong_file_is_refused_with_every_mistake_and_the_old_one_goes_on(
    service: Service, tmp_path: Path, eventually: Eventually
) -> None:
    save(photo(1), tmp_path / "a" / "one.png")
    with service.running(eventually) as supervisor:
        eventually(lambda: indexed(service) == 1, timeout_s=60)
        good = dict(service.values)
        service.write(log_level="loud", jugde={})
        with pytest.raises(ConfigError, match=r"deepdupe\.yaml:\d+: jugde.*did you mean judge"):
            supervisor.reload().result(60)
        (refused,) = service.told(Kind.RELOAD_REFUSED)
        assert refused.level is Priority.WARNING
        assert "log_level" in refused.message
        assert "the old one goes on" in refused.message
        client = ControlClient.find(validated(good))
        assert client is not None
        assert "jugde" in client.request("reload")["refused"]
        save(photo(1), tmp_path / "a" / "two.png", compress_level=1)
        eventually(lambda: duplicates(service) == {"two.png"}, timeout_s=60)
    assert not service.told(Kind.RELOADED)


def test_the_signal_and_the_socket_do_the_same(service: Service, tmp_path: Path, eventually: Eventually) -> None:
    with service.running(eventually) as supervisor, running._signals(supervisor, reloads=True):
        service.write(log_level="warning")
        os.kill(os.getpid(), signal.SIGHUP)
        eventually(lambda: service.told(Kind.RELOADED), timeout_s=60)
        service.write(log_level="error", state_dir=str(tmp_path / "state"), decoder={"workers": 1})
        client = ControlClient.find(load_config(service.file))
        assert client is not None
        answer = client.request("reload")
    assert answer["changed"] == ["log_level"]
    assert answer["needs_restart"] == ["decoder.workers"]
    assert "needs a restart: decoder.workers" in service.told(Kind.RELOADED)[-1].message


@pytest.fixture
def hangup_is_heard() -> Iterator[None]:
    """Also where the tests themselves run under nohup(1)."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("hangup_is_heard")
def test_a_closed_terminal_ends_what_has_no_file_to_read(service: Service, eventually: Eventually) -> None:
    with service.running(eventually) as supervisor, running._signals(supervisor, reloads=False):
        os.kill(os.getpid(), signal.SIGHUP)
        eventually(lambda: service.told(Kind.STOPPING), timeout_s=60)
    assert not service.told(Kind.RELOADED)


def test_the_log_level_of_a_sink_changes_while_it_runs() -> None:
    records: list[Record] = []
    sink = running.LevelSink(CallbackSink(records.append), Priority.ERROR)
    sink.emit(Record(Kind.READY, "not said"))
    sink.least = Priority.INFO
    sink.emit(Record(Kind.READY, "said"))
    assert [record.message for record in records] == ["said"]
