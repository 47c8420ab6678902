"""What happens to a picture before the network: the part of a space's identity that weights files like to lose."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from deepdupe_daemon.errors import ModelError
from deepdupe_daemon.model import InputSpec

__all__ = ["Preprocessing", "from_open_clip", "from_processor_file"]

Triple = tuple[float, float, float]

#: PIL.Image.Resampling, as processor files write it
_RESAMPLE: Mapping[int, Literal["bicubic", "bilinear"]] = {2: "bilinear", 3: "bicubic"}


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """The uint8 picture that a worker prepares, and the constants applied on the device: (x / 255 - mean) / std."""

    spec: InputSpec
    mean: Triple
    std: Triple

    def canonical(self, network: str) -> str:
        """Canonical JSON for SpaceKey.preprocessing. `network` names what weights do not say: the activation."""
        return json.dumps(
            {"input": asdict(self.spec), "mean": self.mean, "std": self.std, "network": network},
            separators=(",", ":"),
            sort_keys=True,
        )


def from_open_clip(config: Mapping[str, Any], side_px: int, *, where: str) -> InputSpec:
    """The InputSpec of an open_clip preprocess_cfg (`resize_mode`, `interpolation`). Raises ModelError."""
    mode, interpolation = config.get("resize_mode") or "shortest", config.get("interpolation") or "bicubic"
    if mode not in ("shortest", "squash"):
        raise ModelError(f"resize_mode {mode!r} is not supported, only shortest and squash", where=where)
    if interpolation not in ("bicubic", "bilinear"):
        raise ModelError(f"interpolation {interpolation!r} is not supported, only bicubic and bilinear", where=where)
    return InputSpec(
        side_px=side_px,
        fit="crop" if mode == "shortest" else "squash",
        filter="bicubic" if interpolation == "bicubic" else "bilinear",
    )


def from_processor_file(path: Path, input_px: int | None) -> Preprocessing:
    """What a transformers `preprocessor_config.json` asks for, at `input_px` where given. Raises ModelError."""
    where = str(path)
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as problem:
        raise ModelError(f"is not JSON: {problem}", where=where) from problem
    if not isinstance(raw, dict):
        raise ModelError("is not a JSON object", where=where)
    if any(raw.get(step, True) is False for step in ("do_resize", "do_rescale", "do_normalize")):
        raise ModelError("asks for no resize, no rescaling or no normalisation, which is not supported", where=where)
    factor = raw.get("rescale_factor", 1 / 255)
    if not isinstance(factor, int | float) or abs(factor - 1 / 255) > 1e-9:
        raise ModelError(f"rescale_factor {factor} is not supported, only 1/255", where=where)
    resample = _RESAMPLE.get(raw.get("resample", -1))
    if resample is None:  # left out it would be its class's default, and classes differ
        raise ModelError(
            f"resample {raw.get('resample')} is not supported, only 2 (bilinear) and 3 (bicubic)", where=where
        )
    spec = _spec(raw, resample, input_px, where)
    mean, std = _triple(raw, "image_mean", where), _triple(raw, "image_std", where)
    if not (min(mean) >= 0 and max(mean) <= 1 and min(std) > 0 and max(std) <= 1):
        raise ModelError(f"mean {mean} and std {std} are not those of values from 0 to 1", where=where)
    return Preprocessing(spec, mean, std)


def _spec(
    raw: Mapping[str, Any], resample: Literal["bicubic", "bilinear"], input_px: int | None, where: str
) -> InputSpec:
    size = raw.get("size") or {}
    if isinstance(size, int):
        size = {"shortest_edge": size}
    if isinstance(size, Mapping) and "height" in size and not raw.get("do_center_crop"):
        return InputSpec(side_px=input_px or _side(size, where), fit="squash", filter=resample)
    if isinstance(size, Mapping) and "shortest_edge" in size and raw.get("do_center_crop"):
        # transformers halves an odd margin downwards, torchvision (and we) to the even number: at most 1 px apart
        shorter = _pixels(size["shortest_edge"], where)
        side = _side(raw.get("crop_size") or shorter, where)
        if side > shorter:  # transformers pads with black
            raise ModelError(f"a crop of {side} px out of {shorter} px is not supported", where=where)
        if input_px is not None:  # keep the margin that the crop leaves
            shorter, side = round(shorter * input_px / side), input_px
        return InputSpec(side_px=side, fit="crop", filter=resample, resize_px=None if shorter == side else shorter)
    raise ModelError(f"size {size!r} is neither a square nor a shorter edge with a centre crop", where=where)


def _side(size: object, where: str) -> int:
    """The side of a square, which processor files give as one number, or as height and width."""
    if not isinstance(size, Mapping):
        return _pixels(size, where)
    height, width = _pixels(size.get("height"), where), _pixels(size.get("width"), where)
    if height != width:
        raise ModelError(f"a size of {height} x {width} is not square", where=where)
    return height


def _pixels(value: object, where: str) -> int:
    if not isinstance(value, int) or value < 1:
        raise ModelError(f"{value!r} is not a size in pixels", where=where)
    return value


def _triple(raw: Mapping[str, Any], key: str, where: str) -> Triple:
    value = raw.get(key)
    if not isinstance(value, Sequence) or len(value) != 3 or not all(isinstance(x, int | float) for x in value):
        raise ModelError(f"{key} is not three numbers: {value!r}", where=where)
    return float(value[0]), float(value[1]), float(value[2])
