"""What `models` fetches and verifies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from deepdupe_daemon.clock import Clock
from deepdupe_daemon.errors import ModelError, WeightsAbsent
from deepdupe_daemon.vision.download import Progress, fetch_url
from deepdupe_daemon.vision.embedder import Embedder, VisionNotice, input_shape
from deepdupe_daemon.vision.hub_cache import HubCache
from deepdupe_daemon.vision.load import load_planned
from deepdupe_daemon.vision.plans.plan import ModelPlan
from deepdupe_daemon.vision.plans.planning import plan_model
from deepdupe_daemon.vision.presets import PRESETS, Preset
from deepdupe_daemon.vision.weights import check_whole, weights_digest

if TYPE_CHECKING:
    from deepdupe_daemon.config import ModelConfig

__all__ = ["FetchedModel", "VerifiedModel", "fetch_model", "verify_model", "weights_at_hand", "with_fetched_file"]


@dataclass(frozen=True, slots=True)
class FetchedModel:
    """What a fetch left on disk. `revision` pins it: a commit, where it came from a repository."""

    name: str
    files: tuple[Path, ...]
    revision: str | None
    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True)
class VerifiedModel:
    """A model whose files were hashed again and which gave embeddings here."""

    name: str
    files: tuple[Path, ...]
    sha256: str
    description: str  # "clip-vit-b-32 bf16 on cpu"
    dims: Mapping[str, int]  # space name -> dimension
    parameters: int
    notes: tuple[str, ...]


def with_fetched_file(model: ModelConfig, environ: Mapping[str, str]) -> ModelConfig:
    """The same model; a TorchScript preset without `weights` names the file that `fetch_model` writes.

    Such a file is a program, so that nothing loads it unless somebody named its path: the configuration, or the person
    who ran `models`.
    """
    known = PRESETS.get(model.name)
    if known is None or known.backend != "torchscript" or model.weights is not None:
        return model
    file = HubCache.of(environ, cache_dir=model.cache_dir).downloads / known.url.rsplit("/", 1)[-1]
    return model.model_copy(update={"weights": str(file)})


def fetch_model(model: ModelConfig, *, environ: Mapping[str, str], on_progress: Progress | None = None) -> FetchedModel:
    """Bring a model's weights into the cache, or find them there; hash what is there now.

    Raises ConfigError, ModelError (offline, wrong digest) and ModelUnavailable (network, gate, disk).
    """
    model = with_fetched_file(model, environ)
    known = PRESETS.get(model.name)
    if known is not None and known.url:
        _fetch_file(known, Path(str(model.weights)).expanduser(), model, environ, on_progress)
    plan = plan_model(model, environ=environ, on_progress=on_progress)
    return FetchedModel(
        name=plan.name,
        files=plan.files,
        revision=_revision(plan),
        sha256=weights_digest(plan.files, trust_cache=False) if plan.files else "",
        bytes=sum(file.stat().st_size for file in plan.files),
    )


def weights_at_hand(model: ModelConfig, *, environ: Mapping[str, str]) -> bool:
    """Whether all that the model needs is on disk; False where a fetch would bring it.

    Reads folders and headers only. Raises ConfigError and ModelError for what no fetch can put right.
    """
    known = PRESETS.get(model.name)
    if known is not None and known.url and model.weights is not None and not Path(model.weights).exists():
        return False
    try:
        plan_model(model.model_copy(update={"offline": True}), environ=environ)
    except WeightsAbsent:
        return False
    return True


def verify_model(
    model: ModelConfig,
    *,
    environ: Mapping[str, str],
    clock: Clock | None = None,
    threads: int | None = None,
) -> VerifiedModel:
    """Hash a model's files again, compare with the names under which a cache stores them, load it, embed two pictures.

    Never downloads. Raises ModelError where anything is not as it should be.
    """
    plan = plan_model(with_fetched_file(model.model_copy(update={"offline": True}), environ), environ=environ)
    for file in plan.files:
        check_whole(file)
    digest = weights_digest(plan.files, trust_cache=False) if plan.files else ""
    if plan.files and digest != weights_digest(plan.files):
        raise ModelError(
            f"has SHA-256 {digest}, and is stored under another",
            where=str(plan.files[0]),
            hint=f"its bytes changed: remove it and `deepdupe-daemon models fetch {plan.name}`",
        )
    notes: list[str] = []

    def collect(notice: VisionNotice) -> None:
        notes.append(notice.text)

    embedder = load_planned(plan, clock=clock, threads=threads, on_notice=collect)
    try:
        _self_test(embedder)
        return VerifiedModel(
            name=plan.name,
            files=plan.files,
            sha256=digest,
            description=embedder.describe(),
            dims={space.name: space.dim for space in embedder.spaces},
            parameters=embedder.parameters,
            notes=tuple(notes),
        )
    finally:
        embedder.close()


def _self_test(embedder: Embedder) -> None:
    shape = input_shape(embedder.spec)
    two = np.random.default_rng(0).integers(0, 256, (2, *shape), dtype=np.uint8)
    for name, rows in embedder.embed(two).items():
        if not np.isfinite(rows).all():
            raise ModelError("gives embeddings that are not finite", where=name)
        if float(rows[0] @ rows[1]) > 0.9999999:
            raise ModelError("gives the same embedding for different pictures", where=name)


def _fetch_file(
    known: Preset, target: Path, model: ModelConfig, environ: Mapping[str, str], on_progress: Progress | None
) -> None:
    if target.is_file():
        return
    if HubCache.of(environ, offline=model.offline).offline:
        raise WeightsAbsent(
            f"{target} is not on disk, and downloading is switched off",
            where=model.name,
            hint=f"fetch {known.url} elsewhere and name it as `weights`",
        )
    fetch_url(known.url, target, on_progress=on_progress)


def _revision(plan: ModelPlan) -> str | None:
    """The commit, where the files lie in a snapshot of a Hugging Face cache."""
    for file in plan.files[:1]:
        if file.parent.parent.name == "snapshots":
            return file.parent.name
    return None
