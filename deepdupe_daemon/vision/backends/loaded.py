"""Weights in host memory, ready to be placed on a device in a number format."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from deepdupe_daemon.vision.backends.mapped import MappedFiles
from deepdupe_daemon.vision.plans.plan import ModelPlan

__all__ = ["LoadedModel", "Tower", "parameter_count", "placed"]

#: (n, 3, side, side) normalised pictures in the tower's dtype -> embedding type -> (n, dim), not normalised
Tower = Callable[[Tensor], dict[str, Tensor]]


@dataclass(frozen=True, slots=True, eq=False)
class LoadedModel:
    """A network and where its weights come from. Used by the forward thread alone; dropped once it is placed."""

    plan: ModelPlan  # with what the file itself said filled in
    digest: str  # hex SHA-256 of the weights
    parameters: int  # numbers in the part that sees
    place: Callable[[torch.device, torch.dtype], Tower]  # copies; never keeps a mapping of the file


def parameter_count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def placed(module: nn.Module, device: torch.device, dtype: torch.dtype, files: Sequence[Path] = ()) -> nn.Module:
    """A copy of `module` on `device`, its parameters and saved buffers in `dtype`, tensor by tensor.

    Each is taken out of memory as soon as it is copied, where it is a mapping of one of `files`: the peak is the result
    and one tensor. Buffers that are not saved (the rotary frequencies of DINOv3) keep their own dtype: in half
    precision they would shift positions. Copied even where nothing changes, because a source may be a mapping of a file
    that somebody replaces while the service runs.
    """
    saved = {id(tensor) for tensor in module.state_dict(keep_vars=True).values()}
    memo: dict[int, object] = {}
    mapped = MappedFiles(files)
    for tensor in itertools.chain(module.parameters(), module.buffers()):
        cast = dtype if id(tensor) in saved and tensor.is_floating_point() else tensor.dtype
        moved = tensor.detach().to(device=device, dtype=cast, copy=True)
        mapped.let_go(tensor)
        memo[id(tensor)] = nn.Parameter(moved, requires_grad=False) if isinstance(tensor, nn.Parameter) else moved
    result: nn.Module = copy.deepcopy(module, memo)
    return result.eval()
