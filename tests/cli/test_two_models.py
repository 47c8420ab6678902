"""Two networks and PDQ side by side, as a person runs them; then one of them gets other weights.

The architectures are the real ones in miniature: a CLIP tower with both embeddings, and a DINOv3 ViT.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
import transformers

from deepdupe_daemon.clock import SystemClock
from deepdupe_daemon.ledger import Ledger
from deepdupe_daemon.ledger.switching import SpareSpace
from tests.cli.conftest import Deepdupe
from tests.conftest import PROJECT_ROOT, Eventually
from tests.service.pictures import photo
from tests.vision.networks import save_safetensors, tiny_clip, tiny_clip_config
from tests.vision.test_transformers import save, vit

pytestmark = pytest.mark.timeout(900)

SPACES = {"pdq.hash": 256, "clip.final": 24, "clip.hidden": 64, "dino.pooler": 48}
PICTURES = 130  # two batches of a reindex, and the begin of a third


@pytest.fixture
def config(tmp_path: Path) -> Path:
    photos = tmp_path / "photos"
    photos.mkdir()
    for seed in range(PICTURES - 1):
        photo(seed, (320, 240)).save(photos / f"{seed:03}.jpg", quality=92)
    photo(0, (320, 240)).save(photos / "small-file.jpg", quality=70)
    shutil.copyfile(photos / "001.jpg", photos / "same.jpg")
    clip = save_safetensors(tiny_clip().state_dict(), tmp_path / "clip.safetensors")
    save(vit(), tmp_path / "dino")
    shared = {"device": "cpu", "precision": "fp32", "threshold": 0.9999}
    values = {
        "roots": [{"path": str(photos)}],
        "state_dir": str(tmp_path / "s"),
        "models": [
            {"name": "pdq"},
            {
                "name": "clip",
                "backend": "open_clip",
                "architecture": str(tiny_clip_config(tmp_path)),
                "weights": str(clip),
                "embedding": "both",
                **shared,
            },
            {"name": "dino", "backend": "transformers", "weights": str(tmp_path / "dino"), **shared},
        ],
        "decoder": {"workers": 1},
    }
    (tmp_path / "own.yaml").write_text(json.dumps(values), encoding="utf-8")  # JSON is YAML
    return tmp_path / "own.yaml"


def other_weights(folder: Path) -> None:
    """Other weights in the same folder, put there as a careful program does."""
    torch.manual_seed(99)
    transformers.AutoModel.from_config(vit()).save_pretrained(folder.with_name("fresh"))
    os.replace(folder.with_name("fresh") / "model.safetensors", folder / "model.safetensors")


def rows(state_dir: Path) -> dict[str, int]:
    with Ledger.open(state_dir, SystemClock(), readonly=True) as ledger:
        return {key.name: sum(len(ids) for ids, _ in ledger.vectors(key.name)) for key in ledger.spaces()}


def spares(state_dir: Path) -> list[SpareSpace]:
    with Ledger.open(state_dir, SystemClock(), readonly=True) as ledger:
        return ledger.spare_spaces()


@contextmanager
def running(command: list[str], environment: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is not left behind; what it says goes to `log`."""
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=PROJECT_ROOT, env=environment, stdout=out, stderr=out)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def test_other_weights_are_refused_and_built_beside_those_that_serve(
    config: Path,
    here: Deepdupe,
    command: list[str],
    environment: dict[str, str],
    tmp_path: Path,
    eventually: Eventually,
) -> None:
    state_dir = tmp_path / "s"
    first = here("scan", "--config", config)
    assert first.code == 1, first.err
    assert {line.split("  ")[1] for line in first.lines} == {"identical-bytes", "re-encoded"}
    assert rows(state_dir) == dict.fromkeys(SPACES, PICTURES), "each image through each model, equal bytes once"

    shutil.copytree(tmp_path / "dino", tmp_path / "before")
    other_weights(tmp_path / "dino")
    for refused in (here("scan", "--config", config), here("run", "--config", config)):
        assert refused.code == 78
        assert "space dino.pooler holds vectors of another origin: " in refused.err
        assert "weights_digest was " in refused.err
        assert "hint: deepdupe-daemon reindex --model dino" in refused.err
        assert "Traceback" not in refused.err
    assert rows(state_dir) == dict.fromkeys(SPACES, PICTURES), "and nothing was lost"
    os.replace(tmp_path / "before" / "model.safetensors", tmp_path / "dino" / "model.safetensors")

    log = tmp_path / "daemon.log"
    with running([*command, "run", "--config", str(config)], environment, log) as service:
        eventually(lambda: b"ready: " in log.read_bytes() or service.poll() is not None, timeout_s=180)
        assert service.poll() is None, log.read_text()
        other_weights(tmp_path / "dino")
        cut = killed_in_the_middle([*command, "reindex", "--model", "dino"], config, here, environment, eventually)
        served = similarities(here, config)
        resumed = here("reindex", "--model", "dino", "--config", config)
        assert resumed.code == 0, resumed.err
        assert resumed.lines == [
            f"dino.pooler: embedded {PICTURES - cut:,} pictures",
            "complete; the running daemon switches at its next start",
        ]
        assert similarities(here, config) == served, "the old vectors serve until then"
        service.terminate()
        assert service.wait(120) == 0

    switched = here("scan", "--config", config)
    assert switched.code == 1, switched.err
    assert rows(state_dir) == dict.fromkeys(SPACES, PICTURES), "as many as before"
    (old,) = spares(state_dir)
    assert (old.state, old.rows, old.key.name) == ("retired", PICTURES, "dino.pooler")
    with Ledger.open(state_dir, SystemClock(), readonly=True) as ledger:
        assert {key.name: key.dim for key in ledger.spaces()} == SPACES
        assert next(key for key in ledger.spaces() if key.name == "dino.pooler") != old.key
    dropped = here("reindex", "--drop-old", "--config", config)
    assert (dropped.code, dropped.lines) == (0, [f"dropped {old.alias}"])
    assert spares(state_dir) == []
    assert rows(state_dir) == dict.fromkeys(SPACES, PICTURES)


def killed_in_the_middle(
    reindex: list[str], config: Path, here: Deepdupe, environment: dict[str, str], eventually: Eventually
) -> int:
    """How many vectors a build had that was killed with SIGKILL, which `status` had told of."""
    state_dir = config.with_name("s")
    with running([*reindex, "--config", str(config)], environment, config.with_name("reindex.log")) as build:
        eventually(lambda: [found for found in spares(state_dir) if found.rows], timeout_s=180)
        build.send_signal(signal.SIGSTOP)  # so that it is not over before it is asked about
        (told,) = here("status", "--config", config, "--json").records[0]["reindex"]
        assert (told["space"], told["state"]) == ("dino.pooler", "building")
        assert 0 < told["done"] < told["total"] == PICTURES
        build.send_signal(signal.SIGKILL)
        assert build.wait(60) == -signal.SIGKILL
    (cut,) = spares(state_dir)
    assert 0 < cut.rows < PICTURES
    return cut.rows


def similarities(here: Deepdupe, config: Path) -> dict[str, float]:
    """What the daemon finds for a smaller copy of a picture that it knows."""
    asked = config.with_name("asked.jpg")
    photo(0, (320, 240)).resize((300, 225)).save(asked, quality=90)
    (record,) = here("check", "--config", config, "--json", asked).records
    assert record["duplicate"]
    found: dict[str, float] = record["matches"][0]["similarities"]
    return found
