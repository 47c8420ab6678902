"""What `models` lists, fetches and verifies. Rows are data; the command line draws them. Listing imports no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from deepdupe_daemon.clock import Clock
from deepdupe_daemon.errors import DeepDupeError, ModelError
from deepdupe_daemon.vision.embedder import Embedder, VisionNotice, input_shape
from deepdupe_daemon.vision.fetch import Progress
from deepdupe_daemon.vision.hub_cache import HubCache
from deepdupe_daemon.vision.load import load_planned
from deepdupe_daemon.vision.open_clip_tags import TAGS
from deepdupe_daemon.vision.plans.open_clip import CHECKPOINT_NAMES
from deepdupe_daemon.vision.plans.plan import ModelPlan
from deepdupe_daemon.vision.plans.planning import plan_model
from deepdupe_daemon.vision.presets import PRESETS, Preset
from deepdupe_daemon.vision.weights import WEIGHTS_NAMES, check_whole, weights_digest

if TYPE_CHECKING:
    from deepdupe_daemon.config import ModelConfig

__all__ = ["FetchedModel", "ModelRow", "VerifiedModel", "fetch_model", "list_models", "verify_model"]


@dataclass(frozen=True, slots=True)
class ModelRow:
    """One preset, for a listing. `on_disk` names what was found: weights tags, or the file; empty where nothing was."""

    name: str
    title: str
    library: str
    dims: Mapping[str, int]  # embedding type -> dimension, the default type first
    input_px: int
    input_multiple_px: int
    licence: str
    gated: bool
    batch_size_cuda: int
    batch_size_cpu: int
    threshold: float
    threshold_status: str  # "published" or "uncalibrated"
    threshold_source: str
    weights: str  # the default tag, repository or address
    tags: tuple[str, ...]
    on_disk: tuple[str, ...]
    bytes_on_disk: int

    def to_dict(self) -> dict[str, Any]:
        """JSON-safe, for `--json`."""
        return {**asdict(self), "dims": dict(self.dims)}


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
    notes: tuple[str, ...]


def list_models(environ: Mapping[str, str], *, cache_dir: Path | None = None) -> tuple[ModelRow, ...]:
    """Every preset, in order, with what lies in the caches. Reads folders only."""
    cache = HubCache.of(environ, cache_dir=cache_dir, offline=True)
    return tuple(_row(known, cache) for known in PRESETS.values())


def fetch_model(model: ModelConfig, *, environ: Mapping[str, str], on_progress: Progress | None = None) -> FetchedModel:
    """Bring a model's weights into the cache, or find them there; hash what is there now.

    Raises ConfigError, ModelError (offline, wrong digest) and ModelUnavailable (network, gate, disk).
    """
    plan = plan_model(model, environ=environ, on_progress=on_progress)
    return FetchedModel(
        name=plan.name,
        files=plan.files,
        revision=_revision(plan),
        sha256=weights_digest(plan.files, trust_cache=False) if plan.files else "",
        bytes=sum(file.stat().st_size for file in plan.files),
    )


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
    plan = plan_model(model.model_copy(update={"offline": True}), environ=environ)
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


def _revision(plan: ModelPlan) -> str | None:
    """The commit, where the files lie in a snapshot of a Hugging Face cache."""
    for file in plan.files[:1]:
        if file.parent.parent.name == "snapshots":
            return file.parent.name
    return None


def _row(known: Preset, cache: HubCache) -> ModelRow:
    found = _found(known, cache)
    return ModelRow(
        name=known.name,
        title=known.title,
        library=known.backend,
        dims=known.dims,
        input_px=known.input_px,
        input_multiple_px=known.patch_px,
        licence=known.licence,
        gated=known.gated,
        batch_size_cuda=known.batch_size_cuda,
        batch_size_cpu=known.batch_size_cpu,
        threshold=known.threshold.similarity,
        threshold_status=known.threshold.status,
        threshold_source=known.threshold.source,
        weights=known.default_tag or known.repo or known.url,
        tags=known.tags,
        on_disk=tuple(label for label, _ in found),
        bytes_on_disk=sum(size for _, size in found),
    )


def _found(known: Preset, cache: HubCache) -> list[tuple[str, int]]:
    """(what, bytes) of each set of weights that is there."""
    if known.backend == "open_clip":
        tags = TAGS[known.architecture].values()
        held = [(tag.tag, _in_snapshot(cache, tag.repo, CHECKPOINT_NAMES)) for tag in tags]
        legacy = [(tag.tag, cache.clip_folder / tag.file) for tag in tags if tag.file]
        files = {tag: path.stat().st_size for tag, path in legacy if path.is_file()}
        return list({**files, **{tag: size for tag, size in held if size}}.items())
    if known.backend == "transformers":
        size = _in_snapshot(cache, known.repo, WEIGHTS_NAMES)
        return [(known.repo, size)] if size else []
    if known.backend == "torchscript":
        path = cache.downloads / known.url.rsplit("/", 1)[-1]
        return [(path.name, path.stat().st_size)] if path.is_file() else []
    return [("nothing to download", 0)]


def _in_snapshot(cache: HubCache, repo: str, names: Sequence[str]) -> int:
    """Bytes of the weights of a repository's snapshot; 0 where there is none, or where it is not whole."""
    snapshot = cache.snapshot(repo, None, names)
    if snapshot is None:
        return 0
    files = [path for path in snapshot.folder.iterdir() if path.suffix in (".safetensors", ".bin")]
    try:
        for path in files:
            check_whole(path)
    except (DeepDupeError, OSError):
        return 0
    return sum(path.stat().st_size for path in files)
