"""The model menu: the presets as a person chooses among them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepdupe_daemon.cli.questions import Questions

if TYPE_CHECKING:
    from deepdupe_daemon.vision import Preset

__all__ = ["ask_embedding", "ask_model", "menu", "selection_text"]

_REMARKS = {
    "clip-vit-l-14": "higher quality, slower",
    "clip-vit-b-32": "faster, lower quality",
    "dinov3-vit-l-16": "excellent dense features",
    "pdq": "no weights, no GPU; finds copies, not edits",
}
_EMBEDDINGS = {
    "final": "Final embedding ({dim}-dim)",
    "hidden": "Last hidden layer ({dim}-dim)",
    "both": "Both embeddings (dual: a pair must match in both)",
}


def menu() -> list[Preset]:
    """The presets in the order of the menu: the networks, and pdq, which is none, at the end."""
    from deepdupe_daemon.vision import PRESETS

    return [*(each for each in PRESETS.values() if each.name != "pdq"), PRESETS["pdq"]]


def ask_model(questions: Questions) -> Preset:
    presets = menu()
    return presets[questions.choose("Model Selection", [_option(each) for each in presets], what="model")]


def ask_embedding(questions: Questions, preset: Preset) -> str | None:
    """The embedding type; None, and nothing is asked, where the model has one only."""
    if len(preset.dims) < 2:
        return None
    kinds = [*preset.dims, "both"]
    options = [_EMBEDDINGS[kind].format(dim=preset.dims.get(kind, "")) for kind in kinds]
    return kinds[questions.choose("Embedding Type", options, what="embedding")]


def selection_text(preset: Preset) -> str:
    """`Selected: clip-vit-l-14 (768-dimensional)`, and what there is to know before the first start."""
    text = f"Selected: {preset.name} ({next(iter(preset.dims.values()))}-dimensional)"
    if tuple(preset.dims) == ("pooler",):
        text += "\nDINOv3 will use pooler output (no embedding type selection needed)"
    if preset.gated:
        text += f"\nIts weights need a licence accepted at https://huggingface.co/{preset.repo}, and a token (HF_TOKEN)"
    return text


def _option(preset: Preset) -> str:
    remark = _REMARKS.get(preset.name, "")
    dim = f"{next(iter(preset.dims.values()))}-dim"
    return f"{preset.title} ({', '.join(part for part in (dim, remark) if part)})"
