"""A weights file that was copied leaves memory, and nothing else does."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from torch import Tensor

from deepdupe_daemon.vision.backends.mapped import MappedFiles
from tests.vision.networks import save_safetensors

MIB = 1 << 20


def of_files() -> int:
    """Bytes of files that this process holds in memory."""
    with open("/proc/self/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("RssFile")) << 10


def tensor_of(file: Path) -> Tensor:
    if file.suffix == ".pt":
        state: dict[str, Tensor] = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
        return state["x"]
    with safe_open(str(file), framework="pt") as source:
        return source.get_tensor("x")


@pytest.mark.parametrize("name", ["own.safetensors", "own.pt"])
def test_what_was_copied_is_no_longer_held_and_can_be_read_again(tmp_path: Path, name: str) -> None:
    whole = {"before": torch.rand(100), "x": torch.rand(16 * MIB // 4), "z": torch.rand(100)}
    file = tmp_path / name
    save_safetensors(whole, file) if file.suffix == ".safetensors" else torch.save(whole, file)
    (tmp_path / "link").symlink_to(file)
    tensor = tensor_of(file)
    mapped = MappedFiles([tmp_path / "link"])
    copy = tensor.clone()
    held = of_files()
    mapped.let_go(tensor)
    assert held - of_files() > 14 * MIB
    assert torch.equal(copy, whole["x"])
    assert torch.equal(tensor, whole["x"]), "and is read again where it is wanted"


def test_no_other_memory_is_touched(tmp_path: Path) -> None:
    """Neither a tensor of one's own, nor that of another file."""
    file = save_safetensors({"x": torch.rand(MIB)}, tmp_path / "own.safetensors")
    other = save_safetensors({"x": torch.rand(MIB)}, tmp_path / "other.safetensors")
    mapped, own = tensor_of(file), torch.rand(MIB)
    before = own.clone()
    ours, theirs = MappedFiles([file]), MappedFiles([other])
    ours.let_go(own)
    assert torch.equal(own, before)
    mapped.sum()
    held = of_files()
    theirs.let_go(mapped)
    assert held - of_files() < MIB
    ours.let_go(mapped[:3])  # less than a page
    assert os.path.getsize(file) > 4 * MIB
