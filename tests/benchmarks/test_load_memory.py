"""How long a ViT-L takes to load, and what it takes of the memory meanwhile. Run with: make bench"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import open_clip
import pytest
import torch

from deepdupe_daemon.config import ModelConfig
from tests.conftest import PROJECT_ROOT
from tests.vision.networks import save_dinov3, save_safetensors

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(1800)]

#: run in a process of its own, so that nothing else counts; the imports are done before the first look
PROGRAM = """
import json, os, sys, threading
from deepdupe_daemon.clock import SystemClock
from deepdupe_daemon.config import ModelConfig
from deepdupe_daemon.vision import load_embedder
import deepdupe_daemon.vision.backends.open_clip, deepdupe_daemon.vision.backends.transformers
from deepdupe_daemon.vision.weights import weights_digest

def said(key):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) << 10 for line in file if line.startswith(key))

model = ModelConfig.model_validate_json(sys.argv[1])
clock, over, most = SystemClock(), threading.Event(), {}
before = {key: said(key) for key in ("VmRSS", "RssAnon")}

def watch():
    while not over.is_set():
        for key in before:
            most[key] = max(most.get(key, 0), said(key) - before[key])
        clock.wait(over, 0.002)

watcher = threading.Thread(target=watch)
watcher.start()
started_s = clock.monotonic_s()
embedder = load_embedder(model, environ={})
took_s = clock.monotonic_s() - started_s
over.set()
watcher.join()
print(json.dumps({"s": took_s, **most, "resident": said("VmRSS") - before["VmRSS"], "as": embedder.describe()}))
"""


def weights(kind: str, folder: Path) -> tuple[Path, int]:
    """(what the configuration names, its bytes)"""
    if kind == "dinov3-vit-l-16":
        made = save_dinov3(kind, folder / "model")
        return made, (made / "model.safetensors").stat().st_size
    config = open_clip.get_model_config("ViT-L-14")
    vision = open_clip.CLIPVisionCfg(**config["vision_cfg"])
    model = open_clip.CLIP(config["embed_dim"], vision, open_clip.CLIPTextCfg(layers=1))
    dtype = torch.float16 if kind.endswith("fp16") else torch.float32
    state = {key: value.to(dtype) for key, value in model.state_dict().items() if key.startswith("visual.")}
    file = save_safetensors(state, folder / f"{kind}.safetensors")
    return file, file.stat().st_size


@pytest.mark.parametrize("kind", ["clip-vit-l-14", "clip-vit-l-14 saved in fp16", "dinov3-vit-l-16"])
def test_loading_a_vit_l(kind: str, tmp_path: Path) -> None:
    file, size = weights(kind, tmp_path)
    for precision in ("fp32", "bf16", "auto"):
        model = ModelConfig(name=kind.split()[0], weights=str(file), device="cpu", precision=precision)
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, model.model_dump_json()],
            capture_output=True,
            text=True,
            check=True,
            cwd=PROJECT_ROOT,
            env={**os.environ, "PYTHONPATH": str(PROJECT_ROOT)},
        )
        found = json.loads(done.stdout.splitlines()[-1])
        whole = max(size, 4 * size // 2 if "fp16" in kind and precision != "bf16" else size)
        print(
            f"\n{kind}, {precision}: {found['as']}, {found['s']:.1f} s with its digest and self-test; file "
            f"{size / 1e6:,.0f} MB, peak {found['VmRSS'] / 1e6:,.0f} MB ({found['RssAnon'] / 1e6:,.0f} MB of it not "
            f"the file's), {found['resident'] / 1e6:,.0f} MB in the end"
        )
        assert found["VmRSS"] < 2 * whole, "weights in fp32 or as saved, whichever is more"
