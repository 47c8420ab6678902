"""Random networks in the formats in which people hold them."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import open_clip
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

TINY_CLIP: dict[str, Any] = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 48, "layers": 2, "width": 64, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 8, "vocab_size": 50, "width": 32, "heads": 2, "layers": 1},
}


def tiny_clip_config(folder: Path, *, quick_gelu: bool = False) -> Path:
    """An open_clip model config file of a network of two layers."""
    path = folder / ("tiny-quick.json" if quick_gelu else "tiny.json")
    path.write_text(json.dumps({**TINY_CLIP, **({"quick_gelu": True} if quick_gelu else {})}), encoding="utf-8")
    return path


def tiny_clip(*, quick_gelu: bool = False, seed: int = 0) -> nn.Module:
    """The network itself, built by open_clip, with weights large enough that activations matter."""
    torch.manual_seed(seed)
    vision, text = open_clip.CLIPVisionCfg(**TINY_CLIP["vision_cfg"]), open_clip.CLIPTextCfg(**TINY_CLIP["text_cfg"])
    model: nn.Module = open_clip.CLIP(TINY_CLIP["embed_dim"], vision, text, quick_gelu=quick_gelu)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2)
    return model.eval()


def save_safetensors(state: Mapping[str, Tensor], path: Path) -> Path:
    save_file({key: value.contiguous() for key, value in state.items()}, path)
    return path


def save_openai_archive(model: nn.Module, path: Path) -> Path:
    """A TorchScript archive with the three entries that OpenAI's carry beside the weights."""

    class Archive(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.visual = model.visual
            for key in ("input_resolution", "context_length", "vocab_size"):
                self.register_buffer(key, torch.tensor(48))

        def forward(self, pictures: Tensor) -> Tensor:
            return self.visual(pictures)

    save_torchscript(Archive(), torch.zeros(1, 3, 48, 48), path)
    return path


def save_torchscript(module: nn.Module, example: Tensor, path: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch deprecates it, and Meta and OpenAI ship it
        torch.jit.save(torch.jit.trace(module.eval(), example, check_trace=False), str(path))
    return path


def hub_snapshot(cache: Path, repo: str, commit: str = "0" * 40) -> Path:
    """An empty snapshot folder of `repo` in a Hugging Face cache, with `main` pointing at it."""
    home = cache / f"models--{repo.replace('/', '--')}"
    (home / "refs").mkdir(parents=True)
    (home / "refs" / "main").write_text(commit, encoding="ascii")
    snapshot = home / "snapshots" / commit
    snapshot.mkdir(parents=True)
    return snapshot
