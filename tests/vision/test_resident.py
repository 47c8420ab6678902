"""A resident network in the forward thread: what becomes of NaNs, of exhausted memory, of weights that change."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from deepdupe_daemon.clock import SystemClock
from deepdupe_daemon.config import ModelConfig
from deepdupe_daemon.errors import FileFailed, ModelError
from deepdupe_daemon.model import F32Array, InputSpec, SpaceKey
from deepdupe_daemon.vision import ForwardThread, Job, PdqEmbedder, load_embedders, plan_models
from deepdupe_daemon.vision.backends.loaded import Tower
from deepdupe_daemon.vision.batches import BatchRunner
from deepdupe_daemon.vision.devices import pick_device
from deepdupe_daemon.vision.embedder import OutOfDeviceMemory, VisionNotice
from deepdupe_daemon.vision.precision import Chosen
from deepdupe_daemon.vision.preprocessing import Preprocessing
from deepdupe_daemon.vision.resident import ResidentEmbedder
from tests.vision.embedder_contract import inputs
from tests.vision.networks import save_safetensors, tiny_clip, tiny_clip_config

PREPROCESSING = Preprocessing(InputSpec(side_px=8), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
SPACE = SpaceKey("own", "final", 4, "w", "00", "{}")


def pooled(pictures: Tensor) -> dict[str, Tensor]:
    """Four means of a picture; a black one is the zero vector."""
    return {"final": torch.nn.functional.adaptive_avg_pool2d(pictures[:, :1].float(), 2).flatten(1)}


def resident(tower: Tower, exact: Tower = pooled, name: str = "bf16") -> ResidentEmbedder:
    return ResidentEmbedder(
        name="own",
        spaces=(SPACE,),
        preprocessing=PREPROCESSING,
        chosen=Chosen(name, tower, "", {"final": 4}),  # type: ignore[arg-type]
        device=torch.device("cpu"),
        batch_ceiling=8,
        exact=lambda: exact,
    )


def jobs(embedder: ResidentEmbedder, count: int) -> list[Job]:
    return [Job(at, {embedder.spec: picture}, live=False) for at, picture in enumerate(inputs(embedder, count))]


def test_rows_that_are_not_finite_in_half_are_computed_again_in_fp32() -> None:
    def half(pictures: Tensor) -> dict[str, Tensor]:
        rows = pooled(pictures)["final"]
        rows[1] = torch.inf
        return {"final": rows}

    embedder = resident(half)
    notices: list[VisionNotice] = []
    runner = BatchRunner(embedder, SystemClock(), notices.append)
    batch = jobs(embedder, 3)
    outcomes = runner.begin(batch)()
    wanted = embedder.embed_in_fp32(np.stack([job.inputs[embedder.spec] for job in batch]))["own.final"]
    for outcome, row in zip(outcomes, wanted, strict=True):
        assert isinstance(outcome, dict)
        assert float(outcome["own.final"] @ row) > 0.9999
    assert [notice.kind for notice in notices] == ["not-finite"]


def test_a_zero_vector_has_no_direction_and_is_never_stored() -> None:
    embedder = resident(pooled)
    black = Job(7, {embedder.spec: np.zeros((8, 8, 3), np.uint8)}, live=False)
    outcomes = BatchRunner(embedder, SystemClock(), lambda _notice: None).begin([*jobs(embedder, 2), black])()
    assert [type(outcome) for outcome in outcomes] == [dict, dict, FileFailed]
    assert outcomes[2].kind == "not-finite"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "problem",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:114] err == 0. DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
    ids=["typed", "cpu", "cublas"],
)
def test_exhausted_memory_halves_the_batch(problem: Exception) -> None:
    def tight(pictures: Tensor) -> dict[str, Tensor]:
        if len(pictures) > 3:
            raise problem
        return pooled(pictures)

    embedder = resident(tight)
    with pytest.raises(OutOfDeviceMemory):
        embedder.embed(inputs(embedder, 4))
    runner = BatchRunner(embedder, SystemClock(), lambda _notice: None)
    assert all(isinstance(outcome, dict) for outcome in runner.begin(jobs(embedder, 8))())
    assert runner.ceiling.now == 2


def test_other_errors_are_left_as_they_are() -> None:
    def wrong(_pictures: Tensor) -> dict[str, Tensor]:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    embedder = resident(wrong)
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        embedder.embed(inputs(embedder, 1))


def test_fp32_on_a_processor_is_its_own_second_try() -> None:
    def never() -> Tower:
        raise AssertionError("loaded again")

    embedder = resident(pooled, name="fp32")
    embedder._load_exact = never
    batch = inputs(embedder, 2)
    assert np.array_equal(embedder.embed(batch)["own.final"], embedder.embed_in_fp32(batch)["own.final"])
    embedder.close()
    with pytest.raises(RuntimeError, match="is closed"):
        embedder.embed(batch)


def test_read_only_and_reversed_batches_are_taken() -> None:
    embedder = resident(pooled)
    batch = inputs(embedder, 3)
    wanted = embedder.embed(batch)["own.final"]
    batch.flags.writeable = False
    assert np.array_equal(embedder.embed(batch)["own.final"], wanted)
    assert np.array_equal(embedder.embed(batch[::-1])["own.final"], wanted[::-1])


def test_a_device_that_is_not_there() -> None:
    with pytest.raises(ModelError, match="cuda:63 is not there"):
        pick_device("cuda:63")
    assert pick_device("cpu").type == "cpu"


def tiny(folder: Path) -> ModelConfig:
    save_safetensors(tiny_clip().state_dict(), folder / "own.safetensors")
    return ModelConfig(
        name="own",
        backend="open_clip",
        architecture=str(tiny_clip_config(folder)),
        weights=str(folder / "own.safetensors"),
        embedding="both",
        device="cpu",
        precision="bf16",
        batch_size=4,
    )


def test_several_models_are_resident_in_the_forward_thread(tmp_path: Path) -> None:
    """Planned here, loaded and run there: a network with two embeddings beside pdq, each image through both."""
    plans = plan_models([tiny(tmp_path), ModelConfig()], environ={"HOME": "/nowhere"})
    assert [name for plan in plans for name in plan.space_names] == ["own.final", "own.hidden", "pdq.hash"]
    loaded_in: list[str] = []
    done: dict[int, dict[str, F32Array] | Exception] = {}
    finished = threading.Event()

    def load() -> object:
        loaded_in.append(threading.current_thread().name)
        return load_embedders(plans, threads=1)

    def collect(batch: list[tuple[Job, dict[str, F32Array] | Exception]]) -> None:
        done.update({job.file_id: outcome for job, outcome in batch})
        if len(done) == 10:
            finished.set()

    thread = ForwardThread(load, clock=SystemClock(), on_done=collect)  # type: ignore[arg-type]
    thread.start()
    rng = np.random.default_rng(0)
    for at in range(10):
        picture = rng.integers(0, 256, (48, 48, 3), dtype=np.uint8)
        hashed = rng.integers(0, 256, 32, dtype=np.uint8)
        assert thread.submit(Job(at, {plans[0].spec: picture, PdqEmbedder.spec: hashed}, live=at % 2 == 0))
    assert thread.wait_ready(60)
    assert finished.wait(60)
    assert loaded_in == ["forward"]
    assert [row.description for row in thread.status().embedders] == ["own bf16 on cpu", "pdq on cpu"]
    assert thread.status().embedders[0].batch_ceiling == 4
    assert thread.stop(60)
    for outcome in done.values():
        assert isinstance(outcome, dict)
        assert {name: row.shape for name, row in outcome.items()} == {
            "own.final": (24,),
            "own.hidden": (64,),
            "pdq.hash": (256,),
        }


def test_a_second_model_that_fails_closes_the_first(tmp_path: Path) -> None:
    plans = plan_models([tiny(tmp_path), ModelConfig()], environ={"HOME": "/nowhere"})
    (tmp_path / "own.safetensors").write_bytes(b"changed after planning")
    with pytest.raises(ModelError, match=r"own\.safetensors"):
        load_embedders([plans[1], plans[0]], threads=1)


def test_weights_that_change_under_the_service_are_not_mixed_in(tmp_path: Path) -> None:
    """The second try in fp32 loads the file again: only where it still is the one that was loaded."""
    (embedder,) = load_embedders(plan_models([tiny(tmp_path)], environ={"HOME": "/nowhere"}), threads=1)
    batch = inputs(embedder, 2)
    before = embedder.embed(batch)["own.final"]
    save_safetensors(tiny_clip(seed=1).state_dict(), tmp_path / "own.safetensors")
    assert np.array_equal(embedder.embed(batch)["own.final"], before), "what is resident is a copy"
    with pytest.raises(ModelError, match="changed while the service runs"):
        embedder.embed_in_fp32(batch)


@pytest.mark.parametrize(("given", "wanted"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_waiting_threads_sleep_unless_the_environment_says_otherwise(
    tmp_path: Path, given: str | None, wanted: str
) -> None:
    """Set before torch is first imported, for OpenMP reads it then."""
    model = tiny(tmp_path)
    code = f"""
import os, sys
from deepdupe_daemon.config import ModelConfig
from deepdupe_daemon.vision import load_embedder

class Watch:
    def find_spec(self, name, *_):
        if name == "torch":
            print(os.environ["OMP_WAIT_POLICY"])
            sys.stdout.flush()
            os._exit(0)

sys.meta_path.insert(0, Watch())
load_embedder(ModelConfig.model_validate_json({model.model_dump_json()!r}), environ={{}}, threads=1)
"""
    environment = {key: value for key, value in os.environ.items() if key != "OMP_WAIT_POLICY"}
    if given:
        environment["OMP_WAIT_POLICY"] = given
    run = subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True)
    assert run.stdout.split() == [wanted]


@pytest.mark.nightly
def test_memory_is_flat_over_many_images(tmp_path: Path) -> None:
    """40,000 images through the forward thread: after the first 10,000 not 16 MiB more are resident."""
    plans = plan_models([tiny(tmp_path)], environ={"HOME": "/nowhere"})
    done = 0

    def collect(batch: list[tuple[Job, dict[str, F32Array] | Exception]]) -> None:
        nonlocal done
        done += len(batch)

    def resident_bytes() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    thread = ForwardThread(
        lambda: load_embedders(plans, threads=1), clock=SystemClock(), on_done=collect, max_waiting=64
    )
    thread.start()
    rng = np.random.default_rng(0)
    after_first = 0
    for at in range(40_000):
        picture = rng.integers(0, 256, (48, 48, 3), dtype=np.uint8)
        assert thread.submit(Job(at, {plans[0].spec: picture}, live=at % 3 == 0))
        if at == 10_000:
            after_first = resident_bytes()
    grown = resident_bytes() - after_first
    assert thread.stop(60)
    assert done == 40_000
    assert grown < 16 << 20
