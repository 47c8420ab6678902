"""What the processor can do for a network, without loading torch for it."""

from __future__ import annotations

__all__ = ["half_precision_remark"]

#: flags of the kernel's cpuinfo, the faster one first
_BF16 = ("amx_bf16", "avx512_bf16")


def half_precision_remark(cpuinfo: str = "/proc/cpuinfo") -> str:
    """For after `runs on the processor`: what makes bf16 fast there, or nothing."""
    try:
        with open(cpuinfo, encoding="ascii", errors="replace") as file:
            flags = next((line.split() for line in file if line.startswith("flags")), [])
    except FileNotFoundError:
        return ""
    found = next((flag for flag in _BF16 if flag in flags), None)
    return f" (it has {found}: in bf16, where the model's self-test agrees)" if found else ""
