"""Every preset's architecture at its true size, random weights, in the users' format, through the daemon's pipeline.

Files go through a decoding worker and the embedder; the checkpoint's own reference path opens them with Pillow. Cosine
>= 0.9999 in fp32; bf16 is printed. The default run takes the smallest network with 4 photos; nightly all with 100 (the
7B at 2 of 40 layers, H+ at 4 of 32).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
import transformers

from deepdupe_daemon.config import ModelConfig
from deepdupe_daemon.model import F32Array
from deepdupe_daemon.vision import PRESETS, Embedder, load_embedder
from deepdupe_daemon.vision.presets import IMAGENET_MEAN, IMAGENET_STD
from tests.vision.networks import DINOV3_SIZES, save_dinov3, save_safetensors, save_torchscript
from tests.vision.pictures import photo_files, seen_inputs, upright

SMALL = ("dinov3-vit-s-16",)
ALL_DINOV3 = [name if name in SMALL else pytest.param(name, marks=pytest.mark.nightly) for name in DINOV3_SIZES]


def load(name: str, weights: Path, precision: str = "fp32", **options: object) -> Embedder:
    model = ModelConfig(name=name, weights=str(weights), device="cpu", precision=precision, offline=True, **options)
    return load_embedder(model, environ={"HOME": "/nowhere"})


def count(request: pytest.FixtureRequest) -> int:
    return 100 if request.node.get_closest_marker("nightly") else 4


def rows_of(embedder: Embedder, photos: list[Path]) -> dict[str, F32Array]:
    batch = np.stack(seen_inputs(photos, embedder.spec))
    parts = [embedder.embed(batch[at : at + 4]) for at in range(0, len(batch), 4)]
    return {space.embedding: np.concatenate([part[space.name] for part in parts]) for space in embedder.spaces}


def compared(name: str, weights: Path, embedding: str, photos: list[Path], wanted: F32Array) -> None:
    """fp32 within 0.9999 of the reference, bf16 within 0.999; both printed."""
    options = {"embedding": "both"} if embedding == "final" and "hidden" in PRESETS[name].dims else {}
    exact = load(name, weights, **options)
    assert {space.embedding: space.dim for space in exact.spaces} == {
        kind: dim for kind, dim in PRESETS[name].dims.items() if kind in {space.embedding for space in exact.spaces}
    }
    fp32 = float((rows_of(exact, photos)[embedding] * wanted).sum(axis=1).min())
    exact.close()
    few = photos[:20]
    reduced = load(name, weights, "bf16", **options)
    bf16 = float((rows_of(reduced, few)[embedding] * wanted[: len(few)]).sum(axis=1).min())
    print(f"\n{name}: fp32 {fp32:.6f} over {len(photos)} photos, bf16 {bf16:.6f} over {len(few)}")
    assert fp32 >= 0.9999
    assert bf16 >= 0.999


@pytest.mark.parametrize("name", ALL_DINOV3)
def test_dinov3(name: str, tmp_path: Path, data_dir: Path, request: pytest.FixtureRequest) -> None:
    folder = save_dinov3(name, tmp_path / "model")
    photos = photo_files(data_dir, count(request))
    pictures = [upright(path) for path in photos]
    processor = transformers.AutoImageProcessor.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.inference_mode():
        parts = [
            model(**processor(images=pictures[at : at + 4], return_tensors="pt")).pooler_output
            for at in range(0, len(pictures), 4)
        ]
        wanted = torch.nn.functional.normalize(torch.cat(parts)).numpy()
    del model, parts
    compared(name, folder, "pooler", photos, wanted)


@pytest.mark.nightly
def test_clip_vit_l_14(tmp_path: Path, data_dir: Path, request: pytest.FixtureRequest) -> None:
    torch.manual_seed(0)
    model = open_clip.create_model("ViT-L-14", pretrained=None).eval()
    file = save_safetensors(model.state_dict(), tmp_path / "vit-l-14.safetensors")
    photos = photo_files(data_dir, count(request))
    pictures = [upright(path) for path in photos]
    transform = open_clip.image_transform(224, is_train=False)
    with torch.inference_mode():
        parts = [
            model.encode_image(torch.stack([transform(picture) for picture in pictures[at : at + 4]]), normalize=True)
            for at in range(0, len(pictures), 4)
        ]
    wanted = torch.cat(parts).numpy()
    del model, parts
    compared("clip-vit-l-14", file, "final", photos, wanted)


@pytest.mark.nightly
def test_sscd(tmp_path: Path, data_dir: Path, request: pytest.FixtureRequest) -> None:
    """A ResNet-50 with a linear head, traced, against the transforms that SSCD's README gives (skew_320)."""
    import torchvision
    from torchvision import transforms

    torch.manual_seed(0)
    model = torchvision.models.resnet50(weights=None, num_classes=512).eval()
    file = save_torchscript(model, torch.zeros(2, 3, 320, 320), tmp_path / "sscd.torchscript.pt")
    photos = photo_files(data_dir, count(request))
    pictures = [upright(path) for path in photos]
    transform = transforms.Compose(
        [
            transforms.Resize([320, 320]),
            transforms.ToTensor(),
            transforms.Normalize(mean=IMAGENET_MEAN, std=IMAGENET_STD),
        ]
    )
    with torch.inference_mode():
        parts = [
            model(torch.stack([transform(picture) for picture in pictures[at : at + 4]]))
            for at in range(0, len(pictures), 4)
        ]
        wanted = torch.nn.functional.normalize(torch.cat(parts)).numpy()
    compared("sscd-disc-mixup", file, "final", photos, wanted)
