"""The endpoint for Prometheus."""

from __future__ import annotations

import ipaddress
import os

from pydantic import Field, field_validator

from deepdupe_daemon.config.section import Section

__all__ = ["MetricsConfig"]


class MetricsConfig(Section):
    """Figures for Prometheus, in its text format, at `/metrics`. Needs the package prometheus-client."""

    listen: str | None = Field(
        default=None,
        json_schema_extra={"x-allowed": "unix:/path/of/a/socket, an address such as 127.0.0.1:9184, or null"},
        description="Where the figures can be read: unix:/run/deepdupe-daemon/metrics.sock, or an address of this "
        "machine such as 127.0.0.1:9184 (which the unit's sandbox, without a network, does not allow by itself). null: "
        "nowhere.",
    )

    @field_validator("listen")
    @classmethod
    def _of_this_machine(cls, value: str | None) -> str | None:
        if value is None or (value.startswith("unix:") and os.path.isabs(value.removeprefix("unix:"))):
            return value
        host, _, port = value.rpartition(":")
        try:
            local = ipaddress.ip_address(host.strip("[]")).is_loopback and 0 <= int(port) <= 65535
        except ValueError:
            local = False
        if not local:
            raise ValueError(
                f"found {value!r}; allowed: unix:/path/of/a/socket, or a loopback address with a port (127.0.0.1:9184)"
            )
        return value
