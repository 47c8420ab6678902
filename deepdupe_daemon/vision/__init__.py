"""Seen: from a file's bytes to its digest, its fingerprints and its embeddings.

The room promises

- that a file is read and decoded only in a worker process (`worker`) without network, files or rights: a hostile
  picture can kill its worker, or at the worst have it tell lies about pictures until it is recycled, never more; every
  file ends as a `Sighting` or as a `FileFailed` with a stable kind (`decode.refusal.Kind`);
- that one read and one decode yield everything: content digest, PDQ with its 8 dihedral variants, EXIF facts, and
  one uint8 array per configured input;
- that what a model sees agrees with its reference preprocessing to a PSNR of 40 dB at the least;
- that a model is planned without torch, then loaded, used and closed in one thread, the forward thread; that vectors of
  other weights, constants or activations never carry the same space key; that no image fails its batch, and that no row
  which is not finite leaves the room.

Importing the room is cheap: each public name is loaded from its submodule when it is first asked for (PEP 562), so that
`--help` imports neither Pillow nor torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepdupe_daemon.face import on_first_use

if TYPE_CHECKING:
    from deepdupe_daemon.vision.batches import BatchRunner
    from deepdupe_daemon.vision.catalogue import (
        FetchedModel,
        VerifiedModel,
        fetch_model,
        verify_model,
        weights_at_hand,
        with_fetched_file,
    )
    from deepdupe_daemon.vision.device_memory import device_bytes
    from deepdupe_daemon.vision.embedder import Embedder, VisionNotice
    from deepdupe_daemon.vision.fake_embedder import FakeEmbedder
    from deepdupe_daemon.vision.forward import ForwardStatus, ForwardThread
    from deepdupe_daemon.vision.listing import ModelRow, list_models
    from deepdupe_daemon.vision.load import load_embedder, load_embedders, load_planned
    from deepdupe_daemon.vision.pdq_embedder import PDQ_INPUT, PDQ_SPACE, PdqEmbedder
    from deepdupe_daemon.vision.plans.plan import ModelPlan
    from deepdupe_daemon.vision.plans.planning import default_threshold, plan_model, plan_models, thresholds_of
    from deepdupe_daemon.vision.pool import DecoderPool, PoolStatus
    from deepdupe_daemon.vision.presets import PRESETS, Preset, preset
    from deepdupe_daemon.vision.request import StepTimes
    from deepdupe_daemon.vision.scorer import TorchScorer, choose_scorer
    from deepdupe_daemon.vision.thresholds import Threshold
    from deepdupe_daemon.vision.waiting import Job

#: public name -> the submodule that has it
_HOMES = {
    "BatchRunner": "batches",
    "TorchScorer": "scorer",
    "choose_scorer": "scorer",
    "FetchedModel": "catalogue",
    "ModelRow": "listing",
    "VerifiedModel": "catalogue",
    "device_bytes": "device_memory",
    "fetch_model": "catalogue",
    "list_models": "listing",
    "verify_model": "catalogue",
    "weights_at_hand": "catalogue",
    "with_fetched_file": "catalogue",
    "ModelPlan": "plans.plan",
    "Preset": "presets",
    "StepTimes": "request",
    "PRESETS": "presets",
    "preset": "presets",
    "Threshold": "thresholds",
    "default_threshold": "plans.planning",
    "plan_model": "plans.planning",
    "plan_models": "plans.planning",
    "thresholds_of": "plans.planning",
    "load_embedder": "load",
    "load_embedders": "load",
    "load_planned": "load",
    "Embedder": "embedder",
    "VisionNotice": "embedder",
    "FakeEmbedder": "fake_embedder",
    "ForwardStatus": "forward",
    "ForwardThread": "forward",
    "Job": "waiting",
    "PDQ_INPUT": "pdq_embedder",
    "PDQ_SPACE": "pdq_embedder",
    "PdqEmbedder": "pdq_embedder",
    "DecoderPool": "pool",
    "PoolStatus": "pool",
}

__all__ = [
    "PDQ_INPUT",
    "PDQ_SPACE",
    "PRESETS",
    "BatchRunner",
    "DecoderPool",
    "Embedder",
    "FakeEmbedder",
    "FetchedModel",
    "ForwardStatus",
    "ForwardThread",
    "Job",
    "ModelPlan",
    "ModelRow",
    "PdqEmbedder",
    "PoolStatus",
    "Preset",
    "StepTimes",
    "Threshold",
    "TorchScorer",
    "VerifiedModel",
    "VisionNotice",
    "choose_scorer",
    "default_threshold",
    "device_bytes",
    "fetch_model",
    "list_models",
    "load_embedder",
    "load_embedders",
    "load_planned",
    "plan_model",
    "plan_models",
    "preset",
    "thresholds_of",
    "verify_model",
    "weights_at_hand",
    "with_fetched_file",
]

__getattr__ = on_first_use(__name__, _HOMES)
