"""A whole calibration with real decoding workers and real files."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from deepdupe_daemon.calibration import CalibrationRun, Step, calibrate, candidates
from deepdupe_daemon.calibration.run import _CHUNK
from deepdupe_daemon.clock import SystemClock
from deepdupe_daemon.config import DecoderConfig, ModelConfig
from deepdupe_daemon.errors import StateError
from deepdupe_daemon.vision import Embedder, FakeEmbedder, PdqEmbedder
from tests.calibration.conftest import PHOTOS

MODELS = (ModelConfig(), ModelConfig(name="fake", backend="torchscript"))


def load(model: ModelConfig) -> Embedder:
    return PdqEmbedder() if model.name == "pdq" else FakeEmbedder(model.name, embeddings=("final", "hidden"))


def run(photos: Path, state_dir: Path, steps: list[Step] | None = None, **others: object) -> CalibrationRun:
    arguments = {
        "state_dir": state_dir,
        "decoder": DecoderConfig(workers=2),
        "wanted": 0.9,
        "photos": PHOTOS,
        "seed": 0,
        "clock": SystemClock(),
        "environ": {},
        "on_step": (steps if steps is not None else []).append,
        "load": load,
    }
    found = candidates([os.fsencode(photos)], seed=0)
    return calibrate(found, MODELS, **{**arguments, **others})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def whole(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> CalibrationRun:
    return run(photos, tmp_path_factory.mktemp("state"))


def test_every_space_is_measured_and_the_hash_finds_what_is_re_encoded(whole: CalibrationRun) -> None:
    names = [outcome.calibration.space.name for outcome in whole.outcomes]
    assert names == ["pdq.hash", "fake.final", "fake.hidden"]
    rates = whole.outcomes[0].calibration.raw.rates
    assert rates is not None
    assert rates.by_copy["jpeg"] == 1.0
    assert rates.by_copy["mirrored"] == 1.0
    assert rates.recall > 0.9
    # the same bytes twice count once, the text not at all, nor a picture of next to nothing
    assert 20 <= whole.photos <= PHOTOS
    assert 1 <= rates.bursts <= 3


def test_a_run_that_was_stopped_goes_on_and_comes_to_the_same(
    whole: CalibrationRun, photos: Path, tmp_path: Path
) -> None:
    stop = threading.Event()

    def stop_early(step: Step) -> None:
        if step.phase == "copying" and step.done >= _CHUNK:
            stop.set()

    first = run(photos, tmp_path, stop=stop, on_step=stop_early)
    assert not first.complete
    assert first.outcomes == ()
    unfinished = list((tmp_path / "calibration").glob("unfinished-*/*.npz"))
    assert 0 < len(unfinished) < 4
    made_at = {file: file.stat().st_mtime_ns for file in unfinished}
    again = run(photos, tmp_path, stop=stop_before_the_last(made_at))
    assert again.complete
    for one, other in zip(again.outcomes, whole.outcomes, strict=True):
        assert one.calibration.raw == other.calibration.raw
        assert one.calibration.normalised == other.calibration.normalised
    assert not list((tmp_path / "calibration").glob("unfinished-*"))


def stop_before_the_last(made_at: dict[Path, int]) -> threading.Event:
    """An event that is never set; whoever asks it sees to it that the files of the first run are as they were."""

    class Never(threading.Event):
        def is_set(self) -> bool:
            assert all(file.stat().st_mtime_ns == at for file, at in made_at.items() if file.exists())
            return False

    return Never()


def test_what_a_crash_cut_off_is_collected_again(whole: CalibrationRun, photos: Path, tmp_path: Path) -> None:
    stop = threading.Event()
    run(photos, tmp_path, stop=stop, on_step=lambda step: stop.set() if step.phase == "copying" else None)
    (cut,) = (tmp_path / "calibration").glob("unfinished-*/*.npz")
    cut.write_bytes(cut.read_bytes()[:1000])
    again = run(photos, tmp_path)
    assert again.outcomes[0].calibration.raw == whole.outcomes[0].calibration.raw


def test_too_few_photos_say_nothing(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(StateError, match="different photos; at least 20"):
        calibrate(
            candidates([os.fsencode(photos)], seed=0)[:6],
            MODELS[:1],
            state_dir=tmp_path,
            decoder=DecoderConfig(workers=1),
            wanted=0.9,
            photos=PHOTOS,
            seed=0,
            clock=SystemClock(),
            environ={},
        )


def test_the_sample_takes_neighbours_by_name_together_and_follows_no_link(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(photos)
    (tmp_path / "own").mkdir()
    for name in ("a1", "a2", "b1", "b2"):
        (tmp_path / "own" / name).write_text(name)
    found = [os.path.basename(path) for path in candidates([os.fsencode(tmp_path)], seed=1)]
    assert sorted(found) == [b"a1", b"a2", b"b1", b"b2"]
    assert abs(found.index(b"a1") - found.index(b"a2")) == 1
    orders = {tuple(candidates([os.fsencode(photos)], seed=seed)) for seed in range(4)}
    assert len(orders) == 4
