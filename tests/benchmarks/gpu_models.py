"""The networks on a device: `python -m tests.benchmarks.gpu_models [--device cuda] [--models ...] [--pictures DIR]`.

All are loaded, and stay resident side by side, as in the service. For each: load time and memory; images per second of
the forward alone at several batch sizes, staged (gathered, copied, computed, copied back, two batches in flight), and
end to end from files through decoding workers and the forward thread; the share of the device's own matrix rate; the
worst cosine to float32 over the pictures. Then all together: end to end with each picture through each network, and the
memory. Weights are random: speed is real, and so are shapes, number formats and memory. `--device cpu` shows that the
script runs.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch

from deepdupe_daemon.clock import SystemClock
from deepdupe_daemon.config import DecoderConfig, ModelConfig
from deepdupe_daemon.model import FileIdentity, FileKey, U8Array
from deepdupe_daemon.vision import DecoderPool, Embedder, ForwardThread, Job, VisionNotice, load_embedder
from deepdupe_daemon.vision.embedder import StagedEmbedder, input_shape
from deepdupe_daemon.vision.resident import ResidentEmbedder
from tests.vision.networks import DINOV3_SIZES, save_dinov3, save_safetensors
from tests.vision.pictures import photo_files, seen_inputs

#: multiply-adds of one picture at the presets' input size, in 1e9 (timm's published figures, and torch's FlopCounter)
GMACS = {"clip-vit-l-14": 81.0, "clip-vit-b-32": 4.41, "dinov3-vit-l-16": 62.8, "dinov3-vit-s-16": 4.70}
BATCHES = (1, 8, 64, 400)
CLOCK = SystemClock()


def weights_of(name: str, folder: Path) -> Path:
    """The preset's architecture with random weights, in the users' format."""
    if name in DINOV3_SIZES:
        return save_dinov3(name, folder / name)
    torch.manual_seed(0)
    architecture = {"clip-vit-l-14": "ViT-L-14", "clip-vit-b-32": "ViT-B-32"}[name]
    model = open_clip.create_model(architecture, pretrained=None)
    return save_safetensors(model.state_dict(), folder / f"{name}.safetensors")


def matrix_rate(device: torch.device, seconds: float) -> float:
    """Multiply-adds a second of a large half-precision product, the most a forward could reach."""
    side, dtype = (8192, torch.float16) if device.type == "cuda" else (1024, torch.bfloat16)
    left, right = torch.rand((side, side), device=device).to(dtype), torch.rand((side, side), device=device).to(dtype)
    return side**3 * _rate(lambda: left @ right, 1, device, seconds)


def _rate(step: Any, items: int, device: torch.device, seconds: float) -> float:
    """Items a second of `step`, after one call that warms up."""
    step()
    _wait(device)
    started_s, calls = CLOCK.monotonic_s(), 0
    while CLOCK.monotonic_s() - started_s < seconds:
        step()
        calls += 1
        if calls % 8 == 0:
            _wait(device)
    _wait(device)
    return items * calls / (CLOCK.monotonic_s() - started_s)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def forward_rates(
    embedder: ResidentEmbedder, device: torch.device, sizes: Sequence[int], seconds: float
) -> dict[int, float]:
    """Images a second with the pictures already on the device."""
    rates = {}
    for size in sizes:
        pictures = torch.randint(0, 256, (size, *input_shape(embedder.spec)), dtype=torch.uint8, device=device)
        with torch.inference_mode():
            rates[size] = _rate(lambda pictures=pictures: embedder._forward(pictures), size, device, seconds)
    return rates


def staged_rates(embedder: Embedder, sizes: Sequence[int], seconds: float) -> dict[int, float]:
    """Images a second from host memory to host memory, two batches in flight where the device can."""
    rates = {}
    for size in sizes:
        rows = list(np.random.default_rng(0).integers(0, 256, (size, *input_shape(embedder.spec)), dtype=np.uint8))
        started_s, done = CLOCK.monotonic_s(), 0
        for count in _flights(embedder, rows):
            done += count
            if CLOCK.monotonic_s() - started_s > seconds:
                break
        rates[size] = done / (CLOCK.monotonic_s() - started_s)
    return rates


def _flights(embedder: Embedder, rows: list[U8Array]) -> Iterator[int]:
    if not isinstance(embedder, StagedEmbedder):
        while True:
            embedder.embed(np.stack(rows))
            yield len(rows)
    flying = embedder.begin(rows)
    try:
        while True:
            following = embedder.begin(rows)
            flying.rows()
            flying = following
            yield len(rows)
    finally:
        flying.rows()


def end_to_end(embedders: Sequence[Embedder], photos: Sequence[Path], seconds: float) -> float:
    """Images a second from files, over and over, through the decoding workers and each of the networks."""
    done = count = 0

    def collect(batch: list[tuple[Job, object]]) -> None:
        nonlocal done
        done += len(batch)

    specs = list(dict.fromkeys(embedder.spec for embedder in embedders))
    pool = DecoderPool(DecoderConfig(), specs, clock=CLOCK, claim=lambda *_: True)
    forward = ForwardThread([_Kept(each) for each in embedders], clock=CLOCK, on_done=collect)  # type: ignore[misc]
    pool.start()
    forward.start()
    forward.wait_ready(60)
    keys = []
    for path in photos:
        stat = path.lstat()
        identity = FileIdentity(stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns)
        keys.append(FileKey(os.fsencode(path), identity))
    begun_s = CLOCK.monotonic_s()
    while CLOCK.monotonic_s() - begun_s < seconds:
        futures = [
            pool.see(count + at, keys[(count + at) % len(keys)], live=False) for at in range(min(256, len(keys)))
        ]
        count += len(futures)
        for at, future in enumerate(futures):
            sighting = future.result(120)
            if sighting is not None:
                forward.submit(Job(at, sighting.inputs, live=False))
    forward.stop(60)
    rate = done / (CLOCK.monotonic_s() - begun_s)
    pool.stop(10)
    return rate


class _Kept:
    """The embedder, left open when the forward thread closes what it was given."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder

    def __getattr__(self, name: str) -> Any:
        return getattr(self._embedder, name)

    def close(self) -> None:
        pass


def loaded(name: str, arguments: argparse.Namespace, folder: Path) -> tuple[ResidentEmbedder, dict[str, Any]]:
    """The network, resident, and what its load took."""
    weights = weights_of(name, folder)
    notices: list[VisionNotice] = []
    model = ModelConfig(
        name=name,
        weights=str(weights),
        device=arguments.device,
        batch_size=arguments.batch,
        embedding="both" if name.startswith("clip") else None,
    )
    before_mb, started_s = _device_mb(arguments.device), CLOCK.monotonic_s()
    embedder = load_embedder(model, environ={}, on_notice=notices.append)
    assert isinstance(embedder, ResidentEmbedder)
    return embedder, {
        "model": embedder.describe(),
        "batch_ceiling": embedder.batch_ceiling,
        "load_s": round(CLOCK.monotonic_s() - started_s, 2),
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "device_mb": _device_mb(arguments.device) - before_mb,
        "notices": [notice.text for notice in notices],
    }


def measured(
    name: str, embedder: ResidentEmbedder, arguments: argparse.Namespace, peak: float, photos: Sequence[Path]
) -> dict[str, Any]:
    """Rates and closeness of one network, with the others resident beside it."""
    device = embedder._device
    sizes = sorted({size for size in (*BATCHES, embedder.batch_ceiling) if size <= embedder.batch_ceiling})
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    forward = forward_rates(embedder, device, sizes, arguments.seconds)
    staged = staged_rates(embedder, sizes, arguments.seconds)
    if photos:
        probes = np.stack(seen_inputs(photos[: arguments.cosines], embedder.spec))
    else:
        shape = (arguments.cosines, *input_shape(embedder.spec))
        probes = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    rows = [embedder.embed(probes[at : at + 50]) for at in range(0, len(probes), 50)]
    exact = [embedder.embed_in_fp32(probes[at : at + 50]) for at in range(0, len(probes), 50)]
    cosine = min(float((a[key] * b[key]).sum(axis=1).min()) for a, b in zip(rows, exact, strict=True) for key in a)
    return {
        "peak_device_mb": torch.cuda.max_memory_allocated(device) >> 20 if device.type == "cuda" else 0,
        "forward_images_a_s": {size: round(rate, 1) for size, rate in forward.items()},
        "staged_images_a_s": {size: round(rate, 1) for size, rate in staged.items()},
        "share_of_matrix_rate": round(max(forward.values()) * GMACS.get(name, 0) * 1e9 / peak, 3),
        "end_to_end_images_a_s": round(end_to_end([embedder], photos, arguments.seconds), 1) if photos else None,
        "worst_cosine_to_fp32": round(cosine, 6),
        "cosine_over": f"{len(probes)} {'photos' if photos else 'pictures of noise'}",
    }


def _device_mb(device: str) -> int:
    return torch.cuda.memory_allocated(device) >> 20 if device.startswith("cuda") else 0


def main(given: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--models", nargs="+", default=["clip-vit-l-14", "dinov3-vit-l-16", "clip-vit-b-32"])
    parser.add_argument("--batch", type=int, default=400)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--cosines", type=int, default=100, help="pictures compared with fp32")
    parser.add_argument("--pictures", type=Path, help="the evaluation images, for the rate from files")
    parser.add_argument("--photos", type=int, default=400, help="how many of them")
    arguments = parser.parse_args(given)
    photos = photo_files(arguments.pictures, arguments.photos) if arguments.pictures else []
    device = torch.device(arguments.device)
    peak = matrix_rate(device, arguments.seconds)
    print(f"matrix rate: {peak * 2 / 1e12:.1f} TFLOP/s", file=sys.stderr)
    with tempfile.TemporaryDirectory() as folder:
        side_by_side = {name: loaded(name, arguments, Path(folder)) for name in arguments.models}
        for name, (embedder, facts) in side_by_side.items():
            told({**facts, **measured(name, embedder, arguments, peak, photos)})
        embedders = [embedder for embedder, _ in side_by_side.values()]
        together = round(end_to_end(embedders, photos, arguments.seconds), 1) if photos else None
        all_mb = torch.cuda.max_memory_reserved(device) >> 20 if device.type == "cuda" else 0
        told({"together": arguments.models, "end_to_end_images_a_s": together, "device_mb": all_mb})
        for embedder in embedders:
            embedder.close()


def told(found: dict[str, Any]) -> None:
    """A line of JSON for programs, and the same to read."""
    print(json.dumps(found), flush=True)
    for key, value in found.items():
        print(f"  {key}: {value}", file=sys.stderr)


if __name__ == "__main__":
    main()
