"""What Prometheus reads of a real service, and that the dashboard and the rules ask for nothing else."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from deepdupe_daemon.act import Kind, Record
from deepdupe_daemon.clock import SystemClock
from deepdupe_daemon.config import Config, MetricsConfig, config_for_folders, validated
from deepdupe_daemon.errors import ConfigError
from deepdupe_daemon.service.loading import resident_models
from deepdupe_daemon.service.measuring import Measuring
from deepdupe_daemon.service.notify import Notifier
from deepdupe_daemon.service.sinks import CallbackSink
from deepdupe_daemon.service.supervisor import Supervisor
from tests.service.pictures import photo, save

pytest.importorskip("prometheus_client", reason="prometheus-client is not installed")

Eventually = Callable[..., None]


class OverSocket(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=60)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(str(self._path))


def read(connection: http.client.HTTPConnection) -> str:
    connection.request("GET", "/metrics")
    answer = connection.getresponse()
    assert answer.status == 200
    text = answer.read().decode()
    connection.close()
    return text


def value(text: str, name: str) -> float:
    """Of one line, named with its labels as they stand there."""
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    assert found is not None, f"{name} is not in\n{text}"
    return float(found[1])


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Of a service that has seen an original, two copies and a broken file."""
    folder = tmp_path_factory.mktemp("metrics")
    path = folder / "m.sock"
    config = config_for_folders([_made(folder / "photos")], state_dir=folder / "state", environ={})
    config = config.model_copy(update={"metrics": MetricsConfig(listen=f"unix:{path}")})
    records: list[Record] = []
    supervisor = Supervisor(
        config,
        clock=SystemClock(),
        sink=CallbackSink(records.append),
        notifier=Notifier(None),
        models=resident_models(config, {}),
        watch=True,
    )
    thread = threading.Thread(target=supervisor.run)
    thread.start()
    try:
        clock, never = SystemClock(), threading.Event()
        for _ in range(1200):
            if sum(record.kind is Kind.DUPLICATE_FOUND for record in records) == 2 and path.exists():
                break
            clock.wait(never, 0.05)
        text = read(OverSocket(path))
        assert path.stat().st_mode & 0o777 == 0o660
    finally:
        supervisor.stop()
        thread.join(60)
    assert not path.exists()
    return text


def _made(photos: Path) -> Path:
    original = save(photo(1), photos / "a.png")
    shutil.copy(original, photos / "b.png")
    save(photo(1), photos / "c.jpg", quality=85)
    (photos / "d.jpg").write_bytes((photos / "c.jpg").read_bytes()[:2000])
    return photos


def test_the_figures_are_those_of_the_service(figures: str) -> None:
    assert value(figures, 'deepdupe_verdicts_total{action="observed",verdict="identical-bytes"}') == 1
    assert value(figures, 'deepdupe_verdicts_total{action="observed",verdict="re-encoded"}') == 1
    assert value(figures, 'deepdupe_records_total{kind="duplicate-found"}') == 2
    assert value(figures, 'deepdupe_records_total{kind="events-lost"}') == 0
    assert value(figures, 'deepdupe_files{state="indexed"}') == 3
    assert value(figures, 'deepdupe_space_rows{space="pdq.hash"}') == 2
    assert value(figures, 'deepdupe_queue_files{queue="pending-live"}') == 0
    assert value(figures, 'deepdupe_stage_seconds_count{stage="alert"}') == 2
    assert value(figures, 'deepdupe_stage_seconds_count{stage="forward"}') == 2
    assert value(figures, 'deepdupe_stage_seconds_bucket{le="+Inf",stage="decode"}') >= 3
    assert value(figures, "deepdupe_batch_images_sum") == 2
    assert value(figures, 'deepdupe_disk_bytes{what="ledger"}') > 4096
    assert value(figures, "process_open_fds") > 5


def test_the_dashboard_and_the_rules_ask_for_figures_that_there_are(figures: str, project_root: Path) -> None:
    known = {name.split("{")[0] for name in re.findall(r"^([a-z_]+)(?:\{.*\})? \S+$", figures, re.MULTILINE)}
    known |= {re.sub(r"^# TYPE (\S+) .*", r"\1", line) for line in figures.splitlines() if line.startswith("# TYPE")}
    board = json.loads((project_root / "config" / "grafana-dashboard.json").read_text())
    rules = yaml.safe_load((project_root / "config" / "prometheus-rules.yaml").read_text())
    asked = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    asked += [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    names = {name for expression in asked for name in re.findall(r"\b(?:deepdupe|process)_[a-z_]+", expression)}
    assert len(names) >= 12
    assert names <= known, names - known
    for rule in (rule for group in rules["groups"] for rule in group["rules"]):
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["description"], "what to do"
    kinds = set(re.findall(r'kind="([a-z-]+)"', " ".join(asked)))
    assert kinds <= {kind.slug for kind in Kind}


def test_a_loopback_port_works_too(tmp_path: Path) -> None:
    from prometheus_client import CollectorRegistry

    from deepdupe_daemon.service.endpoint import MetricsEndpoint
    from deepdupe_daemon.service.metrics import PrometheusMeters

    registry = CollectorRegistry()
    PrometheusMeters(registry).took("decode", 0.2)
    endpoint = MetricsEndpoint("127.0.0.1:0", registry)
    endpoint.start()
    try:
        text = read(http.client.HTTPConnection("127.0.0.1", endpoint.port, timeout=60))
    finally:
        endpoint.stop()
    assert value(text, 'deepdupe_stage_seconds_count{stage="decode"}') == 1


def configured(listen: object) -> Config:
    values: dict[str, Any] = {"roots": [{"path": "/p"}], "metrics": {"listen": listen}}
    return validated(values)


@pytest.mark.parametrize(
    "listen", ["0.0.0.0:9184", "192.168.1.2:9184", "localhost:9184", "unix:relative", "9184", ":1"]
)
def test_figures_never_leave_the_machine(listen: str) -> None:
    with pytest.raises(ConfigError, match=r"metrics\.listen: found .*allowed: unix:/path"):
        configured(listen)


def test_no_listener_measures_nothing_and_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    quiet = Measuring(configured(None))
    quiet.meters.took("decode", 1.0)
    quiet.stop()
    monkeypatch.setitem(__import__("sys").modules, "prometheus_client", None)
    with pytest.raises(ConfigError, match="prometheus-client is not installed"):
        Measuring(configured("127.0.0.1:0"))


def test_an_address_that_is_taken_is_a_mistake_of_the_configuration(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        measuring = Measuring(configured(f"127.0.0.1:{taken.getsockname()[1]}"))
        with pytest.raises(ConfigError, match="nothing can listen"):
            measuring.start(None)  # type: ignore[arg-type] # it is not asked for anything
