"""What a worker may use, set by itself before it sees a picture, and never to be raised again."""

from __future__ import annotations

import resource
from dataclasses import dataclass

__all__ = ["Limits", "allow_cpu_time"]

_MIB = 1024 * 1024
#: address space beyond the memory: libraries, mapped files, thread stacks
_ADDRESS_SLACK_BYTES = 2048 * _MIB
_OPEN_FILES = 64
#: a worker that the daemon did not stop in time stops itself; never before the daemon would have
_CPU_SLACK_S = 10


@dataclass(frozen=True, slots=True)
class Limits:
    """`memory_bytes`: private memory that may be written to."""

    memory_bytes: int

    def apply(self) -> None:
        """Memory, open files, no core dumps, and no byte written to any file (RLIMIT_FSIZE 0)."""
        _lower(resource.RLIMIT_CORE, 0)
        _lower(resource.RLIMIT_FSIZE, 0)
        _lower(resource.RLIMIT_NOFILE, _OPEN_FILES)
        _lower(resource.RLIMIT_DATA, self.memory_bytes)
        _lower(resource.RLIMIT_AS, self.memory_bytes + _ADDRESS_SLACK_BYTES)


def allow_cpu_time(timeout_s: float) -> None:
    """Let this process use `timeout_s` from now on, per core it may keep busy, and then be killed (SIGXCPU)."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    allowed = int(used.ru_utime + used.ru_stime + 2 * timeout_s + _CPU_SLACK_S)
    _soft, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (_at_most(allowed, hard), hard))


def _lower(which: int, value: int) -> None:
    _soft, hard = resource.getrlimit(which)
    value = _at_most(value, hard)
    resource.setrlimit(which, (value, value))


def _at_most(value: int, hard: int) -> int:
    return value if hard == resource.RLIM_INFINITY else min(value, hard)
