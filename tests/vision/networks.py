"""Random networks in the formats in which people hold them."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import open_clip
import torch
import transformers
from safetensors.torch import save_file
from torch import Tensor, nn

from deepdupe_daemon.vision import PRESETS

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


class Sscd(nn.Module):
    """SSCD's architecture: a torchvision trunk, generalised-mean pooling with p = 3, a linear head, norm 1."""

    def __init__(self, name: str) -> None:
        super().__init__()
        import torchvision

        if name == "sscd-disc-large":  # ResNeXt-101 32x4d, which torchvision has no constructor for
            block = torchvision.models.resnet.Bottleneck
            trunk = torchvision.models.ResNet(block, [3, 4, 23, 3], groups=32, width_per_group=4)
        else:
            trunk = torchvision.models.resnet50(weights=None)
        self.trunk = nn.Sequential(*list(trunk.children())[:-2])
        self.head = nn.Linear(2048, PRESETS[name].dims["final"])

    def forward(self, pictures: Tensor) -> Tensor:
        pooled = self.trunk(pictures).clamp(min=1e-6).pow(3).mean(dim=(2, 3)).pow(1 / 3)
        return nn.functional.normalize(self.head(pooled))


def hub_snapshot(cache: Path, repo: str, commit: str = "0" * 40) -> Path:
    """An empty snapshot folder of `repo` in a Hugging Face cache, with `main` pointing at it."""
    home = cache / f"models--{repo.replace('/', '--')}"
    (home / "refs").mkdir(parents=True)
    (home / "refs" / "main").write_text(commit, encoding="ascii")
    snapshot = home / "snapshots" / commit
    snapshot.mkdir(parents=True)
    return snapshot


#: preset -> (configuration class, settings) at the published sizes; the two largest at a depth that fits a test machine
DINOV3_SIZES: dict[str, tuple[str, dict[str, Any]]] = {
    "dinov3-vit-s-16": ("DINOv3ViTConfig", {"hidden_size": 384, "intermediate_size": 1536, "num_attention_heads": 6}),
    "dinov3-vit-s-plus-16": (
        "DINOv3ViTConfig",
        {"hidden_size": 384, "intermediate_size": 1536, "num_attention_heads": 6, "use_gated_mlp": True},
    ),
    "dinov3-vit-b-16": ("DINOv3ViTConfig", {"hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12}),
    "dinov3-vit-l-16": (
        "DINOv3ViTConfig",
        {"hidden_size": 1024, "intermediate_size": 4096, "num_attention_heads": 16, "num_hidden_layers": 24},
    ),
    "dinov3-vit-h-plus-16": (
        "DINOv3ViTConfig",
        {
            "hidden_size": 1280,
            "intermediate_size": 5120,
            "num_attention_heads": 20,
            "num_hidden_layers": 4,  # of 32
            "use_gated_mlp": True,
        },
    ),
    "dinov3-vit-7b-16": (
        "DINOv3ViTConfig",
        {
            "hidden_size": 4096,
            "intermediate_size": 8192,
            "num_attention_heads": 32,
            "num_hidden_layers": 2,  # of 40
            "use_gated_mlp": True,
            "query_bias": False,
            "value_bias": False,
        },
    ),
    "dinov3-convnext-tiny": ("DINOv3ConvNextConfig", {}),
    "dinov3-convnext-small": ("DINOv3ConvNextConfig", {"depths": [3, 3, 27, 3]}),
    "dinov3-convnext-base": (
        "DINOv3ConvNextConfig",
        {"depths": [3, 3, 27, 3], "hidden_sizes": [128, 256, 512, 1024]},
    ),
    "dinov3-convnext-large": (
        "DINOv3ConvNextConfig",
        {"depths": [3, 3, 27, 3], "hidden_sizes": [192, 384, 768, 1536]},
    ),
}
DINOV3_SIZES["dinov3-vit-l-16-sat493m"] = DINOV3_SIZES["dinov3-vit-l-16"]
DINOV3_SIZES["dinov3-vit-7b-16-sat493m"] = DINOV3_SIZES["dinov3-vit-7b-16"]


def save_dinov3(name: str, folder: Path) -> Path:
    """The preset's architecture with random weights and its own constants, as save_pretrained writes it."""
    kind, settings = DINOV3_SIZES[name]
    # trained blocks add little each; at a layer scale of 1 random ones amplify the rounding of uint8 (cosine 0.9998)
    extra = {"num_register_tokens": 4, "layerscale_value": 0.1} if "ViT" in kind else {"layer_scale_init_value": 0.1}
    torch.manual_seed(0)
    model = transformers.AutoModel.from_config(getattr(transformers, kind)(**settings, **extra))
    model.save_pretrained(folder)
    known = PRESETS[name]
    transformers.DINOv3ViTImageProcessor(
        image_mean=list(known.mean or ()), image_std=list(known.std or ())
    ).save_pretrained(folder)
    return folder


#: layers of the two networks that DINOV3_SIZES cuts short
_WHOLE_DEPTH = {"dinov3-vit-h-plus-16": 32, "dinov3-vit-7b-16": 40, "dinov3-vit-7b-16-sat493m": 40}


def true_size(name: str) -> tuple[int, dict[str, int]]:
    """(parameters, embedding type -> dimension) of a preset's architecture at its published size, without memory."""
    with torch.device("meta"):
        if name in DINOV3_SIZES:
            kind, settings = DINOV3_SIZES[name]
            if name in _WHOLE_DEPTH:
                settings = {**settings, "num_hidden_layers": _WHOLE_DEPTH[name]}
            extra = {"num_register_tokens": 4} if "ViT" in kind else {}
            model = transformers.AutoModel.from_config(getattr(transformers, kind)(**settings, **extra)).eval()
            dims = {"pooler": model(pixel_values=torch.zeros(1, 3, 224, 224)).pooler_output.flatten(1).shape[1]}
        elif name.startswith("sscd"):
            model = Sscd(name).eval()
            dims = {"final": model(torch.zeros(1, 3, 320, 320)).shape[1]}
        else:
            config = open_clip.get_model_config(PRESETS[name].architecture)
            vision = open_clip.CLIPVisionCfg(**config["vision_cfg"])
            model = open_clip.CLIP(config["embed_dim"], vision, open_clip.CLIPTextCfg(layers=1)).visual.eval()
            dims = {"final": model(torch.zeros(1, 3, 224, 224)).shape[1], "hidden": model.ln_post.normalized_shape[0]}
    return sum(parameter.numel() for parameter in model.parameters()), dims
