"""Hugging Face folders through the public path: parity with AutoModel and AutoImageProcessor, and plain errors."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from safetensors.torch import load_file, save_file

from deepdupe_daemon.config import ModelConfig
from deepdupe_daemon.errors import ConfigError, ModelError
from deepdupe_daemon.model import F32Array
from deepdupe_daemon.vision import PRESETS, Embedder, VisionNotice, load_embedder, plan_model
from deepdupe_daemon.vision.presets import IMAGENET_MEAN, SAT_MEAN, SAT_STD
from tests.vision.embedder_contract import check_contract, inputs
from tests.vision.networks import hub_snapshot
from tests.vision.pictures import real_pictures, reference_input


def vit(**changes: object) -> transformers.PretrainedConfig:
    """A DINOv3 ViT of two layers."""
    settings = {
        "hidden_size": 48,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 3,
        "num_register_tokens": 4,
        "image_size": 32,
        "initializer_range": 0.3,
        **changes,
    }
    return transformers.DINOv3ViTConfig(**settings)


def convnext() -> transformers.PretrainedConfig:
    return transformers.DINOv3ConvNextConfig(
        hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 2, 1], layer_scale_init_value=0.5, initializer_range=0.1
    )


def save(
    config: transformers.PretrainedConfig,
    folder: Path,
    *,
    side_px: int = 32,
    dtype: torch.dtype = torch.float32,
    mean: tuple[float, ...] = IMAGENET_MEAN,
    shard: str = "5GB",
) -> Path:
    """A folder as save_pretrained writes it, with its processor."""
    torch.manual_seed(0)
    model = transformers.AutoModel.from_config(config).to(dtype)
    model.save_pretrained(folder, max_shard_size=shard)
    processor = transformers.DINOv3ViTImageProcessor(
        size={"height": side_px, "width": side_px}, image_mean=list(mean), image_std=[0.229, 0.224, 0.225]
    )
    processor.save_pretrained(folder)
    return folder


def load(folder: Path | None, **options: object) -> Embedder:
    settings: dict[str, object] = {
        "name": "tiny",
        "backend": "transformers",
        "weights": str(folder) if folder else None,
        "device": "cpu",
        "precision": "fp32",
        "offline": True,
        **options,
    }
    return load_embedder(ModelConfig(**settings), environ={"HOME": "/nowhere"}, threads=1)


def reference(folder: Path, pictures: list[Image.Image]) -> F32Array:
    """The checkpoint's own processor and pooler_output, L2-normalised."""
    processor = transformers.AutoImageProcessor.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.inference_mode():
        pooled = model(**processor(images=pictures, return_tensors="pt")).pooler_output
        return torch.nn.functional.normalize(pooled).numpy()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save(vit(), tmp_path / "model")


@pytest.mark.parametrize("kind", ["vit", "gated", "convnext"])
def test_it_equals_the_checkpoints_own_processor_and_pooler(tmp_path: Path, data_dir: Path, kind: str) -> None:
    """On uint8 squares, which the processor need not resize: equal. On real pictures, which PIL squashes to uint8 here

    and the processor in float: as near as rounding leaves such small random networks (test_true_sizes asks 0.9999).
    """
    config = convnext() if kind == "convnext" else vit(use_gated_mlp=kind == "gated", initializer_range=0.05)
    side_px = 64
    folder = save(config, tmp_path / "model", side_px=side_px)
    embedder = load(folder)
    assert embedder.spec.side_px == side_px
    assert (embedder.spec.fit, embedder.spec.filter) == ("squash", "bilinear")
    pictures = real_pictures(data_dir, 20)
    batch = np.stack([reference_input(embedder.spec, picture) for picture in pictures])
    rows = embedder.embed(batch)["tiny.pooler"]
    assert rows.shape == (20, 32 if kind == "convnext" else 48)
    assert float((rows * reference(folder, pictures)).sum(axis=1).min()) >= 0.9995
    squares = [Image.fromarray(picture) for picture in batch]
    assert float((rows * reference(folder, squares)).sum(axis=1).min()) >= 0.999999


def test_it_keeps_the_contract(folder: Path) -> None:
    check_contract(load(folder))
    check_contract(load(folder, precision="bf16"), tolerance=0.02)


def test_attention_is_sdpa(folder: Path) -> None:
    model = transformers.AutoModel.from_pretrained(folder, dtype=torch.float32)
    assert model.config._attn_implementation == "sdpa"


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_half_precision_checkpoint_runs_in_fp32_where_asked(tmp_path: Path, dtype: torch.dtype) -> None:
    """The trap: from version 5 on, transformers takes the checkpoint's dtype by default; fp16 on a processor crawls."""
    folder = save(vit(), tmp_path / "half", dtype=dtype)
    embedder = load(folder)
    assert embedder.describe() == "tiny fp32 on cpu"
    batch = inputs(embedder, 4)
    full = load(save(vit(), tmp_path / "full")).embed(batch)["tiny.pooler"]
    assert float((embedder.embed(batch)["tiny.pooler"] * full).sum(axis=1).min()) > 0.999


def test_rotary_frequencies_stay_in_fp32(folder: Path) -> None:
    """In half precision they would shift every position; only saved tensors are cast."""
    from deepdupe_daemon.vision.backends.loaded import placed

    model = transformers.AutoModel.from_pretrained(folder, dtype=torch.float32)
    cast = placed(model, torch.device("cpu"), torch.bfloat16)
    assert {str(tensor.dtype) for tensor in cast.parameters()} == {"torch.bfloat16"}
    assert {str(tensor.dtype) for tensor in cast.buffers()} == {"torch.float32"}
    assert {str(tensor.dtype) for tensor in model.parameters()} == {"torch.float32"}, "the source is left alone"


@pytest.mark.parametrize("input_px", [16, 48, 80])
def test_any_multiple_of_16_is_an_input_size_and_another_space(folder: Path, input_px: int) -> None:
    embedder = load(folder, input_px=input_px)
    assert embedder.spec.side_px == input_px
    assert embedder.embed(inputs(embedder, 2))["tiny.pooler"].shape == (2, 48)
    assert embedder.spaces[0].fingerprint() != load(folder).spaces[0].fingerprint()


def test_other_input_sizes_are_refused(folder: Path) -> None:
    """The trap: a remainder below the patch size is cut off silently."""
    with pytest.raises(ConfigError, match=r"no multiple of the patch size 16.*64 is the nearest below"):
        load(folder, input_px=72)


def test_a_processor_file_of_another_size_is_held_against_the_patches(tmp_path: Path) -> None:
    """As `input_px` is; but for the very size that the network was trained at, which cuts off what it did there."""
    assert load(save(vit(), tmp_path / "whole", side_px=96)).spec.side_px == 96
    folder = save(vit(), tmp_path / "cut", side_px=100)
    with pytest.raises(ModelError, match=r"a size of 100 is no multiple of the patch size 16.*set input_px: 96"):
        load(folder)
    assert load(folder, input_px=96).spec.side_px == 96
    assert load(save(vit(image_size=100), tmp_path / "trained", side_px=100)).spec.side_px == 100


def test_a_config_of_fewer_layers_than_the_weights_have_is_refused(folder: Path) -> None:
    """The trap: transformers leaves out what it finds no place for, and runs half a network."""
    config = json.loads((folder / "config.json").read_text())
    for key in ("out_features", "out_indices", "stage_names"):
        config.pop(key, None)
    (folder / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 1}))
    with pytest.raises(ModelError, match=r"17 tensors have no place, \S*layer\.1\."):
        load(folder)


def test_a_head_that_is_not_used_is_put_on_record(folder: Path) -> None:
    state = load_file(folder / "model.safetensors")
    save_file({**state, "classifier.0.weight": torch.zeros(3)}, folder / "model.safetensors", {"format": "pt"})
    notices: list[VisionNotice] = []
    model = ModelConfig(name="own", backend="transformers", weights=str(folder), device="cpu", precision="fp32")
    load_embedder(model, environ={"HOME": "/nowhere"}, on_notice=notices.append)
    assert "own: 1 tensors of the weights are not used, classifier.0.weight first" in [each.text for each in notices]


def test_only_the_pooler_is_offered(folder: Path) -> None:
    for embedding in ("final", "hidden", "both", "hash"):
        with pytest.raises(ConfigError, match="allowed: pooler"):
            load(folder, embedding=embedding)
    with pytest.raises(ConfigError, match="allowed: pooler"):
        load(None, name="dinov3-vit-l-16", backend=None, embedding="hidden")


def test_shards_are_one_model(tmp_path: Path) -> None:
    whole, shards = save(vit(), tmp_path / "whole"), save(vit(), tmp_path / "shards", shard="40KB")
    assert len(list(shards.glob("*.safetensors"))) > 1
    one, many = load(whole), load(shards)
    batch = inputs(one, 3)
    assert np.array_equal(one.embed(batch)["tiny.pooler"], many.embed(batch)["tiny.pooler"])
    next(iter(sorted(shards.glob("*.safetensors")))).unlink()
    with pytest.raises(ModelError, match="shards are missing"):
        load(shards)


def test_without_a_processor_file_it_says_what_is_missing(folder: Path) -> None:
    (folder / "preprocessor_config.json").unlink()
    with pytest.raises(ModelError, match=r"no preprocessor_config.json.*fetch that file") as raised:
        load(folder)
    assert raised.value.exit_code == 78
    stated = load(folder, mean=IMAGENET_MEAN, std=(0.2, 0.2, 0.2), input_px=32)
    assert '"std":[0.2,0.2,0.2]' in stated.spaces[0].preprocessing


@pytest.mark.parametrize("damage", ["config", "no-config", "weights", "no-weights", "processor", "missing-tensor"])
def test_each_damage_is_named_without_a_stack_trace(folder: Path, damage: str) -> None:
    """Truncated, missing and foreign files: a ModelError that names the file, exit code 78."""
    weights = folder / "model.safetensors"
    if damage == "config":
        (folder / "config.json").write_text("{")
    elif damage == "no-config":
        (folder / "config.json").unlink()
    elif damage == "weights":
        weights.write_bytes(weights.read_bytes()[:-1000])
    elif damage == "no-weights":
        weights.unlink()
    elif damage == "processor":
        (folder / "preprocessor_config.json").write_text('{"image_mean": [1, 2], "size": {"height": 32, "width": 32}}')
    else:
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 3}))
    with pytest.raises(ModelError) as raised:
        load(folder)
    assert raised.value.exit_code == 78
    assert str(folder) in str(raised.value)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such folder"):
        load(tmp_path / "gone")
    with pytest.raises(ModelError, match=r"openai: there is no such folder.*ORG/NAME"):
        load(None, name="dinov3-vit-l-16", backend=None, weights="openai")


def test_a_file_of_a_folder_is_told_from_the_folder(folder: Path) -> None:
    with pytest.raises(ModelError, match=r"model\.safetensors: is a file.*name its folder"):
        load(folder / "model.safetensors")


def test_a_preset_refuses_another_networks_folder(tmp_path: Path) -> None:
    """Wrong size, wrong family, wrong constants: each named, before anything is loaded."""
    small = save(vit(), tmp_path / "small")
    with pytest.raises(ModelError, match="of 48 dimensions, dinov3-vit-s-16 has 384"):
        load(small, name="dinov3-vit-s-16", backend=None)
    other = save(convnext(), tmp_path / "convnext")
    with pytest.raises(ModelError, match="holds a dinov3_convnext network, dinov3-vit-s-16 is dinov3_vit"):
        load(other, name="dinov3-vit-s-16", backend=None)
    plus = save(vit(hidden_size=384, num_attention_heads=6, num_hidden_layers=1, use_gated_mlp=True), tmp_path / "plus")
    with pytest.raises(ModelError, match="use_gated_mlp is True, not False"):
        load(plus, name="dinov3-vit-s-16", backend=None)
    assert load(plus, name="dinov3-vit-s-plus-16", backend=None).spaces[0].dim == 384
    large = save(vit(hidden_size=1024, num_attention_heads=16, num_hidden_layers=1), tmp_path / "large", side_px=224)
    with pytest.raises(ModelError, match="belongs to another checkpoint"):
        load(large, name="dinov3-vit-l-16-sat493m", backend=None)
    assert load(large, name="dinov3-vit-l-16", backend=None).spaces[0].dim == 1024


def test_satellite_constants_come_from_the_processor_file(tmp_path: Path) -> None:
    folder = save(
        vit(hidden_size=1024, num_attention_heads=16, num_hidden_layers=1), tmp_path / "sat", side_px=32, mean=SAT_MEAN
    )
    raw = json.loads((folder / "preprocessor_config.json").read_text())
    (folder / "preprocessor_config.json").write_text(json.dumps({**raw, "image_std": SAT_STD}))
    embedder = load(folder, name="dinov3-vit-l-16-sat493m", backend=None)
    assert '"mean":[0.43,0.411,0.296]' in embedder.spaces[0].preprocessing
    assert '"std":[0.213,0.156,0.143]' in embedder.spaces[0].preprocessing


def test_a_repository_in_the_cache_is_used_offline(tmp_path: Path) -> None:
    cache = tmp_path / "hub"
    save(vit(), hub_snapshot(cache, "org/own-model"))
    embedder = load(None, weights="org/own-model", cache_dir=cache)
    assert embedder.spaces[0].dim == 48


def test_a_preset_that_is_not_on_disk_says_how_to_get_it(tmp_path: Path) -> None:
    for name, known in PRESETS.items():
        if known.backend != "transformers":
            continue
        with pytest.raises(ModelError, match=r"downloading is switched off.*models fetch") as raised:
            plan_model(ModelConfig(name=name, offline=True, cache_dir=tmp_path), environ={"HOME": str(tmp_path)})
        assert raised.value.exit_code == 78
        assert known.repo in str(raised.value)
    with pytest.raises(ModelError, match="switched off"):
        plan_model(ModelConfig(name="clip-vit-l-14"), environ={"HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"})


def test_a_dinov2_like_folder_with_a_centre_crop(tmp_path: Path, data_dir: Path) -> None:
    """Any other network by `backend: transformers`: a shorter edge of 40 with a crop of 32, bicubic."""
    torch.manual_seed(0)
    config = transformers.Dinov2Config(
        hidden_size=48, num_hidden_layers=2, num_attention_heads=3, image_size=32, patch_size=16, initializer_range=0.3
    )
    folder = tmp_path / "dinov2"
    transformers.AutoModel.from_config(config).save_pretrained(folder)
    transformers.BitImageProcessor(
        size={"shortest_edge": 40},
        crop_size={"height": 32, "width": 32},
        resample=3,
        image_mean=list(IMAGENET_MEAN),
        image_std=[0.229, 0.224, 0.225],
        do_convert_rgb=True,
    ).save_pretrained(folder)
    embedder = load(folder)
    assert (embedder.spec.side_px, embedder.spec.resize_px, embedder.spec.fit) == (32, 40, "crop")
    pictures = [picture.resize((300, 240)) for picture in real_pictures(data_dir, 8)]
    batch = np.stack([reference_input(embedder.spec, picture) for picture in pictures])
    rows = embedder.embed(batch)["tiny.pooler"]
    assert float((rows * reference(folder, pictures)).sum(axis=1).min()) >= 0.999
