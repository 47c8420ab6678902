"""Devices and their number formats, and what memory exhaustion looks like on each. Imports torch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from deepdupe_daemon.errors import ModelError
from deepdupe_daemon.vision.embedder import OutOfDeviceMemory

__all__ = ["DTYPES", "pick_device", "set_exact_float32", "translating_memory_errors"]

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}

#: RuntimeErrors that mean the same as torch.OutOfMemoryError, from libraries that have no type for it
_MEMORY_WORDS = (
    "can't allocate memory",
    "not enough memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "CUDA out of memory",
)


def pick_device(wanted: str) -> torch.device:
    """`auto`, `cpu`, `cuda` or `cuda:N` as a device. Raises ModelError where there is no such device."""
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if wanted == "cpu" or (wanted == "auto" and count == 0):
        return torch.device("cpu")
    index = int(wanted.partition(":")[2] or 0)
    if index >= count:
        found = "no CUDA device" if count == 0 else f"CUDA devices 0 to {count - 1}"
        raise ModelError(f"device {wanted} is not there: found {found}", hint="device: auto takes what there is")
    return torch.device("cuda", index)


def set_exact_float32() -> None:
    """float32 means float32: TF32 would change embeddings by 1e-3 between cards."""
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False


@contextmanager
def translating_memory_errors() -> Iterator[None]:
    """Turns what torch raises when memory runs out into OutOfDeviceMemory."""
    try:
        yield
    except torch.OutOfMemoryError as problem:
        raise OutOfDeviceMemory(str(problem).splitlines()[0]) from None
    except RuntimeError as problem:
        if any(words in str(problem) for words in _MEMORY_WORDS):
            raise OutOfDeviceMemory(str(problem).splitlines()[0]) from None
        raise
