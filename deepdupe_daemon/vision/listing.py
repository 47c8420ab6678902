"""The presets as `models list` shows them: what is published of each, what is on disk, and what was loaded of it.

Rows are data; the command line draws them. Without `loaded` nothing here imports torch.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from deepdupe_daemon.config import ModelConfig
from deepdupe_daemon.errors import DeepDupeError
from deepdupe_daemon.model import InputSpec
from deepdupe_daemon.vision.hub_cache import HubCache
from deepdupe_daemon.vision.load import load_embedder
from deepdupe_daemon.vision.open_clip_tags import TAGS
from deepdupe_daemon.vision.plans.open_clip import CHECKPOINT_NAMES
from deepdupe_daemon.vision.presets import PRESETS, Preset, preset
from deepdupe_daemon.vision.weights import WEIGHTS_NAMES, check_whole

__all__ = ["ModelRow", "list_models"]

#: what a call of the network gives, in the words of its library
_OUTPUTS = {"open_clip": "tensor", "transformers": "pooler_output", "torchscript": "tensor", "none": "256 bits"}


@dataclass(frozen=True, slots=True)
class ModelRow:
    """One preset, for a listing. `on_disk` names what was found: weights tags, or the file; empty where nothing was."""

    name: str
    title: str
    use: str
    library: str
    output: str
    preprocessing: str
    dims: Mapping[str, int]  # embedding type -> dimension, the default type first
    parameters: int
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
    loaded: str = ""  # what dims, parameters and input were read from: "clip-vit-b-32 bf16 on cpu"; else as published
    problem: str = ""  # why what is on disk could not be loaded

    def to_dict(self) -> dict[str, Any]:
        """JSON-safe, for `--json`."""
        return {**asdict(self), "dims": dict(self.dims)}


def list_models(
    environ: Mapping[str, str], *, cache_dir: Path | None = None, names: Sequence[str] = (), loaded: bool = False
) -> tuple[ModelRow, ...]:
    """The presets of these names, or all, with what lies in the caches. Reads folders only, unless `loaded`.

    `loaded`: each whose weights are on disk is loaded on the processor, one after the other, and its dimensions,
    parameters and input are those of the network itself. Raises ModelError for a name that is no preset.
    """
    cache = HubCache.of(environ, cache_dir=cache_dir, offline=True)
    rows = (_row(known, cache) for known in ([preset(name) for name in names] or PRESETS.values()))
    return tuple(_as_loaded(row, environ, cache_dir, cache) if loaded else row for row in rows)


def _row(known: Preset, cache: HubCache) -> ModelRow:
    found: list[tuple[str, int]] = []
    problem = ""
    try:
        found = _found(known, cache)
    except OSError as refused:
        problem = f"{refused.filename}: {refused.strerror}"
    return ModelRow(
        name=known.name,
        title=known.title,
        use=known.use,
        library=known.backend,
        output=_OUTPUTS[known.backend],
        preprocessing=_preprocessing_text(known.spec),
        dims=known.dims,
        parameters=known.parameters,
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
        problem=problem,
    )


def _as_loaded(row: ModelRow, environ: Mapping[str, str], cache_dir: Path | None, cache: HubCache) -> ModelRow:
    if not row.on_disk:
        return row
    # bf16 is half the memory, and a file that is mapped need not stay in it
    if row.bytes_on_disk > os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"):
        return replace(row, problem="more bytes than there is free memory")
    options: dict[str, Any] = {"name": row.name, "device": "cpu", "cache_dir": cache_dir, "offline": True}
    if row.library == "open_clip":
        preferred = [tag for tag in row.on_disk if tag == row.weights]
        options |= {"embedding": "both", "weights": (preferred or list(row.on_disk))[0]}
    if row.library == "torchscript":
        options["weights"] = str(cache.downloads / row.on_disk[0])
    if row.library != "none":
        options["precision"] = "bf16"
    try:
        embedder = load_embedder(ModelConfig(**options), environ=environ)
    except DeepDupeError as problem:
        return replace(row, problem=str(problem))
    try:
        return replace(
            row,
            preprocessing=_preprocessing_text(embedder.spec),
            dims={space.embedding: space.dim for space in embedder.spaces},
            parameters=embedder.parameters,
            input_px=embedder.spec.side_px,
            loaded=embedder.describe(),
        )
    finally:
        embedder.close()


def _preprocessing_text(spec: InputSpec) -> str:
    if spec.kind == "pdq":
        return "luminance of a reduced picture, DCT"
    side = spec.side_px
    if spec.fit == "squash":
        return f"squash to {side} x {side} px, {spec.filter}"
    return f"shorter side to {spec.resize_px or side} px, {spec.filter}, centre crop of {side} px"


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
