"""Where weights are kept for whom."""

from __future__ import annotations

import os
from collections.abc import Mapping

__all__ = ["service_environ"]

#: what CacheDirectory=deepdupe-daemon of the unit makes
_SERVICE_CACHE = "/var/cache/deepdupe-daemon"


def service_environ(environ: Mapping[str, str], *, service_cache: str = _SERVICE_CACHE) -> Mapping[str, str]:
    """`environ`, with the cache dir of the system's service where root asks: what root fetches is for the service.

    The service itself has no network, so that somebody has to.
    """
    if os.geteuid() != 0 or "CACHE_DIRECTORY" in environ or not os.path.isdir(service_cache):
        return environ
    return {**environ, "CACHE_DIRECTORY": service_cache}
