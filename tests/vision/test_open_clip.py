"""open_clip checkpoints through the public path: parity with open_clip itself, and each of its traps closed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from torch import nn

from deepdupe_daemon.config import ModelConfig
from deepdupe_daemon.errors import ConfigError, DeepDupeError, ModelError
from deepdupe_daemon.model import F32Array, U8Array
from deepdupe_daemon.vision import Embedder, VisionNotice, load_embedder, plan_model, preset
from deepdupe_daemon.vision.open_clip_tags import CLIP_MEAN, CLIP_STD, TAGS, OpenClipTag
from deepdupe_daemon.vision.plans.open_clip import architecture_config
from tests.vision.embedder_contract import check_contract, inputs
from tests.vision.networks import (
    hub_snapshot,
    save_openai_archive,
    save_safetensors,
    tiny_clip,
    tiny_clip_config,
)
from tests.vision.pictures import photo_files, seen_inputs, upright

HALF = (0.5, 0.5, 0.5)


def load(notices: list[VisionNotice] | None = None, **options: object) -> Embedder:
    settings: dict[str, object] = {"device": "cpu", "precision": "fp32", "offline": True, **options}
    seen = notices if notices is not None else []
    return load_embedder(ModelConfig(**settings), environ={"HOME": "/nowhere"}, threads=1, on_notice=seen.append)


def tiny(
    weights: Path, *, quick_gelu: bool = False, notices: list[VisionNotice] | None = None, **options: object
) -> Embedder:
    architecture = tiny_clip_config(weights.parent, quick_gelu=quick_gelu)
    return load(
        notices, name="tiny", backend="open_clip", architecture=str(architecture), weights=str(weights), **options
    )


def reference(
    model: nn.Module, batch: U8Array, mean: tuple[float, ...] = CLIP_MEAN, std: tuple[float, ...] = CLIP_STD
) -> F32Array:
    """open_clip's own normalisation and `encode_image`."""
    transform = open_clip.image_transform(batch.shape[1], is_train=False, mean=mean, std=std)
    with torch.inference_mode():
        stacked = torch.stack([transform(Image.fromarray(picture)) for picture in batch])
        return model.encode_image(stacked, normalize=True).numpy()


def worst_cosine(a: F32Array, b: F32Array) -> float:
    return float((a * b).sum(axis=1).min())


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    return save_safetensors(tiny_clip().state_dict(), tmp_path / "own.safetensors")


@pytest.mark.parametrize("form", ["safetensors", "pt", "training", "parallel", "wrapped", "zipless"])
def test_each_form_of_a_checkpoint_equals_encode_image(tmp_path: Path, form: str) -> None:
    model = tiny_clip()
    state = model.state_dict()
    file = tmp_path / f"epoch_3.{'safetensors' if form == 'safetensors' else 'pt'}"
    if form == "safetensors":
        save_safetensors(state, file)
    elif form == "pt":
        torch.save(state, file)
    elif form == "training":
        torch.save({"epoch": 3, "name": "run", "state_dict": state, "optimizer": {"lr": 0.1}}, file)
    elif form == "parallel":
        torch.save({"state_dict": {f"module.{key}": value for key, value in state.items()}}, file)
    elif form == "wrapped":
        torch.save({"model": {f"_orig_mod.module.{key}": value for key, value in state.items()}}, file)
    else:
        torch.save(state, file, _use_new_zipfile_serialization=False)
    embedder = tiny(file)
    batch = inputs(embedder, 7)
    assert worst_cosine(embedder.embed(batch)["tiny.final"], reference(model, batch)) > 0.999999


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_half_precision_checkpoint_runs_in_fp32_where_asked(tmp_path: Path, dtype: torch.dtype) -> None:
    model = tiny_clip()
    embedder = tiny(
        save_safetensors(
            {key: value.to(dtype) for key, value in model.state_dict().items()}, tmp_path / "h.safetensors"
        )
    )
    assert embedder.describe() == "tiny fp32 on cpu"
    batch = inputs(embedder, 4)
    assert worst_cosine(embedder.embed(batch)["tiny.final"], reference(model, batch)) > 0.999


def test_both_embeddings_come_from_one_forward_and_equal_the_single_runs(weights: Path) -> None:
    both = tiny(weights, embedding="both")
    batch = inputs(both, 5)
    forwards = 0

    def count(*_: object) -> None:
        nonlocal forwards
        forwards += 1

    handle = torch.nn.modules.module.register_module_forward_hook(
        lambda module, *_: count() if type(module).__name__ == "VisionTransformer" else None
    )
    rows = both.embed(batch)
    handle.remove()
    assert forwards == 1
    assert {space.name: space.dim for space in both.spaces} == {"tiny.final": 24, "tiny.hidden": 64}
    for embedding in ("final", "hidden"):
        single = tiny(weights, embedding=embedding)
        assert [space.embedding for space in single.spaces] == [embedding]
        name = f"tiny.{embedding}"
        assert np.array_equal(single.embed(batch)[name], rows[name])


def test_hidden_is_the_class_token_after_the_last_norm(weights: Path) -> None:
    """Equal to what open_clip's forward_intermediates gives for the last block, normalised."""
    embedder = tiny(weights, embedding="hidden")
    batch = inputs(embedder, 3)
    model = tiny_clip()
    pictures = (torch.from_numpy(batch).permute(0, 3, 1, 2).float() / 255 - torch.tensor(CLIP_MEAN).view(3, 1, 1)) / (
        torch.tensor(CLIP_STD).view(3, 1, 1)
    )
    with torch.inference_mode():
        found = model.visual.forward_intermediates(
            pictures, indices=1, normalize_intermediates=True, output_extra_tokens=True
        )["image_intermediates_prefix"][-1][:, 0]
        wanted = torch.nn.functional.normalize(found).numpy()
    assert worst_cosine(embedder.embed(batch)["tiny.hidden"], wanted) > 0.999999


def test_it_keeps_the_contract_in_fp32_and_bf16(weights: Path) -> None:
    check_contract(tiny(weights, embedding="both"))
    check_contract(tiny(weights, embedding="both", precision="bf16"), tolerance=0.02)


def test_quick_gelu_comes_from_the_architecture(tmp_path: Path) -> None:
    """The trap: the same weights under the other activation run without a word, and give other embeddings."""
    quick = tiny_clip(quick_gelu=True)
    file = save_safetensors(quick.state_dict(), tmp_path / "own.safetensors")
    right, wrong = tiny(file, quick_gelu=True), tiny(file)
    batch = inputs(right, 4)
    assert worst_cosine(right.embed(batch)["tiny.final"], reference(quick, batch)) > 0.999999
    assert worst_cosine(wrong.embed(batch)["tiny.final"], reference(quick, batch)) < 0.99995
    assert right.spaces[0].fingerprint() != wrong.spaces[0].fingerprint(), "the activation is part of the identity"


def test_what_openai_ships_is_recognised_by_its_form(tmp_path: Path) -> None:
    """A TorchScript archive, and a state dict with OpenAI's own entries: QuickGELU without being told."""
    quick = tiny_clip(quick_gelu=True)
    archive = save_openai_archive(quick, tmp_path / "ViT.pt")
    state = tmp_path / "state.pt"
    torch.save({**quick.state_dict(), "input_resolution": torch.tensor(48)}, state)
    for file in (archive, state):
        notices: list[VisionNotice] = []
        embedder = tiny(file, notices=notices)
        batch = inputs(embedder, 4)
        assert worst_cosine(embedder.embed(batch)["tiny.final"], reference(quick, batch)) > 0.999999
        assert any("QuickGELU is on" in notice.text for notice in notices), notices


@pytest.mark.parametrize("kind", ["folder", "beside"])
def test_activation_and_constants_come_from_the_file_beside_the_weights(tmp_path: Path, kind: str) -> None:
    """The trap: weights by path lose their mean and std, 0.5 for laion2b_s32b_b82k, and run with CLIP's."""
    quick = tiny_clip(quick_gelu=True)
    name = "open_clip_model.safetensors" if kind == "folder" else "mine.safetensors"
    file = save_safetensors(quick.state_dict(), tmp_path / name)
    config = json.loads(tiny_clip_config(tmp_path, quick_gelu=True).read_text())
    sidecar = {"model_cfg": config, "preprocess_cfg": {"mean": HALF, "std": HALF, "interpolation": "bicubic"}}
    (tmp_path / ("open_clip_config.json" if kind == "folder" else "mine.json")).write_text(json.dumps(sidecar))
    embedder = load(
        name="tiny", backend="open_clip", weights=str(tmp_path if kind == "folder" else file)
    )  # no architecture: the file says it
    batch = inputs(embedder, 4)
    rows = embedder.embed(batch)["tiny.final"]
    assert worst_cosine(rows, reference(quick, batch, HALF, HALF)) > 0.999999
    assert worst_cosine(rows, reference(quick, batch)) < 0.99995
    assert '"mean":[0.5,0.5,0.5]' in embedder.spaces[0].preprocessing


def test_constants_from_the_configuration_go_before_everything(weights: Path) -> None:
    embedder = tiny(weights, mean=HALF, std=(0.25, 0.25, 0.25))
    batch = inputs(embedder, 4)
    wanted = reference(tiny_clip(), batch, HALF, (0.25, 0.25, 0.25))
    assert worst_cosine(embedder.embed(batch)["tiny.final"], wanted) > 0.999999


def test_an_assumption_is_put_on_record(weights: Path) -> None:
    notices: list[VisionNotice] = []
    tiny(weights, notices=notices)
    assumed = [notice.text for notice in notices if notice.kind == "model-assumption"]
    assert len(assumed) == 1
    assert "taking GELU" in assumed[0]
    assert "quickgelu" in assumed[0]


def test_input_px_interpolates_the_positions_as_open_clip_does(weights: Path) -> None:
    embedder = tiny(weights, input_px=64)
    batch = inputs(embedder, 3)
    model = tiny_clip()
    state = model.state_dict()
    larger = open_clip.CLIP(
        24,
        open_clip.CLIPVisionCfg(image_size=64, layers=2, width=64, head_width=16, patch_size=16),
        open_clip.CLIPTextCfg(context_length=8, vocab_size=50, width=32, heads=2, layers=1),
    ).eval()
    open_clip.model.resize_pos_embed(state, SimpleNamespace(visual=larger.visual))
    larger.load_state_dict(state)
    assert worst_cosine(embedder.embed(batch)["tiny.final"], reference(larger, batch)) > 0.999999
    with pytest.raises(ConfigError, match="no multiple of the patch size 16"):
        tiny(weights, input_px=50)


def test_weights_are_never_random(tmp_path: Path) -> None:
    """The trap: open_clip with `pretrained=None` goes on with random weights."""
    with pytest.raises(ConfigError, match="needs weights"):
        load(name="own", backend="open_clip", architecture="ViT-B-16")
    with pytest.raises(ModelError, match=r"neither a file nor a weights tag of ViT-B-32.*openai"):
        load(name="clip-vit-b-32", weights="opnai")
    with pytest.raises(ModelError, match="no such file"):
        load(name="clip-vit-b-32", weights=str(tmp_path / "gone.pt"))


def test_a_wrong_architecture_is_named(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"another architecture than ViT-B-32.*missing"):
        load(name="clip-vit-b-32", weights=str(weights))
    state = {f"visual.{key}": value for key, value in nn.Linear(3, 3).state_dict().items()}
    other = save_safetensors(state, tmp_path / "linear.safetensors")
    with pytest.raises(ModelError, match="another architecture"):
        tiny(other)
    text_only = save_safetensors({"transformer.x": torch.zeros(2)}, tmp_path / "text.safetensors")
    with pytest.raises(ModelError, match="holds no visual tower"):
        tiny(text_only)


def test_a_torn_file_is_named(weights: Path, tmp_path: Path) -> None:
    whole = weights.read_bytes()
    pt = tmp_path / "own.pt"
    torch.save(tiny_clip().state_dict(), pt)
    for file, cut in ((weights, len(whole) - 100), (weights, 5), (pt, pt.stat().st_size // 2)):
        torn = tmp_path / f"torn{cut}{file.suffix}"
        torn.write_bytes(file.read_bytes()[:cut])
        with pytest.raises(ModelError) as raised:
            tiny(torn)
        assert raised.value.exit_code == 78
        assert torn.name in str(raised.value)
        assert "again" in str(raised.value)


def test_a_pickle_that_runs_code_is_refused(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "pwned",))

    file = tmp_path / "evil.pt"
    torch.save({"visual.x": Evil()}, file)
    with pytest.raises(ModelError, match="may run code, so it is not read"):
        tiny(file)
    assert not (tmp_path / "pwned").exists()


def test_hidden_needs_a_class_token(tmp_path: Path) -> None:
    """Verified on the architecture: one that pools otherwise offers final only."""
    config = json.loads(tiny_clip_config(tmp_path).read_text())
    config["vision_cfg"]["pool_type"] = "avg"
    (tmp_path / "avg.json").write_text(json.dumps(config))
    file = save_safetensors(tiny_clip().state_dict(), tmp_path / "own.safetensors")
    with pytest.raises(ConfigError, match="no class token"):
        load(
            name="own",
            backend="open_clip",
            architecture=str(tmp_path / "avg.json"),
            weights=str(file),
            embedding="hidden",
        )


def other_architecture(folder: Path, vision: dict[str, object]) -> tuple[nn.Module, Embedder]:
    """A network of another kind through open_clip, and the same from its file."""
    config = {"embed_dim": 24, "vision_cfg": vision, "text_cfg": {"context_length": 8, "vocab_size": 50, "layers": 1}}
    (folder / "other.json").write_text(json.dumps(config))
    torch.manual_seed(0)
    text = open_clip.CLIPTextCfg(context_length=8, vocab_size=50, width=64, heads=1, layers=1)
    model = open_clip.CLIP(24, open_clip.CLIPVisionCfg(**vision), text).eval()
    file = save_safetensors(model.state_dict(), folder / "weights.safetensors")
    return model, load(name="own", backend="open_clip", architecture=str(folder / "other.json"), weights=str(file))


@pytest.mark.parametrize(
    "vision",
    [
        {"image_size": 64, "layers": [1, 1, 1, 1], "width": 32, "patch_size": None},
        {"timm_model_name": "eva02_tiny_patch14_224", "timm_pool": "token", "timm_proj": "linear", "image_size": 224},
    ],
    ids=["resnet", "timm"],
)
def test_other_towers_give_their_final_embedding(tmp_path: Path, vision: dict[str, object]) -> None:
    """A ResNet, and a timm tower with rotary tables that no checkpoint holds and a meta device would lose."""
    model, embedder = other_architecture(tmp_path, vision)
    batch = inputs(embedder, 3)
    assert worst_cosine(embedder.embed(batch)["own.final"], reference(model, batch)) > 0.999999
    own = {"architecture": str(tmp_path / "other.json"), "weights": str(tmp_path / "weights.safetensors")}
    with pytest.raises(ConfigError, match="no class token"):
        load(name="own", backend="open_clip", embedding="hidden", **own)
    if "timm_model_name" in vision:
        smaller = load(name="own", backend="open_clip", input_px=112, **own)
        model.visual.set_input_size(112)
        batch = inputs(smaller, 3)
        assert worst_cosine(smaller.embed(batch)["own.final"], reference(model, batch)) > 0.999999


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"architecture": "ViT-B-33", "weights": "openai"}, r"no architecture 'ViT-B-33'.*ViT-B-32"),
        ({"architecture": "ViT-B-16-quickgelu", "weights": "datacomp_xl_s13b_b90k"}, "trained with GELU"),
        ({"architecture": "ViT-B-16", "weights": "nonsense"}, r"neither a file nor a weights tag.*datacomp_xl"),
        ({"weights": "openai"}, "needs an architecture"),
        ({"weights": "FOLDER/own.safetensors"}, "needs an architecture"),
        ({"architecture": "FOLDER/gone.json", "weights": "FOLDER/own.safetensors"}, "no such file"),
        ({"architecture": "ViT-B-32", "weights": "FOLDER/empty"}, "holds no checkpoint"),
        ({"architecture": "ViT-B-32", "weights": "FOLDER/two"}, "holds 2 checkpoints"),
        ({"architecture": "ViT-B-32", "weights": "FOLDER/zero.pt"}, "is empty"),
        ({"architecture": "ViT-B-32", "weights": "FOLDER/bad.safetensors"}, "is not JSON"),
        ({"architecture": "ViT-B-32", "weights": "FOLDER/list.safetensors"}, "is not a JSON object"),
        ({"architecture": "ViT-B-32", "weights": "FOLDER/bare.safetensors"}, "no model_cfg"),
        ({"architecture": "ViT-B-32", "weights": "FOLDER/tiny.safetensors"}, r"another architecture: layers is 2"),
        ({"architecture": "ViT-B-32", "weights": "FOLDER/pad.safetensors"}, "resize_mode 'longest' is not supported"),
        ({"architecture": "ViT-B-32-quickgelu", "weights": "FOLDER/gelu.safetensors"}, "says GELU, not QuickGELU"),
        (
            {"architecture": "ViT-L-14-quickgelu", "weights": "FOLDER/laion2b_s32b_b82k.safetensors"},
            "its name says laion2b_s32b_b82k, and those weights were trained with GELU",
        ),
    ],
)
def test_each_contradiction_is_named(weights: Path, options: dict[str, str], words: str) -> None:
    folder = weights.parent
    b_32 = {"vision_cfg": {"layers": 12, "width": 768, "patch_size": 32, "image_size": 224}, "embed_dim": 512}
    sidecars = {
        "bad": "{",
        "list": "[]",
        "bare": "{}",
        "tiny": json.dumps(
            {"model_cfg": {"embed_dim": 24, "vision_cfg": {"layers": 2, "width": 64, "patch_size": 16}}}
        ),
        "pad": json.dumps({"model_cfg": b_32, "preprocess_cfg": {"resize_mode": "longest"}}),
        "gelu": json.dumps({"model_cfg": b_32}),
    }
    for name, text in sidecars.items():
        (folder / f"{name}.json").write_text(text)
        (folder / f"{name}.safetensors").write_bytes(weights.read_bytes())
    (folder / "laion2b_s32b_b82k.safetensors").write_bytes(weights.read_bytes())
    (folder / "zero.pt").touch()
    for name, count in (("empty", 0), ("two", 2)):
        (folder / name).mkdir()
        for at in range(count):
            (folder / name / f"{at}.pt").write_bytes(b"x")
    settings = {key: value.replace("FOLDER", str(folder)) for key, value in options.items()}
    with pytest.raises(DeepDupeError, match=words) as raised:
        load(name="own", backend="open_clip", **settings)
    assert raised.value.exit_code == 78


def test_a_tag_of_another_architecture_comes_from_open_clips_registry(tmp_path: Path) -> None:
    cache = tmp_path / "hub"
    held = hub_snapshot(cache, "laion/CLIP-ViT-B-16-DataComp.XL-s13B-b90K") / "open_clip_model.safetensors"
    save_safetensors({"visual.x": torch.zeros(3)}, held)
    own = ModelConfig(
        name="own", backend="open_clip", architecture="ViT-B-16", weights="datacomp_xl_s13b_b90k", cache_dir=cache
    )
    plan = plan_model(own, environ={"HOME": "/nowhere"})
    assert plan.files == (held,)
    assert plan.quick_gelu is False
    assert plan.weights_label == "datacomp_xl_s13b_b90k"


def test_a_published_digest_is_checked_and_recognised(
    tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file under a publisher's own name must have its digest; one under any name is known by it."""
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    known = OpenClipTag("special", "org/x", "MIT", quick_gelu=True, mean=HALF, std=HALF, file="s.pt", sha256=digest[:8])
    base = architecture_config(str(tiny_clip_config(tmp_path)))[0]
    monkeypatch.setitem(TAGS, base, {"special": known})
    quick = tiny_clip(quick_gelu=True)
    quick.load_state_dict(tiny_clip().state_dict())
    notices: list[VisionNotice] = []
    embedder = tiny(weights, notices=notices)
    batch = inputs(embedder, 3)
    assert worst_cosine(embedder.embed(batch)["tiny.final"], reference(quick, batch, HALF, HALF)) > 0.999999
    assert "own.safetensors is special: QuickGELU is on" in notices[0].text
    home = tmp_path / "home"
    (home / ".cache" / "clip").mkdir(parents=True)
    (home / ".cache" / "clip" / "ViT-B-32.pt").write_bytes(weights.read_bytes())
    with pytest.raises(ModelError, match="its publisher states 40d36571"):
        load_embedder(ModelConfig(name="clip-vit-b-32", offline=True), environ={"HOME": str(home)})


def test_changed_weights_under_one_name_are_another_space(weights: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    same = save_safetensors(tiny_clip().state_dict(), tmp_path / "elsewhere" / "renamed.safetensors")
    other = save_safetensors(tiny_clip(seed=1).state_dict(), tmp_path / "other.safetensors")
    first, renamed, changed = tiny(weights), tiny(same), tiny(other)
    assert first.spaces[0] == renamed.spaces[0], "a file may be moved and renamed"
    assert changed.spaces[0].name == first.spaces[0].name
    assert changed.spaces[0].fingerprint() != first.spaces[0].fingerprint()
    assert tiny(weights, input_px=64).spaces[0].fingerprint() != first.spaces[0].fingerprint()


def test_fp16_on_a_processor_is_refused(weights: Path) -> None:
    with pytest.raises(ConfigError, match="4 times slower"):
        tiny(weights, precision="fp16")


def test_the_table_of_tags_is_open_clips_own() -> None:
    for architecture, tags in TAGS.items():
        for name, tag in tags.items():
            theirs = open_clip.get_pretrained_cfg(architecture, name)
            assert theirs["hf_hub"].rstrip("/") == tag.repo
            assert bool(theirs.get("quick_gelu", False)) == tag.quick_gelu
            assert (theirs["mean"], theirs["std"]) == (tag.mean, tag.std)
            assert (theirs["resize_mode"], theirs["interpolation"]) == ("shortest", "bicubic")
            if tag.file:
                assert theirs["url"].endswith(f"/{tag.file}")
                assert tag.sha256
                assert tag.sha256 in theirs["url"]


@pytest.fixture(scope="module")
def vit_b_32(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    """ViT-B-32 at its true size with random weights, where a Hugging Face cache holds the `openai` weights."""
    torch.manual_seed(7)
    model = open_clip.CLIP(
        512,
        open_clip.CLIPVisionCfg(layers=12, width=768, patch_size=32),
        open_clip.CLIPTextCfg(layers=1),
        quick_gelu=True,
    )
    cache = tmp_path_factory.mktemp("hub")
    file = hub_snapshot(cache, preset_repo()) / "open_clip_model.safetensors"
    save_safetensors(model.state_dict(), file)
    yield cache, file
    file.unlink()


def preset_repo() -> str:
    return TAGS["ViT-B-32"]["openai"].repo


def test_vit_b_32_from_the_cache_equals_open_clip_on_real_pictures(vit_b_32: tuple[Path, Path], data_dir: Path) -> None:
    """The preset, its default tag and true size, files through a worker; cosine to transform + encode_image."""
    cache, file = vit_b_32
    embedder = load(name="clip-vit-b-32", embedding="both", cache_dir=cache)
    dims = preset("clip-vit-b-32").dims
    assert {space.embedding: space.dim for space in embedder.spaces} == dims == {"final": 512, "hidden": 768}
    assert [space.weights for space in embedder.spaces] == ["openai", "openai"]
    model = open_clip.CLIP(
        512,
        open_clip.CLIPVisionCfg(layers=12, width=768, patch_size=32),
        open_clip.CLIPTextCfg(layers=1),
        quick_gelu=True,
    ).eval()
    model.load_state_dict(open_clip.factory.load_state_dict(str(file)))
    photos = photo_files(data_dir, 8)
    transform = open_clip.image_transform(224, is_train=False, mean=CLIP_MEAN, std=CLIP_STD)
    with torch.inference_mode():
        stacked = torch.stack([transform(upright(path)) for path in photos])
        wanted = model.encode_image(stacked, normalize=True).numpy()
    batch = np.stack(seen_inputs(photos, embedder.spec))
    rows = np.concatenate([embedder.embed(batch[at : at + 3])["clip-vit-b-32.final"] for at in range(0, 8, 3)])
    assert worst_cosine(rows, wanted) >= 0.9999
    reduced = load(name="clip-vit-b-32", embedding="both", cache_dir=cache, precision="bf16")
    assert worst_cosine(reduced.embed(batch)["clip-vit-b-32.final"], wanted) >= 0.999
    assert reduced.spaces == embedder.spaces, "precision is no part of the identity"


def test_a_preset_refuses_another_preset_s_weights(vit_b_32: tuple[Path, Path]) -> None:
    _, file = vit_b_32
    with pytest.raises(DeepDupeError, match="another architecture than ViT-L-14"):
        load(name="clip-vit-l-14", weights=str(file))
