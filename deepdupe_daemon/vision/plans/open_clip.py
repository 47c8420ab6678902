"""Plans for open_clip: which architecture and activation, whose constants, which checkpoint file."""

from __future__ import annotations

import difflib
import hashlib
import importlib.util
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from deepdupe_daemon.errors import ConfigError, ModelError
from deepdupe_daemon.model import InputSpec
from deepdupe_daemon.vision.open_clip_tags import CLIP_MEAN, CLIP_STD, OPENAI, TAGS, OpenClipTag, tag_named_in
from deepdupe_daemon.vision.preprocessing import Preprocessing, from_open_clip
from deepdupe_daemon.vision.weights import check_whole, is_torchscript

__all__ = [
    "CHECKPOINT_NAMES",
    "SIDECAR_NAME",
    "SUFFIXES",
    "OpenClipChoice",
    "architecture_config",
    "choose_checkpoint",
    "find_tag",
]

#: open_clip.constants.HF_CONFIG_NAME, HF_SAFE_WEIGHTS_NAME and HF_WEIGHTS_NAME
SIDECAR_NAME = "open_clip_config.json"
CHECKPOINT_NAMES = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
SUFFIXES = (".safetensors", ".pt", ".pth", ".bin")
_QUICK = "-quickgelu"

Triple = tuple[float, float, float]
#: name, open_clip's model config, True where QuickGELU is stated
_Stated = tuple[str, dict[str, Any], bool | None]


@dataclass(frozen=True, slots=True)
class OpenClipChoice:
    """A checkpoint and what is known of it."""

    base: str  # architecture without `-quickgelu`
    config: Mapping[str, Any]  # open_clip's model config
    file: Path
    preprocessing: Preprocessing
    label: str = ""
    quick_gelu: bool | None = None
    constants_known: bool = True
    expected_sha256: str | None = None
    notices: tuple[str, ...] = ()


def architecture_config(architecture: str) -> _Stated:
    """(name without -quickgelu, open_clip's config, True where QuickGELU is stated), read without importing open_clip.

    `architecture` is a name that open_clip knows, or the path of a model config file of one's own. Raises ModelError.
    """
    if architecture.endswith(".json"):
        path = Path(architecture).expanduser()
        config = _json_object(path)
        return _own_name(config), config, bool(config.get("quick_gelu")) or None
    spec = importlib.util.find_spec("open_clip")
    if spec is None or spec.origin is None:
        raise ModelError("open_clip is not installed", hint="pip install open-clip-torch")
    folder = Path(spec.origin).parent / "model_configs"
    name = architecture.replace("/", "-")
    base = name.removesuffix(_QUICK)
    path = folder / f"{base}.json"
    if not path.is_file():
        known = [entry.stem for entry in folder.glob("*.json")]
        near = difflib.get_close_matches(base, known, n=3)
        raise ModelError(
            f"open_clip knows no architecture {architecture!r}", hint=f"near: {', '.join(near)}" if near else None
        )
    return base, _json_object(path), True if name.endswith(_QUICK) else None


def find_tag(base: str, tag: str) -> OpenClipTag:
    """The weights of that name for the architecture. Raises ModelError naming those there are."""
    tags = TAGS.get(base) or _registered(base)
    found = tags.get(tag.lower().replace("-", "_"))
    if found is None:
        raise ModelError(
            f"{tag!r} is neither a file nor a weights tag of {base}",
            hint=f"tags: {', '.join(tags)}" if tags else "name a checkpoint file",
        )
    return found


def choose_checkpoint(
    *,
    name: str,
    architecture: str | None,
    weights: str,
    input_px: int | None,
    constants: tuple[Triple, Triple] | None,
    locate: Callable[[OpenClipTag], Path],
) -> OpenClipChoice:
    """Resolve `weights` (a tag, a checkpoint file, or a folder that holds one) for `architecture`.

    `architecture` may be None where a file beside the weights states it. `constants` are mean and std where the
    configuration states them; `locate` finds or fetches a tag's file. Raises ModelError and ConfigError.
    """
    path = Path(weights).expanduser()
    is_path = path.is_dir() or path.is_file() or path.suffix in SUFFIXES or "/" in weights
    stated = architecture_config(architecture) if architecture is not None else None
    if is_path:
        choice = _from_path(name, stated, path)
    elif stated is not None:
        base, config, quick = stated
        choice = _from_tag(base, config, quick, find_tag(base, weights), locate)
    else:
        raise ConfigError("open_clip needs an architecture, such as ViT-B-16", where=name)
    return _with_overrides(choice, input_px, constants, name)


def _from_tag(
    base: str, config: dict[str, Any], quick: bool | None, tag: OpenClipTag, locate: Callable[[OpenClipTag], Path]
) -> OpenClipChoice:
    if quick and not tag.quick_gelu:
        raise ConfigError(
            f"the weights {tag.tag} were trained with GELU, not QuickGELU",
            where=f"{base}{_QUICK}",
            hint=f"set architecture: {base}",
        )
    file = locate(tag)
    check_whole(file)
    return OpenClipChoice(
        base=base,
        config=config,
        file=file,
        preprocessing=Preprocessing(_spec(config, {}, str(file)), tag.mean, tag.std),
        label=tag.tag,
        quick_gelu=tag.quick_gelu,
        expected_sha256=tag.sha256 if file.name == tag.file else None,
    )


def _from_path(name: str, stated: _Stated | None, path: Path) -> OpenClipChoice:
    file = _file_in(path)
    check_whole(file)
    sidecar = _sidecar(file)
    if sidecar is not None:
        return _from_sidecar(stated, file, sidecar)
    if stated is None:
        raise ConfigError("open_clip needs an architecture, such as ViT-B-16", where=name)
    base, config, quick = stated
    tag = tag_named_in(base, _named_as(path, file))
    said = f"its name says {tag.tag}" if tag else ""
    if is_torchscript(file):
        tag = TAGS.get(base, {}).get("openai", OPENAI)
        said = "it is a TorchScript archive, the form in which OpenAI ships CLIP"
    spec = _spec(config, {}, str(file))
    if tag is None:
        plain = Preprocessing(spec, CLIP_MEAN, CLIP_STD)
        notices: tuple[str, ...] = ()
        if quick is None and "quickgelu" in file.name.lower():
            quick, notices = True, (f"{name}: {file.name}: its name says QuickGELU, so it is on",)
        return OpenClipChoice(base, config, file, plain, quick_gelu=quick, constants_known=False, notices=notices)
    if quick and not tag.quick_gelu:
        raise ConfigError(
            f"{said}, and those weights were trained with GELU", where=str(file), hint=f"set architecture: {base}"
        )
    notice = f"{name}: {file.name}: {said}, so QuickGELU is {'on' if tag.quick_gelu else 'off'} and mean is {tag.mean}"
    return OpenClipChoice(
        base,
        config,
        file,
        Preprocessing(spec, tag.mean, tag.std),
        quick_gelu=tag.quick_gelu,
        notices=(notice,),
    )


def _from_sidecar(stated: _Stated | None, file: Path, sidecar: tuple[Path, Mapping[str, Any]]) -> OpenClipChoice:
    where, raw = sidecar
    own = raw.get("model_cfg")
    if not isinstance(own, dict) or not isinstance(own.get("vision_cfg"), dict):
        raise ModelError("has no model_cfg with a vision_cfg", where=str(where))
    gelu = bool(own.get("quick_gelu", False))
    base = _own_name(own)
    if stated is not None:
        base, config, quick = stated
        for key in ("layers", "width", "patch_size"):
            found, wanted = own["vision_cfg"].get(key), config["vision_cfg"].get(key)
            if found != wanted:
                raise ModelError(
                    f"is another architecture: {key} is {found}, {base} has {wanted}",
                    where=str(where),
                    hint="name the preset or architecture that these weights belong to",
                )
        if quick and not gelu:
            raise ConfigError("says GELU, not QuickGELU", where=str(where), hint=f"set architecture: {base}")
    preprocess = raw.get("preprocess_cfg") or {}
    mean = tuple(preprocess.get("mean") or CLIP_MEAN)
    std = tuple(preprocess.get("std") or CLIP_STD)
    return OpenClipChoice(
        base,
        own,
        file,
        Preprocessing(_spec(own, preprocess, str(where)), mean, std),
        quick_gelu=gelu,
        notices=(f"{file.name}: activation, mean and std as {where} says",),
    )


def _with_overrides(
    choice: OpenClipChoice, input_px: int | None, constants: tuple[Triple, Triple] | None, name: str
) -> OpenClipChoice:
    spec, mean, std = choice.preprocessing.spec, choice.preprocessing.mean, choice.preprocessing.std
    known = choice.constants_known
    if input_px is not None:
        patch = choice.config["vision_cfg"].get("patch_size") or 1  # a ResNet has none
        if input_px % patch:
            raise ConfigError(f"input_px {input_px} is no multiple of the patch size {patch}", where=name)
        spec = InputSpec(side_px=input_px, fit=spec.fit, filter=spec.filter)
    if constants is not None:
        (mean, std), known = constants, True
    return replace(choice, preprocessing=Preprocessing(spec, mean, std), constants_known=known)


def _spec(config: Mapping[str, Any], preprocess: Mapping[str, Any], where: str) -> InputSpec:
    side = config["vision_cfg"].get("image_size", 224)
    if not isinstance(side, int):
        raise ModelError(f"an input of {side} is not square", where=where)
    return from_open_clip(preprocess, side, where=where)


def _file_in(path: Path) -> Path:
    if not path.is_dir():
        return path
    for name in CHECKPOINT_NAMES:
        if (path / name).is_file():
            return path / name
    found = sorted(entry for entry in path.iterdir() if entry.suffix in SUFFIXES)
    if len(found) != 1:
        what = "no checkpoint" if not found else f"{len(found)} checkpoints"
        raise ModelError(f"holds {what}", where=str(path), hint="name the file itself")
    return found[0]


def _named_as(path: Path, file: Path) -> str:
    """What the names around a checkpoint say: its folder, itself, and the repository whose snapshot it lies in."""
    snapshots = file.parent.parent  # of a Hugging Face cache: models--ORG--NAME/snapshots/COMMIT/FILE
    repo = snapshots.parent.name if snapshots.name == "snapshots" else ""
    return f"{repo}/{path.parent.name}/{path.name}"


def _sidecar(file: Path) -> tuple[Path, Mapping[str, Any]] | None:
    """`NAME.json` beside `NAME.safetensors`, else the folder's `open_clip_config.json`."""
    for path in (file.with_suffix(".json"), file.parent / SIDECAR_NAME):
        if not path.is_file():
            continue
        return path, _json_object(path)
    return None


def _json_object(path: Path) -> dict[str, Any]:
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError("there is no such file", where=str(path)) from None
    except ValueError as problem:
        raise ModelError(f"is not JSON: {problem}", where=str(path)) from problem
    if not isinstance(raw, dict):
        raise ModelError("is not a JSON object", where=str(path))
    return raw


def _own_name(config: Mapping[str, Any]) -> str:
    """A name for an architecture that open_clip does not know: what weights do not say, such as the number of heads."""
    stated = {key: value for key, value in config.items() if key in ("embed_dim", "vision_cfg")}
    canonical = json.dumps(stated, separators=(",", ":"), sort_keys=True)
    return f"open_clip-{hashlib.sha256(canonical.encode()).hexdigest()[:8]}"


def _registered(base: str) -> dict[str, OpenClipTag]:
    """Tags of an architecture that is not in our table, from open_clip's registry: takes its imports, about 10 s."""
    import open_clip

    tags = {}
    for name in open_clip.list_pretrained_tags_by_model(base):
        raw = open_clip.get_pretrained_cfg(base, name)
        whole_repo = str(raw.get("hf_hub", "")).endswith("/")
        if whole_repo and (raw.get("resize_mode"), raw.get("interpolation")) == ("shortest", "bicubic"):
            tags[name] = OpenClipTag(
                name,
                raw["hf_hub"].rstrip("/"),
                "see its repository",
                quick_gelu=bool(raw.get("quick_gelu", False)),
                mean=tuple(raw["mean"]),
                std=tuple(raw["std"]),
            )
    return tags
