"""open_clip checkpoints as people have them: odd, misnamed, damaged, somebody else's. None runs silently wrong."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from deepdupe_daemon.config import ModelConfig
from deepdupe_daemon.errors import ModelError
from deepdupe_daemon.vision import VisionNotice, list_models, plan_model
from deepdupe_daemon.vision.open_clip_tags import TAGS
from tests.vision.embedder_contract import inputs
from tests.vision.networks import hub_snapshot, save_safetensors, tiny_clip, tiny_clip_config
from tests.vision.test_open_clip import reference, tiny, worst_cosine

REPO = TAGS["ViT-B-32"]["openai"].repo


@pytest.mark.parametrize("held", ["arguments", "network", "page"])
def test_a_pickle_of_more_than_tensors_says_how_to_go_on(tmp_path: Path, held: str) -> None:
    """torch's own words would recommend to switch its guard off."""
    file = tmp_path / "epoch_3.pt"
    if held == "page":
        file.write_text("<!doctype html>")
        words = r"epoch_3.pt: is no checkpoint that torch can read .*again"
    elif held == "network":
        torch.save(tiny_clip(), file)
        words = r"holds open_clip\.model\.CLIP beside its weights.*save its state dict alone, as safetensors"
    else:
        torch.save({"state_dict": tiny_clip().state_dict(), "args": argparse.Namespace(lr=1)}, file)
        words = r"holds argparse\.Namespace beside its weights.*save its state dict alone, as safetensors"
    with pytest.raises(ModelError, match=words) as raised:
        tiny(file)
    assert raised.value.exit_code == 78
    assert "weights_only" not in str(raised.value)


def test_weights_that_are_not_finite_are_refused_in_fp32_as_configured_too(tmp_path: Path) -> None:
    state = {key: value * float("nan") for key, value in tiny_clip().state_dict().items()}
    with pytest.raises(ModelError, match=r"not finite, in fp32.*damaged"):
        tiny(save_safetensors(state, tmp_path / "nan.safetensors"), precision="fp32")


def test_quick_gelu_comes_from_the_files_name_where_nothing_else_says_it(tmp_path: Path) -> None:
    quick = tiny_clip(quick_gelu=True)
    notices: list[VisionNotice] = []
    embedder = tiny(save_safetensors(quick.state_dict(), tmp_path / "mine-QuickGELU.safetensors"), notices=notices)
    batch = inputs(embedder, 4)
    assert worst_cosine(embedder.embed(batch)["tiny.final"], reference(quick, batch)) > 0.999999
    assert any("its name says QuickGELU" in notice.text for notice in notices)


@pytest.mark.parametrize(
    ("place", "quick", "red"),
    [
        ("hub/models--timm--vit_large_patch14_clip_224.openai/snapshots/abc", True, 0.48145466),
        ("hub/models--laion--CLIP-ViT-L-14-laion2B-s32B-b82K/snapshots/abc", False, 0.5),
        ("hub/models--apple--DFN2B-CLIP-ViT-L-14-39B/snapshots/abc", False, 0.48145466),
        ("hub/models--apple--DFN2B-CLIP-ViT-L-14/snapshots/abc", True, 0.48145466),
        ("DFN2B-CLIP-ViT-L-14-39B", False, 0.48145466),
        ("vit_large_patch14_clip_224.metaclip_2pt5b", True, 0.48145466),
    ],
)
@pytest.mark.parametrize("named", ["file", "folder"])
def test_what_open_clip_left_in_a_cache_can_be_named_by_its_path(
    tmp_path: Path, place: str, quick: bool, red: float, named: str
) -> None:
    """open_clip fetches the weights alone, without the file that says activation and constants."""
    file = tmp_path / place / "open_clip_model.safetensors"
    file.parent.mkdir(parents=True)
    save_safetensors({"visual.x": torch.zeros(3)}, file)
    weights = file if named == "file" or "snapshots" not in place else file.parent
    plan = plan_model(ModelConfig(name="clip-vit-l-14", weights=str(weights)), environ={"HOME": "/nowhere"})
    assert plan.quick_gelu is quick
    assert plan.preprocessing.mean[0] == red
    assert plan.constants_known


def test_weights_of_another_input_size_are_not_bent_silently(tmp_path: Path) -> None:
    """Such as ViT-L-14-336 where ViT-L-14 is meant: alike but for the positions."""
    state = tiny_clip().state_dict()
    state["visual.positional_embedding"] = torch.randn(26, 64)
    larger = save_safetensors(state, tmp_path / "larger.safetensors")
    with pytest.raises(ModelError, match=r"was trained at 80 px.*a network of 48 px.*set input_px: 80"):
        tiny(larger)
    assert tiny(larger, input_px=80).spec.side_px == 80
    state["visual.conv1.weight"] = torch.randn(64, 3, 8, 8)
    patches = save_safetensors(state, tmp_path / "patches.safetensors")
    with pytest.raises(ModelError, match="another architecture"):
        tiny(patches)


def test_a_folder_that_transformers_wrote_is_no_open_clip_checkpoint(tmp_path: Path) -> None:
    file = save_safetensors({"vision_model.embeddings.class_embedding": torch.zeros(3)}, tmp_path / "hf.safetensors")
    with pytest.raises(ModelError, match=r"holds no visual tower.*transformers writes others"):
        tiny(file)


def test_weights_that_may_not_be_read_say_so(tmp_path: Path) -> None:
    """The trap of a service: its user is another one than who put the weights into their home."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    private = save_safetensors(tiny_clip().state_dict(), closed / "own.safetensors")
    tiny_clip_config(closed)
    options = {"backend": "open_clip", "architecture": "ViT-B-32", "name": "own"}
    with as_somebody_else(closed), pytest.raises(ModelError, match=r"cannot be read: Permission denied.*needs to read"):
        plan_model(ModelConfig(weights=str(private), **options), environ={"HOME": "/nowhere"})
    with as_somebody_else(closed), pytest.raises(ModelError, match="cannot be read") as raised:
        plan_model(ModelConfig(weights=str(closed), **{**options, "backend": "transformers"}), environ={})
    assert raised.value.exit_code == 78
    cache = tmp_path / "hub"
    hub_snapshot(cache, REPO)
    home = cache / f"models--{REPO.replace('/', '--')}"
    home.chmod(0o700)
    with as_somebody_else(home):
        (row,) = list_models({"HOME": "/nowhere"}, cache_dir=cache, names=["clip-vit-b-32"])
    assert (row.on_disk, "Permission denied" in row.problem) == ((), True)


@contextmanager
def as_somebody_else(closed: Path) -> Iterator[None]:
    """Root becomes nobody, who may not enter `closed`; anybody else loses the right to."""
    uid = os.geteuid()
    if uid == 0:
        os.seteuid(65534)
    else:
        closed.chmod(0)
    try:
        yield
    finally:
        if uid == 0:
            os.seteuid(0)
        else:
            closed.chmod(0o700)
