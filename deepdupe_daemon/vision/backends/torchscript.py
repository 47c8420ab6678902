"""TorchScript files, such as SSCD's. Only from paths that the configuration names: such a file is a program."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from deepdupe_daemon.errors import ModelError
from deepdupe_daemon.vision.backends.loaded import LoadedModel, Tower, parameter_count
from deepdupe_daemon.vision.plans.plan import ModelPlan
from deepdupe_daemon.vision.weights import weights_digest

__all__ = ["load"]


def load(plan: ModelPlan) -> LoadedModel:
    """Check that the file can be read, and how to place it: each placing reads it anew. Raises ModelError."""
    (file,) = plan.files
    digest = weights_digest(plan.files)
    parameters = parameter_count(_read(file, torch.device("cpu")))

    def place(device: torch.device, dtype: torch.dtype) -> Tower:
        module = _read(file, device).eval().to(dtype=dtype)

        def tower(pictures: Tensor) -> dict[str, Tensor]:
            rows = module(pictures)
            if not isinstance(rows, Tensor) or rows.ndim != 2:
                shape = tuple(rows.shape) if isinstance(rows, Tensor) else type(rows).__name__
                raise ModelError(f"gives {shape}, not rows of embeddings", where=str(file))
            return {"final": rows}

        return tower

    return LoadedModel(plan, digest, parameters, place)


def _read(file: Path, device: torch.device) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # deprecated, and the only reader of what SSCD ships
        module: nn.Module = torch.jit.load(str(file), map_location=device)  # type: ignore[no-untyped-call] # torch has no types for it
    return module
