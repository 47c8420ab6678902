"""The models that are known by name, as data. Dims here are for listing and checking: what is loaded decides."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from deepdupe_daemon.errors import ModelError
from deepdupe_daemon.model import InputSpec
from deepdupe_daemon.vision.open_clip_tags import TAGS
from deepdupe_daemon.vision.thresholds import (
    CLIP_IN_USE,
    DINOV3_IN_USE,
    PDQ_PUBLISHED,
    SSCD_BY_ANALOGY,
    SSCD_PUBLISHED,
    Threshold,
)

__all__ = ["PRESETS", "Preset", "preset"]

Triple = tuple[float, float, float]

#: transformers.image_utils.IMAGENET_DEFAULT_MEAN and _STD
IMAGENET_MEAN: Triple = (0.485, 0.456, 0.406)
IMAGENET_STD: Triple = (0.229, 0.224, 0.225)

#: the SAT-493M checkpoints' own processor file (DINOv3 README, satellite models)
SAT_MEAN: Triple = (0.430, 0.411, 0.296)
SAT_STD: Triple = (0.213, 0.156, 0.143)


@dataclass(frozen=True, slots=True)
class Preset:
    """One model by name. `dims` (by embedding type, the default first) and `parameters` are the published ones."""

    name: str
    title: str
    use: str  # what it is known to be good at
    parameters: int  # of the part that sees
    backend: Literal["none", "open_clip", "transformers", "torchscript"]
    licence: str
    dims: Mapping[str, int]
    threshold: Threshold
    input_px: int = 224
    patch_px: int = 1  # input_px must be a multiple of it
    architecture: str = ""  # open_clip: its name there; transformers: the config's model_type
    repo: str = ""  # Hugging Face repository
    url: str = ""  # a file outside the hub
    gated: bool = False
    default_tag: str = ""
    mean: Triple | None = None  # what the weights' own constants must be, where they say them
    std: Triple | None = None
    batch_size_cuda: int = 400
    batch_size_cpu: int = 8  # beyond 8 a batch buys nothing on a processor, and holds up live arrivals
    tags: tuple[str, ...] = field(default=())
    config: Mapping[str, Any] = field(default_factory=dict)  # transformers: what tells it from others of its dimension

    @property
    def embeddings(self) -> tuple[str, ...]:
        """The embedding types it offers, its default first."""
        return tuple(self.dims)

    @property
    def spec(self) -> InputSpec:
        """What its weights are fed as published; what is loaded says it for itself."""
        if self.backend == "none":
            return InputSpec(kind="pdq")
        if self.backend == "open_clip":
            return InputSpec(side_px=self.input_px, fit="crop", filter="bicubic")
        return InputSpec(side_px=self.input_px, fit="squash", filter="bilinear")


def _clip(name: str, title: str, architecture: str, parameters: int, dims: Mapping[str, int], patch_px: int) -> Preset:
    return Preset(
        name=name,
        title=title,
        use="general vision",
        parameters=parameters,
        backend="open_clip",
        licence=TAGS[architecture]["openai"].licence,
        dims=dims,
        threshold=CLIP_IN_USE,
        patch_px=patch_px,
        architecture=architecture,
        default_tag="openai",
        tags=tuple(TAGS[architecture]),
    )


def _dinov3(
    name: str, title: str, repo: str, parameters: int, dim: int, *, sat: bool = False, batch_size_cuda: int = 400
) -> Preset:
    convnext = "convnext" in name
    gated_mlp = "-plus-" in name or "-7b-" in name
    return Preset(
        name=name,
        title=title,
        use="dense features of aerial pictures" if sat else "dense features",
        parameters=parameters,
        backend="transformers",
        licence="DINOv3 License (Meta; gated)",
        dims={"pooler": dim},
        threshold=DINOV3_IN_USE,
        patch_px=32 if convnext else 16,
        architecture="dinov3_convnext" if convnext else "dinov3_vit",
        repo=f"facebook/{repo}",
        gated=True,
        mean=SAT_MEAN if sat else IMAGENET_MEAN,
        std=SAT_STD if sat else IMAGENET_STD,
        batch_size_cuda=batch_size_cuda,
        config={"depths": [3, 3, 9 if "tiny" in name else 27, 3]} if convnext else {"use_gated_mlp": gated_mlp},
    )


def _sscd(name: str, title: str, file: str, parameters: int, dim: int, threshold: Threshold) -> Preset:
    return Preset(
        name=name,
        title=title,
        use="copy detection",
        parameters=parameters,
        backend="torchscript",
        licence="MIT (relicensed in 2022 from CC-BY-NC 4.0)",
        dims={"final": dim},
        threshold=threshold,
        input_px=320,  # README: "skew_320", a squash to the square, or the short edge at 288
        url=f"https://dl.fbaipublicfiles.com/sscd-copy-detection/{file}",
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        batch_size_cuda=128,
    )


#: name -> preset, in the order in which they are listed; the first three of the networks are the menu's
PRESETS: Mapping[str, Preset] = {
    preset.name: preset
    for preset in (
        Preset(
            "pdq",
            "PDQ perceptual hash, no weights",
            "copies of the whole picture",
            0,
            "none",
            "BSD-3-Clause",
            {"hash": 256},
            PDQ_PUBLISHED,
        ),
        _clip("clip-vit-l-14", "CLIP ViT-Large-14", "ViT-L-14", 303_966_208, {"final": 768, "hidden": 1024}, 14),
        _clip("clip-vit-b-32", "CLIP ViT-Base-32", "ViT-B-32", 87_849_216, {"final": 512, "hidden": 768}, 32),
        _dinov3("dinov3-vit-l-16", "DINOv3 ViT-Large", "dinov3-vitl16-pretrain-lvd1689m", 303_129_600, 1024),
        _dinov3("dinov3-vit-s-16", "DINOv3 ViT-Small", "dinov3-vits16-pretrain-lvd1689m", 21_596_544, 384),
        _dinov3("dinov3-vit-s-plus-16", "DINOv3 ViT-Small+", "dinov3-vits16plus-pretrain-lvd1689m", 28_692_864, 384),
        _dinov3("dinov3-vit-b-16", "DINOv3 ViT-Base", "dinov3-vitb16-pretrain-lvd1689m", 85_660_416, 768),
        _dinov3(
            "dinov3-vit-h-plus-16",
            "DINOv3 ViT-Huge+",
            "dinov3-vith16plus-pretrain-lvd1689m",
            840_592_640,
            1280,
            batch_size_cuda=200,
        ),
        _dinov3(
            "dinov3-vit-7b-16",
            "DINOv3 ViT-7B",
            "dinov3-vit7b16-pretrain-lvd1689m",
            6_716_035_072,
            4096,
            batch_size_cuda=64,
        ),
        _dinov3(
            "dinov3-convnext-tiny", "DINOv3 ConvNeXt-Tiny", "dinov3-convnext-tiny-pretrain-lvd1689m", 27_820_128, 768
        ),
        _dinov3(
            "dinov3-convnext-small", "DINOv3 ConvNeXt-Small", "dinov3-convnext-small-pretrain-lvd1689m", 49_454_688, 768
        ),
        _dinov3(
            "dinov3-convnext-base", "DINOv3 ConvNeXt-Base", "dinov3-convnext-base-pretrain-lvd1689m", 87_566_464, 1024
        ),
        _dinov3(
            "dinov3-convnext-large",
            "DINOv3 ConvNeXt-Large",
            "dinov3-convnext-large-pretrain-lvd1689m",
            196_230_336,
            1536,
        ),
        _dinov3(
            "dinov3-vit-l-16-sat493m",
            "DINOv3 ViT-Large, satellite",
            "dinov3-vitl16-pretrain-sat493m",
            303_129_600,
            1024,
            sat=True,
        ),
        _dinov3(
            "dinov3-vit-7b-16-sat493m",
            "DINOv3 ViT-7B, satellite",
            "dinov3-vit7b16-pretrain-sat493m",
            6_716_035_072,
            4096,
            sat=True,
            batch_size_cuda=64,
        ),
        _sscd("sscd-disc-mixup", "SSCD ResNet-50", "sscd_disc_mixup.torchscript.pt", 24_557_120, 512, SSCD_PUBLISHED),
        _sscd(
            "sscd-disc-large", "SSCD ResNeXt-101", "sscd_disc_large.torchscript.pt", 44_226_880, 1024, SSCD_BY_ANALOGY
        ),
    )
}


def preset(name: str) -> Preset:
    """The preset of that name. Raises ModelError naming the nearest ones."""
    found = PRESETS.get(name)
    if found is None:
        near = difflib.get_close_matches(name, PRESETS, n=2, cutoff=0.4)
        guess = f"did you mean {' or '.join(near)}? " if near else ""
        raise ModelError(
            f"no preset is named {name!r}",
            hint=f"{guess}`deepdupe-daemon models list` shows them; any other model needs `backend`",
        )
    return found
