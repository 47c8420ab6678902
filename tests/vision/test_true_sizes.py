"""Every preset's architecture at its true size, random weights, in the users' format, against the library's own path.

The checkpoint's own reference path opens the files with Pillow; cosine >= 0.9999 in fp32. By default the smallest
network sees 4 photos through a decoding worker and the embedder. Nightly, each is named in a configuration and 100
photos (or as many as `DEEPDUPE_TRUE_SIZE_PHOTOS` says) go through `scan`, with the rows read from the ledger; bf16 and,
slow as it is on a processor, fp16 are printed.
The 7B has 2 of its 40 layers, H+ 4 of 32.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
import transformers
from PIL import Image
from torch import Tensor

from deepdupe_daemon.clock import SystemClock
from deepdupe_daemon.config import ModelConfig
from deepdupe_daemon.ledger import Ledger
from deepdupe_daemon.model import F32Array
from deepdupe_daemon.vision import PRESETS, load_embedder, plan_model
from deepdupe_daemon.vision.backends.loaded import LoadedModel
from deepdupe_daemon.vision.load import _load
from deepdupe_daemon.vision.precision import normalise
from deepdupe_daemon.vision.presets import IMAGENET_MEAN, IMAGENET_STD
from tests.conftest import PROJECT_ROOT
from tests.vision.networks import DINOV3_SIZES, Sscd, save_dinov3, save_safetensors, save_torchscript
from tests.vision.pictures import photo_files, seen_inputs, upright

PHOTOS = int(os.environ.get("DEEPDUPE_TRUE_SIZE_PHOTOS", "100"))
#: a picture takes fp16 seconds on a processor
FP16_PHOTOS = 4
AT_ONCE = 4

#: preset -> architecture and constants of the weights that it takes when asked for nothing else
CLIP = {"clip-vit-l-14": "ViT-L-14", "clip-vit-b-32": "ViT-B-32"}
NAMES = [*CLIP, *DINOV3_SIZES, "sscd-disc-mixup", "sscd-disc-large"]

#: pictures -> rows of norm 1, as the library gives them
Reference = Callable[[list[Image.Image]], Tensor]


def test_every_network_is_here() -> None:
    assert set(NAMES) == set(PRESETS) - {"pdq"}


def test_the_smallest_one(tmp_path: Path, data_dir: Path) -> None:
    weights, reference = made("dinov3-vit-s-16", tmp_path)
    photos = photo_files(data_dir, 4)
    wanted = reference([upright(path) for path in photos]).numpy()
    for precision, least in (("fp32", 0.9999), ("bf16", 0.999)):
        model = ModelConfig(name="dinov3-vit-s-16", weights=str(weights), device="cpu", precision=precision)
        embedder = load_embedder(model, environ={"HOME": "/nowhere"})
        rows = embedder.embed(np.stack(seen_inputs(photos, embedder.spec)))["dinov3-vit-s-16.pooler"]
        assert float((rows * wanted).sum(axis=1).min()) >= least


@pytest.mark.nightly
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("name", NAMES)
def test_through_the_pipeline(name: str, tmp_path: Path, data_dir: Path) -> None:
    weights, reference = made(name, tmp_path)
    photos = photo_files(data_dir, PHOTOS)
    wanted = np.concatenate([reference([upright(path) for path in part]).numpy() for part in chunks(photos)])
    (tmp_path / "photos").mkdir()
    for number, path in enumerate(photos):
        shutil.copyfile(path, tmp_path / "photos" / f"{number:03}{path.suffix}")
    found: dict[str, float] = {}
    for precision in ("fp32", "bf16"):
        rows = scanned(name, weights, precision, tmp_path)
        assert {kind: block.shape for kind, block in rows.items()} == {
            kind: (PHOTOS, dim) for kind, dim in PRESETS[name].dims.items()
        }
        found[precision] = float((rows[PRESETS[name].embeddings[0]] * wanted).sum(axis=1).min())
    found["fp16"] = in_half(name, weights, photos[:FP16_PHOTOS], wanted[:FP16_PHOTOS])
    shutil.rmtree(tmp_path, ignore_errors=True)  # gigabytes
    said = ", ".join(f"{precision} {cosine:.6f}" for precision, cosine in found.items())
    print(f"\n{name}: worst cosine to the library's own path over {PHOTOS} photos: {said} (fp16: {FP16_PHOTOS} photos)")
    assert found["fp32"] >= 0.9999
    assert found["bf16"] >= 0.999


def made(name: str, folder: Path) -> tuple[Path, Reference]:
    """The weights in the form in which people have them, and the library's own way with them."""
    torch.manual_seed(0)
    if name in DINOV3_SIZES:
        return save_dinov3(name, folder / "model"), dinov3(folder / "model")
    if name in CLIP:
        model = open_clip.create_model(CLIP[name], pretrained=None).eval()
        file = save_safetensors(model.state_dict(), folder / f"{name}.safetensors")
        return file, with_transform(lambda batch: model.encode_image(batch), open_clip.image_transform(224, False))
    network = Sscd(name).eval()
    file = save_torchscript(network, torch.zeros(2, 3, 320, 320), folder / f"{name}.torchscript.pt")
    from torchvision import transforms

    skew_320 = [
        transforms.Resize([320, 320]),
        transforms.ToTensor(),
        transforms.Normalize(IMAGENET_MEAN, IMAGENET_STD),
    ]
    return file, with_transform(network, transforms.Compose(skew_320))


def dinov3(folder: Path) -> Reference:
    processor = transformers.AutoImageProcessor.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder, dtype=torch.float32).eval()

    def rows(pictures: list[Image.Image]) -> Tensor:
        with torch.inference_mode():
            pooled = model(**processor(images=pictures, return_tensors="pt")).pooler_output
            return torch.nn.functional.normalize(pooled)

    return rows


def with_transform(network: Callable[[Tensor], Tensor], transform: Callable[[Image.Image], Tensor]) -> Reference:
    def rows(pictures: list[Image.Image]) -> Tensor:
        with torch.inference_mode():
            return torch.nn.functional.normalize(network(torch.stack([transform(picture) for picture in pictures])))

    return rows


def chunks(photos: list[Path]) -> Iterator[list[Path]]:
    for start in range(0, len(photos), AT_ONCE):
        yield photos[start : start + AT_ONCE]


def settings(name: str, weights: Path, precision: str) -> dict[str, Any]:
    """The model as a configuration names it. No pair is compared here, however alike random weights find pictures."""
    both = {"embedding": "both"} if "hidden" in PRESETS[name].dims else {}
    return {"name": name, "weights": str(weights), "device": "cpu", "precision": precision, "threshold": 1.0, **both}


def scanned(name: str, weights: Path, precision: str, folder: Path) -> dict[str, F32Array]:
    """Embedding type -> rows of the photos in `folder`, in order, as `scan` left them in the ledger."""
    state_dir, config = folder / f"state-{precision}", folder / f"{precision}.yaml"
    values = {
        "roots": [{"path": str(folder / "photos")}],
        "state_dir": str(state_dir),
        "models": [settings(name, weights, precision)],
        "chroma": {"mode": "off"},
    }
    config.write_text(json.dumps(values), encoding="utf-8")  # JSON is YAML
    command = [sys.executable, "-m", "deepdupe_daemon", "scan", "--config", str(config)]
    done = subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    digests = [hashlib.sha256(path.read_bytes()).digest() for path in sorted((folder / "photos").iterdir())]
    with Ledger.open(state_dir, SystemClock(), readonly=True) as ledger:
        names = {space.name: space.embedding for space in ledger.spaces()}
        images = [ledger.image_by_digest(digest) for digest in digests]
        vectors = [ledger.image_vectors(image.image_id, names) for image in images if image is not None]
    rows = {kind: np.stack([found[space] for found in vectors]).astype(np.float32) for space, kind in names.items()}
    return {kind: block / np.linalg.norm(block, axis=1, keepdims=True) for kind, block in rows.items()}


def in_half(name: str, weights: Path, photos: list[Path], wanted: F32Array) -> float:
    """The worst cosine of the preset's first embedding in fp16, which the daemon itself refuses on a processor."""
    plan = plan_model(ModelConfig(**settings(name, weights, "fp32")), environ={"HOME": "/nowhere"})
    with torch.inference_mode():
        loaded: LoadedModel = _load(plan)
        tower = loaded.place(torch.device("cpu"), torch.float16)
        batch = torch.from_numpy(np.stack(seen_inputs(photos, plan.spec)))
        rows = tower(normalise(batch, loaded.plan.preprocessing, torch.float16))[PRESETS[name].embeddings[0]]
        return float((torch.nn.functional.normalize(rows.float()).numpy() * wanted).sum(axis=1).min())
