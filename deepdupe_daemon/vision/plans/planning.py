"""From the configuration to plans, with every missing file fetched or named."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from deepdupe_daemon.errors import ConfigError, ModelError, ModelUnavailable, WeightsAbsent
from deepdupe_daemon.model import InputSpec, SpaceKey
from deepdupe_daemon.vision.download import Progress
from deepdupe_daemon.vision.fetch import fetch_snapshot
from deepdupe_daemon.vision.hub_cache import HubCache
from deepdupe_daemon.vision.open_clip_tags import OpenClipTag
from deepdupe_daemon.vision.pdq_embedder import PDQ_INPUT
from deepdupe_daemon.vision.plans.open_clip import CHECKPOINT_NAMES, SIDECAR_NAME, SUFFIXES, choose_checkpoint
from deepdupe_daemon.vision.plans.plan import ModelPlan
from deepdupe_daemon.vision.plans.transformers import CONFIG_NAME, PROCESSOR_NAME, choose_folder
from deepdupe_daemon.vision.preprocessing import Preprocessing
from deepdupe_daemon.vision.presets import PRESETS, Preset, preset
from deepdupe_daemon.vision.thresholds import NOBODYS, Threshold
from deepdupe_daemon.vision.weights import WEIGHTS_NAMES, check_whole, is_torchscript, weights_in_folder

if TYPE_CHECKING:
    from deepdupe_daemon.config import ModelConfig

__all__ = ["default_threshold", "plan_model", "plan_models", "thresholds_of"]

Triple = tuple[float, float, float]
Backend = Literal["none", "open_clip", "transformers", "torchscript"]

_OFFERED: Mapping[str, tuple[str, ...]] = {
    "none": ("hash",),
    "open_clip": ("final", "hidden"),
    "transformers": ("pooler",),
    "torchscript": ("final",),
}


def plan_models(
    models: Sequence[ModelConfig], *, environ: Mapping[str, str], on_progress: Progress | None = None
) -> tuple[ModelPlan, ...]:
    """A plan for each model. Raises ConfigError, ModelError and ModelUnavailable; downloads what may be downloaded."""
    plans = tuple(plan_model(model, environ=environ, on_progress=on_progress) for model in models)
    names = [name for plan in plans for name in plan.space_names]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError("two models fill this space", where=name, hint="give one another name, or drop it")
    return plans


def plan_model(model: ModelConfig, *, environ: Mapping[str, str], on_progress: Progress | None = None) -> ModelPlan:
    """Resolve one model to files and constants.

    Weights that are not on disk are downloaded, unless `offline` is set or the environment says HF_HUB_OFFLINE. Raises
    ConfigError for what the configuration asks wrongly, ModelError for files that cannot be used, ModelUnavailable for
    what cannot be fetched now.
    """
    try:
        return _planned(model, environ, on_progress)
    except (PermissionError, FileNotFoundError, NotADirectoryError, IsADirectoryError) as problem:
        raise ModelError(
            f"cannot be read: {problem.strerror}",
            where=os.fsdecode(problem.filename or model.name),
            hint=f"user {os.geteuid()} needs to read it, and to enter each folder above it",
        ) from problem
    except OSError as problem:
        raise ModelUnavailable(
            f"cannot be read now: {problem.strerror}",
            where=os.fsdecode(problem.filename or model.name),
            hint="check the disk, or the network that it hangs on",
        ) from problem


def _planned(model: ModelConfig, environ: Mapping[str, str], on_progress: Progress | None) -> ModelPlan:
    known = PRESETS.get(model.name)
    backend = _backend(model, known)
    constants = (model.mean, model.std) if model.mean is not None and model.std is not None else None
    asked = _Asked(
        model,
        known,
        HubCache.of(environ, cache_dir=model.cache_dir, offline=model.offline),
        constants,
        on_progress,
    )
    outline = ModelPlan(
        name=model.name,
        backend=backend,
        embeddings=_embeddings(model, known, backend),
        preprocessing=Preprocessing(PDQ_INPUT, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
        thresholds=thresholds_of(model),
        device=model.device,
        precision=model.precision,
        batch_size=model.batch_size,
        batch_size_cuda=known.batch_size_cuda if known else 128,
        batch_size_cpu=known.batch_size_cpu if known else 8,
        network=model.name,
        published_dims=known.dims if known else {},
    )
    if backend == "open_clip":
        return _open_clip(asked, outline)
    if backend == "transformers":
        return _transformers(asked, outline)
    return _torchscript(asked, outline) if backend == "torchscript" else outline


def default_threshold(model: ModelConfig, space: SpaceKey) -> float:
    """The cosine similarity from which two pictures of `space` are candidates; see `thresholds_of` for its source."""
    return thresholds_of(model)[space.name].similarity


def thresholds_of(model: ModelConfig) -> dict[str, Threshold]:
    """Space name -> threshold: the configured one, else the preset's, else a guess that says so."""
    known = PRESETS.get(model.name)
    own = Threshold(model.threshold, "configured", "the configuration") if model.threshold is not None else None
    found = own or (known.threshold if known else NOBODYS)
    embeddings = _embeddings(model, known, _backend(model, known))
    return {f"{model.name}.{embedding}": found for embedding in embeddings}


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a plan is made from."""

    model: ModelConfig
    known: Preset | None
    cache: HubCache
    constants: tuple[Triple, Triple] | None
    on_progress: Progress | None

    def may_download(self, what: str) -> None:
        if self.cache.offline:
            raise WeightsAbsent(
                f"{what} is not on disk, and downloading is switched off",
                where=self.model.name,
                hint=f"`deepdupe-daemon models fetch {self.model.name}` with network, or name local `weights`; "
                f"looked in {', '.join(str(folder) for folder in self.cache.folders)}",
            )

    def snapshot(self, repo: str, names: Sequence[str], is_whole: Callable[[Path], bool], *, gated: bool) -> Path:
        """The repository's folder in the cache, fetched where it is not there or not whole."""
        revision = self.model.revision
        found = self.cache.snapshot(repo, revision, names)
        if found is not None and (is_whole(found.folder) or self.cache.offline):
            return found.folder
        self.may_download(repo)
        fetched = fetch_snapshot(repo, names, self.cache, revision=revision, gated=gated, on_progress=self.on_progress)
        return fetched.folder


def _backend(model: ModelConfig, known: Preset | None) -> Backend:
    if known is None and model.backend is None:
        known = preset(model.name)  # raises, naming the nearest
    if known is None:
        return model.backend or "none"
    if model.backend not in (None, known.backend):
        raise ConfigError(
            f"the preset loads through {known.backend}, not {model.backend}",
            where=model.name,
            hint="choose another name for a model of your own",
        )
    return known.backend


def _embeddings(model: ModelConfig, known: Preset | None, backend: Backend) -> tuple[str, ...]:
    offered = known.embeddings if known else _OFFERED[backend]
    if model.embedding is None:
        return offered[:1]
    if model.embedding == "both" and set(offered) >= {"final", "hidden"}:
        return ("final", "hidden")
    if model.embedding not in offered:
        allowed = ", ".join([*offered, *(["both"] if len(offered) > 1 else [])])
        raise ConfigError(f"embedding {model.embedding!r} is not offered", where=model.name, hint=f"allowed: {allowed}")
    return (model.embedding,)


def _open_clip(asked: _Asked, outline: ModelPlan) -> ModelPlan:
    model, known = asked.model, asked.known
    architecture = model.architecture or (known.architecture if known else None)
    weights = model.weights or (known.default_tag if known else None)
    if weights is None:  # open_clip itself would go on with random weights
        raise ConfigError("open_clip needs weights: a tag or a checkpoint file", where=model.name)

    if weights.count("/") == 1 and not weights.startswith((".", "~")) and not Path(weights).exists():
        if Path(weights).suffix in SUFFIXES:
            raise ModelError("there is no such file", where=weights)
        names = (SIDECAR_NAME, *CHECKPOINT_NAMES)
        weights = str(asked.snapshot(weights, names, _is_whole_checkpoint, gated=False))

    def locate(tag: OpenClipTag) -> Path:
        held = asked.cache.snapshot(tag.repo, model.revision, CHECKPOINT_NAMES)
        if held is None and tag.file is not None:
            legacy = asked.cache.clip_folder / tag.file  # where open_clip 2 and OpenAI's own package put it
            if legacy.is_file():
                return legacy
        folder = asked.snapshot(tag.repo, CHECKPOINT_NAMES, lambda _folder: True, gated=False)
        return next(folder / name for name in CHECKPOINT_NAMES if (folder / name).is_file())

    choice = choose_checkpoint(
        name=model.name,
        architecture=architecture,
        weights=weights,
        input_px=model.input_px,
        constants=asked.constants,
        locate=locate,
    )
    if known is not None and choice.base != known.architecture:
        raise ConfigError(f"the preset is {known.architecture}, not {choice.base}", where=model.name)
    return replace(
        outline,
        preprocessing=choice.preprocessing,
        network=choice.base,
        weights_label=choice.label,
        files=(choice.file,),
        expected_sha256=choice.expected_sha256,
        open_clip_config=choice.config,
        quick_gelu=choice.quick_gelu,
        constants_known=choice.constants_known,
        notices=choice.notices,
    )


def _transformers(asked: _Asked, outline: ModelPlan) -> ModelPlan:
    model, known = asked.model, asked.known
    named = model.weights or model.architecture or (known.repo if known else None)
    if named is None:
        raise ConfigError("transformers needs weights: a folder or a Hugging Face repository", where=model.name)
    folder = Path(named).expanduser()
    if not folder.is_dir():
        if folder.is_file():
            raise ModelError("is a file", where=named, hint=f"name its folder, which holds {CONFIG_NAME} too")
        if folder.is_absolute() or named.count("/") != 1 or named.startswith("."):
            raise ModelError("there is no such folder", where=named, hint="weights: a folder, or ORG/NAME of the hub")
        names = (CONFIG_NAME, PROCESSOR_NAME, *WEIGHTS_NAMES)
        folder = asked.snapshot(named, names, _is_whole_folder, gated=known.gated if known else False)
    choice = choose_folder(folder, preset=known, input_px=model.input_px, constants=asked.constants)
    return replace(
        outline,
        preprocessing=choice.preprocessing,
        network=choice.model_type,
        files=choice.files,
        folder=choice.folder,
    )


def _torchscript(asked: _Asked, outline: ModelPlan) -> ModelPlan:
    model, known = asked.model, asked.known
    if model.weights is None:
        how = f"`deepdupe-daemon models fetch {model.name}` downloads it and says where it is; " if known else ""
        raise ConfigError(
            "is a TorchScript file, which is a program: it is loaded only from a path that the configuration names",
            where=model.name,
            hint=f"{how}set weights: PATH (`--model {model.name}=PATH` without a configuration)",
        )
    file = Path(model.weights).expanduser()
    check_whole(file)
    if not is_torchscript(file):
        raise ModelError("is no TorchScript archive", where=str(file), hint="made by torch.jit.save")
    constants = asked.constants
    if constants is None and known is not None and known.mean is not None and known.std is not None:
        constants = (known.mean, known.std)
    if constants is None:
        raise ConfigError("a TorchScript file does not say its mean and std", where=model.name, hint="set both")
    side = model.input_px or (known.input_px if known else 224)
    spec = InputSpec(side_px=side, fit="squash", filter="bilinear")
    return replace(outline, preprocessing=Preprocessing(spec, *constants), network="torchscript", files=(file,))


def _is_whole_checkpoint(folder: Path) -> bool:
    return (folder / SIDECAR_NAME).is_file() and any((folder / name).is_file() for name in CHECKPOINT_NAMES)


def _is_whole_folder(folder: Path) -> bool:
    try:
        weights = weights_in_folder(folder)
    except ModelError:
        return False
    return bool(weights) and (folder / CONFIG_NAME).is_file() and (folder / PROCESSOR_NAME).is_file()
