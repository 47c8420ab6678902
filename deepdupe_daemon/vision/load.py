"""From plans to resident embedders. Called in the forward thread, which owns what comes out; torch comes in here."""

from __future__ import annotations

import functools
import os
import pickle
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from deepdupe_daemon.clock import Clock, SystemClock
from deepdupe_daemon.errors import DeepDupeError, ModelError, ModelUnavailable
from deepdupe_daemon.model import SpaceKey
from deepdupe_daemon.vision.download import Progress
from deepdupe_daemon.vision.embedder import Embedder, OutOfDeviceMemory, VisionNotice
from deepdupe_daemon.vision.pdq_embedder import PdqEmbedder
from deepdupe_daemon.vision.plans.plan import ModelPlan
from deepdupe_daemon.vision.plans.planning import plan_model

if TYPE_CHECKING:
    from deepdupe_daemon.config import ModelConfig
    from deepdupe_daemon.vision.backends.loaded import LoadedModel, Tower

__all__ = ["load_embedder", "load_embedders", "load_planned"]

Notify = Callable[[VisionNotice], None]


def load_embedder(
    model: ModelConfig,
    *,
    environ: Mapping[str, str],
    clock: Clock | None = None,
    threads: int | None = None,
    on_notice: Notify | None = None,
    on_progress: Progress | None = None,
) -> Embedder:
    """Plan and load one model, resident. Raises ConfigError, ModelError, ModelUnavailable."""
    plan = plan_model(model, environ=environ, on_progress=on_progress)
    return load_planned(plan, clock=clock, threads=threads, on_notice=on_notice)


def load_embedders(
    plans: Sequence[ModelPlan],
    *,
    clock: Clock | None = None,
    threads: int | None = None,
    on_notice: Notify | None = None,
) -> tuple[Embedder, ...]:
    """All planned models, resident side by side; on a failure those loaded before it are closed again."""
    loaded: list[Embedder] = []
    try:
        for plan in plans:
            loaded.append(  # noqa: PERF401 - what was loaded before a failure must be closed
                load_planned(plan, clock=clock, threads=threads, on_notice=on_notice)
            )
    except BaseException:
        for embedder in loaded:
            embedder.close()
        raise
    return tuple(loaded)


def load_planned(
    plan: ModelPlan,
    *,
    clock: Clock | None = None,
    threads: int | None = None,
    on_notice: Notify | None = None,
) -> Embedder:
    """Make one plan real: read, place, self-test. `threads` bounds torch's processor threads, which decoding wants too.

    Raises ModelError where the files or the device do not serve, ModelUnavailable where memory is short.
    """
    if plan.backend == "none":
        return PdqEmbedder()
    try:
        return _resident(plan, clock or SystemClock(), threads, on_notice or (lambda _notice: None))
    except DeepDupeError:
        raise
    except (OutOfDeviceMemory, MemoryError) as problem:
        raise ModelUnavailable(
            f"does not fit in memory: {problem}",
            where=plan.name,
            hint="free memory, choose a smaller model, or device: cpu",
        ) from problem
    except ImportError as problem:
        raise ModelError(f"needs a library that is not installed: {problem}", where=plan.name) from problem
    except pickle.UnpicklingError as problem:
        raise _no_plain_weights(problem, plan) from problem
    except Exception as problem:
        text = str(problem).strip().splitlines()
        where = str(plan.folder or (plan.files[0] if plan.files else plan.name))
        raise ModelError(
            f"cannot be loaded as {plan.name}: {type(problem).__name__}: {text[0] if text else ''}",
            where=where,
            hint="`deepdupe-daemon models verify` checks the files",
        ) from problem


def _no_plain_weights(problem: pickle.UnpicklingError, plan: ModelPlan) -> ModelError:
    """In our words: torch's own message recommends to switch its guard off."""
    where = str(plan.folder or plan.files[0])
    held = re.search(r"GLOBAL (\S+)", str(problem))
    if held is None:
        return ModelError("is no checkpoint that torch can read", where=where, hint="fetch or copy it again")
    return ModelError(
        f"holds {held[1]} beside its weights: to read that may run code, so it is not read",
        where=where,
        hint="where you trust its origin, save its state dict alone, as safetensors",
    )


def _resident(plan: ModelPlan, clock: Clock, threads: int | None, on_notice: Notify) -> Embedder:
    _let_idle_threads_sleep()
    import torch

    from deepdupe_daemon.vision.devices import pick_device, set_exact_float32
    from deepdupe_daemon.vision.precision import choose_precision
    from deepdupe_daemon.vision.resident import ResidentEmbedder

    started_s = clock.monotonic_s()
    if threads is not None:
        torch.set_num_threads(max(1, threads))
    set_exact_float32()
    device = pick_device(plan.device)
    with torch.inference_mode():
        loaded = _load(plan)
        chosen = choose_precision(loaded, device, plan.precision, clock)
    for text in loaded.plan.notices:
        on_notice(VisionNotice("model-assumption", text))
    spaces = _spaces(loaded, chosen.dims)
    on_cuda = device.type == "cuda"
    if on_cuda:
        from deepdupe_daemon.vision.cuda import CudaEmbedder as Kind
    else:
        Kind = ResidentEmbedder  # type: ignore[assignment,misc] # noqa: N806 - a class, under one name for both
    embedder = Kind(
        name=plan.name,
        spaces=spaces,
        preprocessing=loaded.plan.preprocessing,
        chosen=chosen,
        device=device,
        batch_ceiling=plan.batch_size or (plan.batch_size_cuda if on_cuda else plan.batch_size_cpu),
        exact=functools.partial(_exact_tower, loaded.plan, loaded.digest),
        parameters=loaded.parameters,
    )
    if on_cuda:
        embedder.warm_up(on_notice)
    took_s = clock.monotonic_s() - started_s
    on_notice(VisionNotice("precision-chosen", f"{plan.name}: {chosen.record}"))
    on_notice(
        VisionNotice(
            "model-loaded",
            f"{embedder.describe()}: {', '.join(f'{space.name} ({space.dim})' for space in spaces)}, "
            f"batches of {embedder.batch_ceiling}, loaded in {took_s:.1f} s",
        )
    )
    return embedder


def _let_idle_threads_sleep() -> None:
    """Keep torch's threads from spinning while they wait for one another; read by OpenMP when torch is first imported.

    On a busy machine two spinning threads gave 6 images a processor second (ViT-B/32, bf16), two sleeping ones 18,
    as many as one alone. A policy that the environment sets is left as it is.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def _load(plan: ModelPlan) -> LoadedModel:
    if plan.backend == "open_clip":
        from deepdupe_daemon.vision.backends.open_clip import load
    elif plan.backend == "transformers":
        from deepdupe_daemon.vision.backends.transformers import load
    else:
        from deepdupe_daemon.vision.backends.torchscript import load
    return load(plan)


def _spaces(loaded: LoadedModel, dims: Mapping[str, int]) -> tuple[SpaceKey, ...]:
    """Keys whose dims come from the network's own output, never from a table."""
    plan = loaded.plan
    for embedding, dim in plan.published_dims.items():
        if dims.get(embedding, dim) != dim:
            raise ModelError(
                f"gives {dims[embedding]} dimensions for {embedding}, {plan.name} has {dim}",
                where=str(plan.folder or plan.files[0]),
                hint="these are the weights of another model",
            )
    return tuple(
        SpaceKey(
            model=plan.name,
            embedding=embedding,
            dim=dims[embedding],
            weights=plan.weights_label or f"sha256:{loaded.digest[:12]}",
            weights_digest=loaded.digest,
            preprocessing=plan.preprocessing.canonical(plan.network),
        )
        for embedding in plan.embeddings
    )


def _exact_tower(plan: ModelPlan, digest: str) -> Tower:
    """The same weights again, in float32 on the processor; refused where the file is no longer what was loaded."""
    import torch

    again = _load(plan)
    if again.digest != digest:
        raise ModelError("the weights changed while the service runs", where=str(plan.files[0]), hint="restart it")
    return again.place(torch.device("cpu"), torch.float32)
