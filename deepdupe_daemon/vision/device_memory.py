"""How much memory the models hold on their devices. Imports nothing by itself."""

from __future__ import annotations

import sys

__all__ = ["device_bytes"]


def device_bytes() -> dict[str, float]:
    """Bytes that torch holds, by device (`cuda:0`); empty where no model has brought torch in, or no GPU is used."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return {}
    return {f"cuda:{index}": float(torch.cuda.memory_reserved(index)) for index in range(torch.cuda.device_count())}
