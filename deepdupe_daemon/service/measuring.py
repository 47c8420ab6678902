"""Measuring as a configuration asks for it: the meters that the stages are given, and where they are read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepdupe_daemon.config import Config
from deepdupe_daemon.errors import ConfigError
from deepdupe_daemon.service.meters import Meters

if TYPE_CHECKING:
    from deepdupe_daemon.service.endpoint import MetricsEndpoint
    from deepdupe_daemon.service.pipeline import Pipeline

__all__ = ["Measuring"]


class Measuring:
    """Owned by the supervising thread. Where nobody listens, nothing is measured and nothing is imported."""

    def __init__(self, config: Config) -> None:
        """Raises ConfigError where prometheus-client is wanted and not installed."""
        self.meters = Meters()
        self._listen = config.metrics.listen
        self._endpoint: MetricsEndpoint | None = None
        if self._listen is None:
            return
        try:
            from prometheus_client import CollectorRegistry

            from deepdupe_daemon.service.metrics import PrometheusMeters
        except ImportError as missing:
            raise ConfigError(
                "metrics were asked for, but prometheus-client is not installed",
                where="metrics.listen",
                hint="pip install prometheus-client, into the environment of this program",
            ) from missing
        self._registry = CollectorRegistry()
        self.meters = PrometheusMeters(self._registry)

    def start(self, pipeline: Pipeline) -> None:
        """Listen. Raises ConfigError where that cannot be."""
        if self._listen is None:
            return
        from deepdupe_daemon.service.endpoint import MetricsEndpoint
        from deepdupe_daemon.service.metrics import make_registry

        self._endpoint = MetricsEndpoint(self._listen, make_registry(pipeline, self._registry))
        self._endpoint.start()

    def stop(self) -> None:
        if self._endpoint is not None:
            self._endpoint.stop()
