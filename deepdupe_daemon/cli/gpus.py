"""The GPUs of this machine, without loading torch for it."""

from __future__ import annotations

import os

__all__ = ["gpu_names"]

_DRIVER = "/proc/driver/nvidia/gpus"


def gpu_names(driver: str = _DRIVER) -> list[str]:
    """The names of the NVIDIA GPUs that the driver knows, in its order; empty where there is no driver."""
    try:
        folders = sorted(os.listdir(driver))
    except (FileNotFoundError, PermissionError):
        return []
    return [_model(os.path.join(driver, folder, "information")) for folder in folders]


def _model(information: str) -> str:
    with open(information, encoding="utf-8", errors="replace") as file:
        lines = [line.partition(":") for line in file]
    return next((value.strip() for key, _, value in lines if key.strip() == "Model"), "NVIDIA GPU")
