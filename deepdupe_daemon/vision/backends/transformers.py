"""Hugging Face folders: AutoModel and its pooler output."""

from __future__ import annotations

import dataclasses
from collections.abc import Set as AbstractSet

import torch
import transformers
from torch import Tensor, nn

from deepdupe_daemon.errors import ModelError
from deepdupe_daemon.vision.backends.loaded import LoadedModel, Tower, parameter_count, placed
from deepdupe_daemon.vision.plans.plan import ModelPlan
from deepdupe_daemon.vision.weights import weights_digest

__all__ = ["PoolerTower", "load"]


class PoolerTower(nn.Module):
    """`pooler`: the network's own pooled output. For DINOv3 ViT the class token after the final norm."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, pictures: Tensor) -> dict[str, Tensor]:
        """(n, 3, side, side) -> {"pooler": (n, dim)}."""
        pooled = self.model(pixel_values=pictures).pooler_output
        if pooled is None:
            raise ModelError("gives no pooler output", where=type(self.model).__name__)
        return {"pooler": pooled.flatten(1)}


def load(plan: ModelPlan) -> LoadedModel:
    """Map the folder's weights. Raises ModelError where any is missing: transformers would draw it at random."""
    digest = weights_digest(plan.files)
    transformers.utils.logging.set_verbosity_error()  # what matters is raised below
    transformers.utils.logging.disable_progress_bar()
    # "auto" is the file's own dtype, so that nothing is converted twice; left out, it depends on the library's version
    model, report = transformers.AutoModel.from_pretrained(
        str(plan.folder), local_files_only=True, trust_remote_code=False, dtype="auto", output_loading_info=True
    )
    missing = sorted(str(key) for key in report["missing_keys"])
    if missing:
        raise ModelError(
            f"is another network than its config.json says: {len(missing)} tensors are missing, {missing[0]} first",
            where=str(plan.folder),
            hint="fetch the whole folder again",
        )
    plan = _unused_named(plan, model, sorted(str(key) for key in report["unexpected_keys"]))
    tower = PoolerTower(model).eval()

    def place(device: torch.device, dtype: torch.dtype) -> Tower:
        return placed(tower, device, dtype, plan.files)

    return LoadedModel(plan, digest, parameter_count(tower), place)


def _unused_named(plan: ModelPlan, model: nn.Module, unused: list[str]) -> ModelPlan:
    """The plan with a record of what the network has no place for, such as a classifier's head.

    Raises ModelError where it is a part of the network itself: the configuration is of a smaller one.
    """
    if not unused:
        return plan
    modules = {name for name, _ in model.named_modules()}
    cut = [key for key in unused if _is_of_a_further_layer(key, modules)]
    if cut:
        raise ModelError(
            f"is another network than its config.json says: {len(cut)} tensors have no place, {cut[0]} first",
            where=str(plan.folder),
            hint="fetch the whole folder again",
        )
    notice = f"{plan.name}: {len(unused)} tensors of the weights are not used, {unused[0]} first"
    return dataclasses.replace(plan, notices=(*plan.notices, notice))


def _is_of_a_further_layer(key: str, modules: AbstractSet[str]) -> bool:
    """Whether `key` belongs to a numbered part, such as `model.layer.12`, of a list that ends before it."""
    parts = key.split(".")
    return any(
        part.isdigit() and ".".join(parts[:at]) in modules and ".".join(parts[: at + 1]) not in modules
        for at, part in enumerate(parts)
        if at > 0
    )
