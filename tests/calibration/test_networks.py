"""Networks of random weights beside PDQ, through the public path, and every step of the arithmetic by another way.

By default the networks are miniatures on drawn pictures; nightly they have their true size and see real photos.
Random weights say nothing about what trained ones find; the sums must be right all the same.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import precision_recall_curve

from deepdupe_daemon.calibration import Calibration, CalibrationRun, Curve, Scores, calibrate, write_plot
from deepdupe_daemon.calibration.run import Outcome
from deepdupe_daemon.cli.calibration_text import calibration_lines, recommendation_lines
from deepdupe_daemon.clock import SystemClock
from deepdupe_daemon.config import DecoderConfig, ModelConfig
from deepdupe_daemon.model import F32Array
from deepdupe_daemon.vision import load_embedder
from deepdupe_daemon.vision.copies import EDITED, RE_ENCODED, make_copy
from deepdupe_daemon.vision.decode.opening import load_decoders
from tests.service.pictures import photo
from tests.service.pictures import save as save_photo
from tests.vision.networks import save_safetensors, tiny_clip, tiny_clip_config
from tests.vision.pictures import seen_inputs, upright
from tests.vision.test_transformers import save, vit
from tests.vision.test_true_sizes import made

WANTED, SEED = 0.9, 5
TRUE_SIZE_PHOTOS = 32


def run(paths: Sequence[Path], models: Sequence[ModelConfig], state_dir: Path) -> CalibrationRun:
    found = calibrate(
        [os.fsencode(path) for path in paths],
        models,
        state_dir=state_dir,
        decoder=DecoderConfig(workers=2),
        wanted=WANTED,
        photos=len(paths),
        seed=SEED,
        clock=SystemClock(),
        environ={"HOME": "/nowhere"},
    )
    assert (found.complete, found.photos) == (True, len(paths)), "each of these photos is good enough to be taken"
    return found


def arrivals_by_counting(scores: Scores) -> tuple[list[bool], list[float], list[float]]:
    """(is a copy, score, weight): every photo once as itself and once as its re-encoded copies."""
    labels, values, weights = [], [], []
    for number in range(scores.photos):
        copies = [float(scores.copies[name][number]) for name in RE_ENCODED]
        made_ones = [score for score in copies if score == score]
        for score in made_ones:
            labels.append(True)
            values.append(score)
            weights.append(1 / len(made_ones))
        labels.append(False)
        values.append(float(scores.neighbours[number].max()))
        weights.append(1.0)
    return labels, values, weights


def hold_against_scikit_learn(calibration: Calibration, scores: Scores, curve: Curve) -> None:
    labels, values, weights = arrivals_by_counting(scores)
    precision, recall, at = precision_recall_curve(labels, values, sample_weight=weights)
    np.testing.assert_allclose(curve.precision(at), precision[:-1], atol=1e-9)
    np.testing.assert_allclose(curve.recall(at), recall[:-1], atol=1e-9)
    # the estimate is the first of all thresholds with four decimals at which the wanted precision is reached
    offered = np.unique(np.ceil(np.round(np.array(values) * 1e4, 6)) / 1e4)
    place = np.searchsorted(at, offered)
    useful = place < len(at)
    offered, place = offered[useful], place[useful]
    reached = offered[(precision[place] >= WANTED) & (recall[place] > 0)]
    assert calibration.raw.estimate == (pytest.approx(reached[0]) if len(reached) else None)
    rates = calibration.raw.rates
    assert rates is not None
    chosen = np.searchsorted(at, rates.threshold)
    assert rates.precision == pytest.approx(float(precision[chosen]))
    assert rates.recall == pytest.approx(float(recall[chosen]))
    if calibration.raw.proven:
        assert rates.precision_interval.low >= WANTED


def hold_against_cosines(outcome: Outcome, rows: F32Array, *, atol: float) -> None:
    """The nearest others, from rows (photos, dim) that were made apart from the run."""
    cosines = rows @ rows.T
    np.fill_diagonal(cosines, -np.inf)
    assert outcome.calibration.copies_left_out == 0, "these photos are no copies of each other"
    found = outcome.scores.neighbours
    np.testing.assert_allclose(found, -np.sort(-cosines, axis=1)[:, : found.shape[1]], atol=atol)


def seed_of(path: Path) -> int:
    digest = hashlib.sha256(path.read_bytes()).digest()
    return int.from_bytes(hashlib.sha256(b"%d\0%b" % (SEED, digest)).digest()[:4])


def embedded(model: ModelConfig, paths: Sequence[Path]) -> dict[str, F32Array]:
    """Space name -> rows, by an embedder of its own and in one batch."""
    embedder = load_embedder(model, environ={"HOME": "/nowhere"})
    try:
        return embedder.embed(np.stack(seen_inputs(paths, embedder.spec)))
    finally:
        embedder.close()


def test_miniatures(tmp_path: Path) -> None:
    shared = {"device": "cpu", "precision": "fp32"}
    clip = save_safetensors(tiny_clip().state_dict(), tmp_path / "clip.safetensors")
    models = [
        ModelConfig(),
        ModelConfig(
            name="clip",
            backend="open_clip",
            architecture=str(tiny_clip_config(tmp_path)),
            weights=str(clip),
            embedding="both",
            **shared,  # type: ignore[arg-type]
        ),
        ModelConfig(name="dino", backend="transformers", weights=str(save(vit(), tmp_path / "dino")), **shared),  # type: ignore[arg-type]
    ]
    taken = [save_photo(photo(seed, (200, 150)), tmp_path / "photos" / f"{seed:02}.png") for seed in range(20)]
    found = run(taken, models, tmp_path / "s")
    names = [outcome.calibration.space.name for outcome in found.outcomes]
    assert names == ["pdq.hash", "clip.final", "clip.hidden", "dino.pooler"]
    rows = {name: block for model in models[1:] for name, block in embedded(model, taken).items()}
    for outcome in found.outcomes:
        hold_against_scikit_learn(outcome.calibration, outcome.scores, outcome.curve)
        if outcome.calibration.space.name in rows:
            hold_against_cosines(outcome, rows[outcome.calibration.space.name], atol=1e-3)


@pytest.mark.nightly
@pytest.mark.evaluation
@pytest.mark.timeout(7200)
def test_true_sizes(data_dir: Path, tmp_path: Path) -> None:
    """PDQ, CLIP ViT-B/32 and DINOv3 ViT-S/16. The references open the files, make the copies' inputs and run the
    network with the checkpoint's own library."""
    load_decoders()  # a HEIC copy is opened here too
    references: dict[str, Callable[[list[Image.Image]], torch.Tensor]] = {}
    models = [ModelConfig()]
    for name in ("clip-vit-b-32", "dinov3-vit-s-16"):
        weights, references[name] = made(name, tmp_path)
        models.append(ModelConfig(name=name, weights=str(weights), device="cpu", precision="fp32"))
    taken = distractors(data_dir, TRUE_SIZE_PHOTOS)
    found = run(taken, models, tmp_path / "s")
    for outcome in found.outcomes:
        hold_against_scikit_learn(outcome.calibration, outcome.scores, outcome.curve)
        reference = references.get(outcome.calibration.space.model)
        if reference is None:
            continue
        rows = reference([upright(path) for path in taken]).numpy()
        hold_against_cosines(outcome, rows, atol=4e-3)
        for number, name in enumerate((*RE_ENCODED[:5], *EDITED[:3])):
            place = 3 * number
            copy = make_copy(np.asarray(upright(taken[place])), name, seed_of(taken[place]))
            with Image.open(io.BytesIO(copy)) as opened:
                row = reference([opened.convert("RGB")]).numpy()[0]
            assert outcome.scores.copies[name][place] == pytest.approx(float(row @ rows[place]), abs=4e-3), name
    calibrations = [outcome.calibration for outcome in found.outcomes]
    print("", *calibration_lines(calibrations), *recommendation_lines(calibrations), sep="\n")
    if os.environ.get("DEEPDUPE_TEST_PLOT"):
        write_plot(Path(os.environ["DEEPDUPE_TEST_PLOT"]), found.outcomes)


def distractors(data_dir: Path, count: int) -> list[Path]:
    """Photos that show different things."""
    entries = json.loads((data_dir / "manifest.json").read_text(encoding="utf-8"))
    paths = [
        data_dir / entry["set"] / entry["path"]
        for entry in entries
        if (entry["set"], entry["why"]) == ("caltech101", "distractor photos")
    ]
    return paths[:: len(paths) // count][:count]
