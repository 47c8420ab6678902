"""open_clip checkpoints: the visual tower alone, both embeddings from one forward."""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import open_clip
import torch
from open_clip.model import CLIPTextCfg, CLIPVisionCfg, resize_pos_embed
from open_clip.transformer import VisionTransformer
from torch import Tensor, nn

from deepdupe_daemon.errors import ConfigError, ModelError
from deepdupe_daemon.vision.backends.loaded import LoadedModel, Tower, parameter_count, placed
from deepdupe_daemon.vision.open_clip_tags import OPENAI, TAGS
from deepdupe_daemon.vision.plans.plan import ModelPlan
from deepdupe_daemon.vision.preprocessing import Preprocessing
from deepdupe_daemon.vision.weights import is_torchscript, weights_digest

__all__ = ["ClipTower", "load"]

_PREFIX = "visual."
#: entries that OpenAI's own state dicts carry beside the weights
_OPENAI_KEYS = frozenset({"input_resolution", "context_length", "vocab_size"})
#: where training programs keep the state dict among other things, open_clip's own first
_HOLDERS = ("state_dict", "model_state_dict", "model")
#: what torch's DistributedDataParallel and torch.compile put before each name
_WRAPPERS = ("module.", "_orig_mod.")


class ClipTower(nn.Module):
    """`final` is the projected embedding, `hidden` the class token after the last norm, before the projection.

    The projection is taken out of open_clip's tower, whose own forward then ends at the class token: one pass for both.
    """

    def __init__(self, visual: nn.Module, embeddings: tuple[str, ...], *, where: str) -> None:
        super().__init__()
        self.visual = visual
        self.embeddings = embeddings
        self.projection: nn.Parameter | None = None
        if isinstance(visual, VisionTransformer):
            visual.output_tokens = False
            self.projection = visual.proj
            visual.proj = None
            has_class_token = visual.pool_type == "tok" and visual.attn_pool is None
        else:
            has_class_token = False
        if "hidden" in embeddings and not has_class_token:
            raise ConfigError("this architecture has no class token, so it offers final only", where=where)

    def forward(self, pictures: Tensor) -> dict[str, Tensor]:
        """(n, 3, side, side) -> embedding type -> (n, dim)."""
        hidden = self.visual(pictures)
        final = hidden if self.projection is None else hidden @ self.projection
        rows = {"final": final, "hidden": hidden}
        return {embedding: rows[embedding] for embedding in self.embeddings}


def load(plan: ModelPlan) -> LoadedModel:
    """Build the tower on the meta device and give it the file's tensors. Raises ModelError."""
    (file,) = plan.files
    digest = weights_digest(plan.files)
    if plan.expected_sha256 and not digest.startswith(plan.expected_sha256):
        raise ModelError(
            f"has SHA-256 {digest}, its publisher states {plan.expected_sha256}",
            where=str(file),
            hint="it was cut off or changed: fetch it again",
        )
    state, openai_form = _visual_state(file)
    plan = _refined(plan, digest, openai_form=openai_form)
    config = plan.open_clip_config or {}
    visual = _tower(config, plan, on=torch.device("meta"))
    _fit_positions(state, visual, plan)
    _assign(visual, state, plan, file)
    if any(tensor.is_meta for tensor in (*visual.parameters(), *visual.buffers())):
        # a buffer that no checkpoint holds (rotary tables of timm towers): built with its values, then loaded again
        visual = _tower(config, plan, on=torch.device("cpu"))
        _assign(visual, state, plan, file)
    if "timm_model_name" in config["vision_cfg"] and config["vision_cfg"].get("image_size", 224) != plan.spec.side_px:
        set_input_size: Callable[[int], None] = visual.set_input_size  # type: ignore[assignment] # timm: no Tensor
        set_input_size(plan.spec.side_px)  # as open_clip does for `force_image_size`, after the weights
    tower = ClipTower(visual, plan.embeddings, where=plan.name).eval()

    def place(device: torch.device, dtype: torch.dtype) -> Tower:
        return placed(tower, device, dtype, plan.files)

    return LoadedModel(plan, digest, parameter_count(tower), place)


def _tower(config: Mapping[str, Any], plan: ModelPlan, *, on: torch.device) -> nn.Module:
    vision = dict(config["vision_cfg"], timm_model_pretrained=False)
    if "timm_model_name" not in vision:
        vision["image_size"] = plan.spec.side_px
    text = CLIPTextCfg(context_length=1, vocab_size=1, width=64, heads=1, layers=1)  # dropped at once
    with on:
        model = open_clip.CLIP(config["embed_dim"], CLIPVisionCfg(**vision), text, quick_gelu=bool(plan.quick_gelu))
    visual: nn.Module = model.visual
    return visual


def _visual_state(file: Path) -> tuple[dict[str, Tensor], bool]:
    """(tensors of the visual tower, without prefix, memory-mapped where the format allows; whether OpenAI wrote it)."""
    if file.suffix == ".safetensors":
        from safetensors import safe_open

        with safe_open(str(file), framework="pt") as source:
            keys = list(source.keys())
            state = {key: source.get_tensor(key) for key in keys if _PREFIX in key}
        return _stripped(state), bool(_OPENAI_KEYS & set(keys))
    if is_torchscript(file):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # deprecated, and the only reader of what OpenAI ships
            module = torch.jit.load(str(file), map_location="cpu")  # type: ignore[no-untyped-call] # torch has no types for it
        return _stripped(dict(module.state_dict())), True
    try:
        raw = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    except RuntimeError as problem:
        if "mmap can only be used" not in str(problem):
            raise
        raw = torch.load(file, map_location="cpu", weights_only=True)  # the format before torch 1.6
    if isinstance(raw, Mapping):
        raw = next((raw[key] for key in _HOLDERS if isinstance(raw.get(key), Mapping)), raw)
    if not isinstance(raw, Mapping):
        raise ModelError(f"holds a {type(raw).__name__}, not a state dict", where=str(file))
    tensors = {str(key): value for key, value in raw.items() if isinstance(value, Tensor)}
    return _stripped(tensors), bool(_OPENAI_KEYS & set(raw))


def _stripped(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Keys of the visual tower without `visual.`, and without what wrappers put before it."""
    plain = {_unwrapped(key): value for key, value in state.items()}
    return {key.removeprefix(_PREFIX): value for key, value in plain.items() if key.startswith(_PREFIX)}


def _unwrapped(key: str) -> str:
    while key.startswith(_WRAPPERS):
        key = key.split(".", 1)[1]
    return key


def _refined(plan: ModelPlan, digest: str, *, openai_form: bool) -> ModelPlan:
    """The plan with activation and constants decided: by the file's form or digest, else by the documented default."""
    notices = list(plan.notices)
    quick, preprocessing = plan.quick_gelu, plan.preprocessing
    name = plan.files[0].name
    known = next(
        (tag for tag in TAGS.get(plan.network, {}).values() if tag.sha256 and digest.startswith(tag.sha256)), None
    )
    if known is None and openai_form:
        known = OPENAI
    if known is not None and quick is None:
        quick = known.quick_gelu
        notices.append(f"{plan.name}: {name} is {known.tag}: QuickGELU is {'on' if quick else 'off'}")
    if known is not None and not plan.constants_known:
        preprocessing = Preprocessing(plan.spec, known.mean, known.std)
    if quick is None or (known is None and not plan.constants_known):
        taken = "GELU and " if quick is None else ""
        remedy = f"architecture ({plan.network}-quickgelu), " if quick is None else ""
        notices.append(
            f"{plan.name}: neither {name} nor a .json beside it says how it was trained: taking {taken}mean "
            f"{preprocessing.mean}; if that is wrong, set {remedy}mean and std"
        )
    network = f"{plan.network}-quickgelu" if quick else plan.network
    return dataclasses.replace(
        plan, quick_gelu=bool(quick), preprocessing=preprocessing, network=network, notices=tuple(notices)
    )


def _fit_positions(state: dict[str, Tensor], visual: nn.Module, plan: ModelPlan) -> None:
    """Interpolate the position embeddings where the configuration asks for another input than the architecture's.

    Raises ModelError where nobody asked: then the weights are those of the architecture at another input size.
    """
    if "positional_embedding" in state and isinstance(visual, VisionTransformer):
        own_px = (plan.open_clip_config or {})["vision_cfg"].get("image_size", 224)
        rows = len(state["positional_embedding"])
        same_patches = "conv1.weight" in state and state["conv1.weight"].shape == visual.conv1.weight.shape
        if plan.spec.side_px == own_px and same_patches and rows != len(visual.positional_embedding):
            trained_px = math.isqrt(rows - 1) * visual.patch_size[0]
            raise ModelError(
                f"was trained at {trained_px} px, {plan.network} is a network of {own_px} px",
                where=str(plan.files[0]),
                hint=f"set input_px: {trained_px}, or name the architecture that these weights belong to",
            )
        prefixed = {f"{_PREFIX}positional_embedding": state["positional_embedding"]}
        resize_pos_embed(prefixed, SimpleNamespace(visual=visual))
        state["positional_embedding"] = prefixed[f"{_PREFIX}positional_embedding"]


def _assign(visual: nn.Module, state: Mapping[str, Tensor], plan: ModelPlan, file: Path) -> None:
    where, hint = str(file), "name the preset or architecture that these weights belong to"
    if not state:
        raise ModelError(
            "holds no visual tower",
            where=where,
            hint="expected an open_clip checkpoint, with names that begin with `visual.`; transformers writes others",
        )
    wanted = {name: tuple(tensor.shape) for name, tensor in visual.state_dict().items()}
    missing, extra = sorted(wanted.keys() - state.keys()), sorted(state.keys() - wanted.keys())
    if missing or extra:
        listed = f"without {missing[0]}" if missing else f"with {extra[0]}"
        raise ModelError(
            f"is another architecture than {plan.network}: {listed} ({len(missing)} missing, {len(extra)} too many)",
            where=where,
            hint=hint,
        )
    for name, shape in wanted.items():
        if tuple(state[name].shape) != shape:
            raise ModelError(
                f"is another architecture than {plan.network}: {name} is {tuple(state[name].shape)}, not {shape}",
                where=where,
                hint=hint,
            )
    visual.load_state_dict(state, strict=True, assign=True)
