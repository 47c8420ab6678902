"""The whole service in a thread of the test, with the records that it gives."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from deepdupe_daemon.act import Kind, Record
from deepdupe_daemon.clock import SystemClock
from deepdupe_daemon.config import Config
from deepdupe_daemon.service.loading import resident_models
from deepdupe_daemon.service.notify import Notifier
from deepdupe_daemon.service.resident import ResidentModels
from deepdupe_daemon.service.sinks import CallbackSink
from deepdupe_daemon.service.supervisor import Supervisor

__all__ = ["ServiceThread", "service_thread"]


class ServiceThread:
    """`records` are what it said, in order; `failure` is what it ended with."""

    def __init__(self, config: Config, models: ResidentModels | None = None) -> None:
        self.records: list[Record] = []
        self.failure: BaseException | None = None
        self.supervisor = Supervisor(
            config,
            clock=SystemClock(),
            sink=CallbackSink(self.records.append),
            notifier=Notifier(None),
            models=models or resident_models(config, {}),
            watch=True,
        )
        self.thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        try:
            self.supervisor.run()
        except BaseException as failure:  # noqa: BLE001 - looked at by the test
            self.failure = failure

    def told(self, kind: Kind) -> list[Record]:
        return [record for record in self.records if record.kind is kind]


@contextmanager
def service_thread(config: Config, models: ResidentModels | None = None) -> Iterator[ServiceThread]:
    """Started, and stopped and joined at the end; the test looks at `failure` itself."""
    service = ServiceThread(config, models)
    service.thread.start()
    try:
        yield service
    finally:
        service.supervisor.stop()
        service.thread.join(60)
        assert not service.thread.is_alive()
