"""Plans for transformers: a Hugging Face folder, what network it says it holds, and the constants beside it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deepdupe_daemon.errors import ConfigError, ModelError
from deepdupe_daemon.model import InputSpec
from deepdupe_daemon.vision.preprocessing import Preprocessing, from_processor_file
from deepdupe_daemon.vision.presets import Preset
from deepdupe_daemon.vision.weights import check_whole, weights_in_folder

__all__ = ["CONFIG_NAME", "PROCESSOR_NAME", "FolderChoice", "choose_folder"]

CONFIG_NAME = "config.json"
PROCESSOR_NAME = "preprocessor_config.json"

Triple = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class FolderChoice:
    """A Hugging Face folder, complete."""

    folder: Path
    files: tuple[Path, ...]
    model_type: str
    preprocessing: Preprocessing


def choose_folder(
    folder: Path, *, preset: Preset | None, input_px: int | None, constants: tuple[Triple, Triple] | None
) -> FolderChoice:
    """Check that `folder` holds what `preset` names (anything where None). Raises ModelError and ConfigError."""
    config = _config(folder)
    model_type = str(config.get("model_type", ""))
    if preset is not None:
        _check_preset(folder, config, model_type, preset)
    files = weights_in_folder(folder)
    if not files:
        raise ModelError(
            "holds no weights", where=str(folder), hint="expected model.safetensors or its index with all shards"
        )
    for file in files:
        check_whole(file)
    preprocessing = _preprocessing(folder, preset, input_px, constants)
    patch = config.get("patch_size", preset.patch_px if preset else 1)
    _check_side(preprocessing.spec.side_px, patch, input_px, config.get("image_size"), folder)
    return FolderChoice(folder, files, model_type, preprocessing)


def _check_side(side_px: int, patch: object, input_px: int | None, own_px: object, folder: Path) -> None:
    """Raises where the network would cut a part of the picture off silently, unless it was trained so."""
    if not isinstance(patch, int) or patch < 1 or side_px % patch == 0 or (input_px is None and side_px == own_px):
        return
    what = f"{side_px} is no multiple of the patch size {patch}"
    nearest = side_px // patch * patch or patch
    if input_px is not None:
        raise ConfigError(
            f"input_px {what}", hint=f"the rest would be cut off silently; {nearest} is the nearest below"
        )
    raise ModelError(
        f"a size of {what}: the rest would be cut off silently",
        where=str(folder / PROCESSOR_NAME),
        hint=f"set input_px: {nearest}",
    )


def _config(folder: Path) -> dict[str, Any]:
    path = folder / CONFIG_NAME
    if not folder.is_dir():
        raise ModelError("there is no such folder", where=str(folder))
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(
            f"holds no {CONFIG_NAME}", where=str(folder), hint="expected a folder as save_pretrained writes it"
        ) from None
    except ValueError as problem:
        raise ModelError(f"is not JSON: {problem}", where=str(path)) from problem
    if not isinstance(raw, dict):
        raise ModelError("is not a JSON object", where=str(path))
    return raw


def _check_preset(folder: Path, config: dict[str, Any], model_type: str, preset: Preset) -> None:
    hint = "name the preset that these weights belong to, or `backend: transformers` with a name of your own"
    if model_type != preset.architecture:
        raise ModelError(
            f"holds a {model_type or 'nameless'} network, {preset.name} is {preset.architecture}",
            where=str(folder),
            hint=hint,
        )
    sizes = config.get("hidden_sizes")
    dim = sizes[-1] if isinstance(sizes, list) and sizes else config.get("hidden_size")
    wanted = next(iter(preset.dims.values()))
    if dim != wanted:
        raise ModelError(
            f"holds a {model_type} of {dim} dimensions, {preset.name} has {wanted}", where=str(folder), hint=hint
        )
    for key, value in preset.config.items():
        if config.get(key, value) != value:  # left out it is the network's own default
            raise ModelError(
                f"is another network than {preset.name}: {key} is {config[key]}, not {value}",
                where=str(folder / CONFIG_NAME),
                hint=hint,
            )


def _preprocessing(
    folder: Path, preset: Preset | None, input_px: int | None, constants: tuple[Triple, Triple] | None
) -> Preprocessing:
    path = folder / PROCESSOR_NAME
    if not path.is_file():
        if constants is None:
            raise ModelError(
                f"holds no {PROCESSOR_NAME}, so mean, std and size are not known",
                where=str(folder),
                hint="fetch that file from the model's repository too, or set mean and std",
            )
        side = input_px or (preset.input_px if preset else 224)
        return Preprocessing(InputSpec(side_px=side, fit="squash", filter="bilinear"), *constants)
    found = from_processor_file(path, input_px)
    if constants is not None:
        return Preprocessing(found.spec, *constants)
    if preset is not None and preset.mean is not None:
        gap = max(abs(a - b) for a, b in zip(found.mean, preset.mean, strict=True))
        if gap > 0.01:  # ImageNet's and the satellite constants differ by 0.055
            raise ModelError(
                f"normalises with mean {found.mean}, the weights of {preset.name} with {preset.mean}",
                where=str(path),
                hint="it belongs to another checkpoint; if it is right nevertheless, set mean and std",
            )
    return found
