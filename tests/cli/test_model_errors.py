"""A model that cannot be had, as a person meets it: one message with its remedy, an exit code, no trace, no token.

78: starting again would not help; 75: it may.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Deepdupe
from tests.cli.pictures import save as save_picture
from tests.vision.hub_server import Hub
from tests.vision.networks import hub_snapshot, save_safetensors, tiny_clip, tiny_clip_config
from tests.vision.test_transformers import save, vit

REPO = "org/own-model"
TOKEN = "hf_thisIsNobodysBusiness"

#: makes a broken model; gives what the configuration says of it
Broken = Callable[[Path], dict[str, Any]]


@pytest.fixture(autouse=True)
def _asking(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    folder = save(vit(), tmp_path / "served")
    started = Hub(REPO, {path.name: path.read_bytes() for path in folder.iterdir()})
    monkeypatch.setenv("HF_ENDPOINT", started.address)
    yield started
    started.close()


@pytest.fixture
def configured(tmp_path: Path) -> Callable[..., Path]:
    """A configuration with this model and one photo to look at."""

    def write(**model: Any) -> Path:
        (tmp_path / "photos").mkdir(exist_ok=True)
        save_picture(1, tmp_path / "photos" / "1.jpg")
        settings = {"name": "own", "device": "cpu", "precision": "fp32", **model}
        values = {
            "roots": [{"path": str(tmp_path / "photos")}],
            "state_dir": str(tmp_path / "s"),
            "models": [settings, {"name": "pdq"}],
            "chroma": {"mode": "off"},
        }
        (tmp_path / "own.yaml").write_text(json.dumps(values))  # JSON is YAML
        return tmp_path / "own.yaml"

    return write


def without_a_processor_file(folder: Path) -> dict[str, Any]:
    snapshot = hub_snapshot(folder / "hub", REPO)
    save(vit(), snapshot)
    (snapshot / "preprocessor_config.json").unlink()
    return {"backend": "transformers", "weights": str(snapshot)}


def truncated(folder: Path) -> dict[str, Any]:
    own = save(vit(), folder / "model")
    weights = own / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    return {"backend": "transformers", "weights": str(own)}


def truncated_checkpoint(folder: Path) -> dict[str, Any]:
    file = save_safetensors(tiny_clip().state_dict(), folder / "own.safetensors")
    file.write_bytes(file.read_bytes()[:-1000])
    return {"backend": "open_clip", "weights": str(file), "architecture": str(tiny_clip_config(folder))}


def wrong_architecture(folder: Path) -> dict[str, Any]:
    file = save_safetensors(tiny_clip().state_dict(), folder / "own.safetensors")
    return {"backend": "open_clip", "weights": str(file), "architecture": "ViT-B-32"}


def wrong_preset(folder: Path) -> dict[str, Any]:
    return {"name": "dinov3-vit-s-16", "weights": str(save(vit(), folder / "model"))}


def absent_and_offline(folder: Path) -> dict[str, Any]:
    return {"name": "dinov3-vit-l-16", "offline": True, "cache_dir": str(folder / "hub")}


def a_program_that_nobody_named(_folder: Path) -> dict[str, Any]:
    return {"name": "sscd-disc-mixup"}


@pytest.mark.parametrize(
    ("broken", "says", "remedy"),
    [
        (without_a_processor_file, "holds no preprocessor_config.json", "fetch that file from the model's repository"),
        (truncated, "model.safetensors: is torn", "fetch or copy it again"),
        (truncated_checkpoint, "own.safetensors: is torn", "fetch or copy it again"),
        (wrong_architecture, "is another architecture than ViT-B-32", "name the preset or architecture"),
        (wrong_preset, "of 48 dimensions, dinov3-vit-s-16 has 384", "name the preset that these weights belong to"),
        (absent_and_offline, "is not on disk, and downloading is switched off", "models fetch dinov3-vit-l-16"),
        (a_program_that_nobody_named, "is a TorchScript file, which is a program", "models fetch sscd-disc-mixup"),
    ],
)
def test_what_cannot_serve_ends_the_start_with_78(
    broken: Broken, says: str, remedy: str, here: Deepdupe, configured: Callable[..., Path], tmp_path: Path
) -> None:
    """The whole start, with a model beside it that is sound: none quietly vanishes."""
    config = configured(**broken(tmp_path))
    done = here("scan", "--config", config)
    told = done.err.splitlines()
    assert done.code == 78
    assert done.out == ""
    assert [line for line in told if line.startswith("error: ") and says in line], done.err
    assert [line for line in told if line.startswith("hint: ") and remedy in line], done.err
    check_nothing_is_given_away(done.out + done.err, tmp_path)


@pytest.mark.parametrize("how", ["no token", "refused token"])
def test_a_gate_ends_with_75_and_says_how_to_pass(
    how: str, hub: Hub, here: Deepdupe, configured: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.gated = True
    if how == "no token":
        monkeypatch.delenv("HF_TOKEN")
    config = configured(backend="transformers", weights=REPO, cache_dir=str(tmp_path / "hub"))
    for command in (("scan",), ("models", "fetch", "own")):
        done = here(*command, "--config", config)
        assert done.code == 75, done.err
        assert f"error: {REPO}: {'is gated and no token was given' if how == 'no token' else 'refused the token'}" in (
            done.err
        )
        for way in (f"https://huggingface.co/{REPO}", "LoadCredential=", "HF_TOKEN", "hf auth login"):
            assert way in done.err
        check_nothing_is_given_away(done.out + done.err, tmp_path)


def test_no_network_ends_with_75(hub: Hub, here: Deepdupe, configured: Callable[..., Path], tmp_path: Path) -> None:
    hub.close()
    config = configured(backend="transformers", weights=REPO, cache_dir=str(tmp_path / "hub"))
    for command in (("scan",), ("models", "fetch", "own")):
        done = here(*command, "--config", config)
        assert done.code == 75, done.err
        assert f"error: {REPO}: could not be fetched: " in done.err
        assert "hint: check the network, or name local `weights`" in done.err
        check_nothing_is_given_away(done.out + done.err, tmp_path)


def test_no_space_ends_with_75(hub: Hub, here: Deepdupe, configured: Callable[..., Path], tmp_path: Path) -> None:
    hub.stated_size["model.safetensors"] = 1 << 60
    config = configured(backend="transformers", weights=REPO, cache_dir=str(tmp_path / "hub"))
    for command in (("scan",), ("models", "fetch", "own")):
        done = here(*command, "--config", config)
        assert done.code == 75, done.err
        assert "no space: " in done.err
        assert "hint: free some, or set cache_dir to a larger disk" in done.err
        check_nothing_is_given_away(done.out + done.err, tmp_path)


def test_the_token_is_shown_to_nobody_but_the_hub(
    hub: Hub, here: Deepdupe, configured: Callable[..., Path], tmp_path: Path
) -> None:
    """Nor in a trace that was asked for; and where it is right, it passes the gate and is left nowhere."""
    hub.gated = True
    config = configured(backend="transformers", weights=REPO, cache_dir=str(tmp_path / "hub"))
    refused = here("--debug", "models", "fetch", "own", "--config", config)
    assert refused.code == 75
    assert "Traceback" in refused.err
    assert TOKEN not in refused.err + refused.out
    hub.token = TOKEN
    fetched = here("models", "fetch", "own", "--config", config)
    assert fetched.code == 0, fetched.err
    scanned = here("scan", "--config", config)
    assert scanned.code == 0, scanned.err
    check_nothing_is_given_away(fetched.out + fetched.err + scanned.out + scanned.err, tmp_path)


def check_nothing_is_given_away(said: str, folder: Path) -> None:
    """No trace in what was said, no token in it nor in any file."""
    assert "Traceback" not in said
    assert TOKEN not in said
    for parent, _, names in os.walk(folder):
        for name in names:
            assert TOKEN.encode() not in Path(parent, name).read_bytes(), name
