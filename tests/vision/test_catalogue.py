"""What `models list` shows: every preset, its thresholds with their sources, and what is on disk; without torch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import open_clip
import pytest
import torch

from deepdupe_daemon.cli.model_text import comparison_lines
from deepdupe_daemon.config import ModelConfig
from deepdupe_daemon.errors import ConfigError, ModelError
from deepdupe_daemon.model import SpaceKey
from deepdupe_daemon.vision import (
    PDQ_SPACE,
    PRESETS,
    default_threshold,
    fetch_model,
    list_models,
    load_embedder,
    plan_models,
    preset,
    thresholds_of,
    verify_model,
)
from deepdupe_daemon.vision.open_clip_tags import TAGS
from tests.vision.networks import hub_snapshot, save_dinov3, save_safetensors, true_size

NOWHERE = {"HOME": "/nowhere"}


def test_every_preset_of_the_service_and_its_extensions_is_listed() -> None:
    rows = {row.name: row for row in list_models(NOWHERE)}
    assert list(rows)[:4] == ["pdq", "clip-vit-l-14", "clip-vit-b-32", "dinov3-vit-l-16"]
    assert len(rows) == 17
    assert rows["clip-vit-l-14"].dims == {"final": 768, "hidden": 1024}
    assert {"openai", "laion2b_s32b_b82k", "datacomp_xl_s13b_b90k"} <= set(rows["clip-vit-l-14"].tags)
    assert {"openai", "laion2b_s34b_b79k", "datacomp_xl_s13b_b90k"} <= set(rows["clip-vit-b-32"].tags)
    assert rows["dinov3-vit-l-16"].weights == "facebook/dinov3-vitl16-pretrain-lvd1689m"
    assert [rows[name].batch_size_cuda for name in ("clip-vit-l-14", "clip-vit-b-32", "dinov3-vit-l-16")] == [400] * 3
    for row in rows.values():
        assert row.licence
        assert row.threshold_source
        assert row.threshold_status in ("published", "uncalibrated")
        assert json.loads(json.dumps(row.to_dict()))["name"] == row.name
    assert not rows["clip-vit-l-14"].on_disk


def test_published_thresholds_are_the_published_ones() -> None:
    """Everything else says that nobody has measured it."""
    published = {
        name: known.threshold.similarity for name, known in PRESETS.items() if known.threshold.status == "published"
    }
    assert published == {"pdq": 1 - 2 * 31 / 256, "sscd-disc-mixup": 0.75}


def test_the_configured_threshold_goes_first() -> None:
    model = ModelConfig(name="clip-vit-b-32", embedding="both", threshold=0.9)
    assert {name: (found.similarity, found.status) for name, found in thresholds_of(model).items()} == {
        "clip-vit-b-32.final": (0.9, "configured"),
        "clip-vit-b-32.hidden": (0.9, "configured"),
    }
    assert default_threshold(ModelConfig(), PDQ_SPACE) == 1 - 62 / 256
    own = ModelConfig(name="own", backend="torchscript", weights="x.pt")
    assert thresholds_of(own)["own.final"].status == "uncalibrated"
    assert default_threshold(own, SpaceKey("own", "final", 3)) == 0.95


def test_what_is_on_disk_is_found(tmp_path: Path) -> None:
    home = tmp_path / "home"
    cache = home / ".cache" / "huggingface" / "hub"
    whole = {"visual.x": torch.zeros(4)}
    file = save_safetensors(
        whole, hub_snapshot(cache, "laion/CLIP-ViT-B-32-laion2B-s34B-b79K") / "open_clip_model.safetensors"
    )
    torn = hub_snapshot(cache, "facebook/dinov3-vits16-pretrain-lvd1689m") / "model.safetensors"
    torn.write_bytes(file.read_bytes()[:-3])
    (home / ".cache" / "clip").mkdir()
    (home / ".cache" / "clip" / "ViT-L-14.pt").write_bytes(b"12345")
    rows = {row.name: row for row in list_models({"HOME": str(home)})}
    assert rows["clip-vit-b-32"].on_disk == ("laion2b_s34b_b79k",)
    assert rows["clip-vit-b-32"].bytes_on_disk == file.stat().st_size
    assert rows["clip-vit-l-14"].on_disk == ("openai",)
    assert rows["dinov3-vit-s-16"].on_disk == ()


def test_what_is_published_of_each_preset_is_what_its_architecture_has() -> None:
    """Dimensions and parameters of networks of the true sizes, built without memory."""
    for name, known in PRESETS.items():
        if known.backend != "none":
            assert (name, *true_size(name)) == (name, known.parameters, dict(known.dims))


def test_a_list_of_what_is_loaded_says_what_the_networks_say(tmp_path: Path) -> None:
    """Names choose; what is torn or does not belong there says why; the rest of the row stays."""
    save_dinov3("dinov3-vit-s-16", hub_snapshot(tmp_path, PRESETS["dinov3-vit-s-16"].repo))
    other = hub_snapshot(tmp_path, PRESETS["dinov3-vit-b-16"].repo)
    save_dinov3("dinov3-vit-s-16", other)
    names = ["dinov3-vit-s-16", "dinov3-vit-b-16", "clip-vit-b-32", "pdq"]
    small, wrong, absent, pdq = list_models(NOWHERE, cache_dir=tmp_path, names=names, loaded=True)
    assert (small.loaded, small.parameters, dict(small.dims)) == (
        "dinov3-vit-s-16 bf16 on cpu",
        PRESETS["dinov3-vit-s-16"].parameters,
        {"pooler": 384},
    )
    assert small.preprocessing == "squash to 224 x 224 px, bilinear"
    assert (wrong.loaded, "384 dimensions" in wrong.problem) == ("", True)
    assert (absent.loaded, absent.problem, absent.on_disk) == ("", "", ())
    assert (pdq.loaded, dict(pdq.dims)) == ("pdq on cpu", {"hash": 256})
    with pytest.raises(ModelError, match="no preset is named 'clip'"):
        list_models(NOWHERE, names=["clip"])


@pytest.mark.nightly
def test_the_first_three_side_by_side_as_loaded(tmp_path: Path) -> None:
    """At their true sizes, from a cache as the hub's client leaves it: the table that people of the service know."""
    for name, repo in (("clip-vit-l-14", "openai"), ("clip-vit-b-32", "openai")):
        known = PRESETS[name]
        config = open_clip.get_model_config(known.architecture)
        vision = open_clip.CLIPVisionCfg(**config["vision_cfg"])
        model = open_clip.CLIP(config["embed_dim"], vision, open_clip.CLIPTextCfg(layers=1), quick_gelu=True)
        snapshot = hub_snapshot(tmp_path, TAGS[known.architecture][repo].repo)
        save_safetensors(
            {key: value for key, value in model.state_dict().items() if key.startswith("visual.")},
            snapshot / "open_clip_model.safetensors",
        )
    save_dinov3("dinov3-vit-l-16", hub_snapshot(tmp_path, PRESETS["dinov3-vit-l-16"].repo))
    names = ["clip-vit-l-14", "clip-vit-b-32", "dinov3-vit-l-16"]
    rows = list_models(NOWHERE, cache_dir=tmp_path, names=names, loaded=True)
    table = {line.split("|")[1].strip(" *"): line for line in comparison_lines(rows)}
    print("\n" + "\n".join(table.values()))
    for feature, cells in {
        "Library": ["open-clip-torch", "open-clip-torch", "transformers"],
        "Output": ["tensor", "tensor", "pooler_output"],
        "Embedding options": ["final, hidden, both", "final, hidden, both", "pooler"],
        "Feature dimension": ["768 (final), 1024 (hidden)", "512 (final), 768 (hidden)", "1024 (pooler)"],
        "Parameters": ["304.0 million", "87.8 million", "303.1 million"],
        "Taken from": [f"the loaded model ({name} bf16 on cpu)" for name in names],
    }.items():
        assert [cell.strip() for cell in table[feature].split("|")[2:-1]] == cells


def test_a_misspelt_preset_gets_the_nearest_names() -> None:
    with pytest.raises(ModelError, match="did you mean clip-vit-b-32"):
        preset("clip-vitb32")
    with pytest.raises(ModelError, match="did you mean dinov3-vit-l-16"):
        load_embedder(ModelConfig(name="dinov3-vitl16"), environ=NOWHERE)
    with pytest.raises(ConfigError, match="loads through open_clip, not transformers"):
        load_embedder(ModelConfig(name="clip-vit-b-32", backend="transformers"), environ=NOWHERE)


def test_two_models_for_one_space_are_refused() -> None:
    with pytest.raises(ConfigError, match="two models fill this space"):
        plan_models([ModelConfig(), ModelConfig()], environ=NOWHERE)


def test_pdq_needs_nothing() -> None:
    assert fetch_model(ModelConfig(), environ=NOWHERE).files == ()
    verified = verify_model(ModelConfig(), environ=NOWHERE)
    assert verified.dims == {"pdq.hash": 256}
    (plan,) = plan_models([ModelConfig()], environ=NOWHERE)
    assert plan.space_names == ("pdq.hash",)


def test_planning_and_listing_import_no_torch(tmp_path: Path) -> None:
    """The daemon plans before the walk begins, and the command line lists: neither may cost ten seconds."""
    file = save_safetensors({"visual.x": torch.zeros(4)}, tmp_path / "own.safetensors")
    code = (
        "import sys; from deepdupe_daemon.vision import list_models, plan_model; "
        "from deepdupe_daemon.config import ModelConfig; list_models({}); "
        f"plan_model(ModelConfig(name='clip-vit-b-32', weights={str(file)!r}), environ={{}}); "
        "bad = {'torch', 'open_clip', 'transformers', 'huggingface_hub'} & set(sys.modules); assert not bad, bad"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("tag", ["openai", "laion2b_s32b_b82k", "datacomp_xl_s13b_b90k", "dfn2b"])
def test_each_tag_brings_its_own_activation_and_constants(tmp_path: Path, tag: str) -> None:
    """By name, and by a file or folder that carries the name: the same constants."""
    known = {"openai": (True, 0.48145466), "laion2b_s32b_b82k": (False, 0.5), "dfn2b": (True, 0.48145466)}
    quick, red = known.get(tag, (False, 0.48145466))
    repos = {
        "openai": "timm/vit_large_patch14_clip_224.openai",
        "laion2b_s32b_b82k": "laion/CLIP-ViT-L-14-laion2B-s32B-b82K",
        "datacomp_xl_s13b_b90k": "laion/CLIP-ViT-L-14-DataComp.XL-s13B-b90K",
        "dfn2b": "apple/DFN2B-CLIP-ViT-L-14",
    }
    held = hub_snapshot(tmp_path / "hub", repos[tag]) / "open_clip_model.safetensors"
    save_safetensors({"visual.x": torch.zeros(4)}, held)
    by_tag = ModelConfig(name="clip-vit-l-14", weights=tag, cache_dir=tmp_path / "hub", offline=True)
    by_file = tmp_path / f"ViT-L-14-{tag}.safetensors"
    by_file.write_bytes(held.read_bytes())
    by_path = ModelConfig(name="clip-vit-l-14", weights=str(by_file), offline=True)
    for plan in plan_models([by_tag], environ=NOWHERE) + plan_models([by_path], environ=NOWHERE):
        assert plan.quick_gelu is quick
        assert plan.preprocessing.mean[0] == red
        assert plan.constants_known
