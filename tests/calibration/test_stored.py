"""Calibrations at rest, and how `status` and `models list` speak of them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from deepdupe_daemon.calibration import Calibration, Scores, read_calibrations, recommended, store_calibration
from deepdupe_daemon.calibration.measure import measured
from deepdupe_daemon.cli.calibration_text import calibration_lines, calibration_remark, recommendation_lines
from deepdupe_daemon.vision import PDQ_SPACE
from deepdupe_daemon.vision.copies import EDITED, RE_ENCODED


def made(*, photos: int = 2000, wanted: float = 0.995, copies: float = 0.95, rate: float = 50.0) -> Calibration:
    scores = Scores(
        {name: np.full(photos, copies) for name in (*RE_ENCODED, *EDITED)}, np.full((photos, 3), 0.4), np.array([0.97])
    )
    found, _ = measured(scores, wanted=wanted, library=9 * photos)
    return Calibration(
        space=PDQ_SPACE,
        wanted=wanted,
        photos=photos,
        library=9 * photos,
        seed=0,
        made_at_ns=1_795_435_200_000_000_000,
        version="0.1.0",
        raw=found,
        normalised=found,
        images_per_s=rate,
        memory_bytes=0,
        row_bytes=32,
        copies_left_out=2,
    )


def test_what_is_stored_is_read_again(tmp_path: Path) -> None:
    store_calibration(tmp_path, made())
    assert read_calibrations(tmp_path) == {"pdq.hash": made()}
    later = replace(made(), seed=1)
    store_calibration(tmp_path, later)
    assert read_calibrations(tmp_path) == {"pdq.hash": later}


def test_it_is_bound_to_the_spaces_key() -> None:
    other = replace(made(), space=replace(PDQ_SPACE, weights_digest="00"))
    assert other.fingerprint != made().fingerprint
    assert other.to_dict()["fingerprint"] == other.fingerprint


@pytest.mark.parametrize("text", ["", "{}", '{"format": 1, "calibration": {"space": {}}}', "\xff"])
def test_a_file_of_another_version_is_as_good_as_none(text: str, tmp_path: Path) -> None:
    (tmp_path / "calibration").mkdir()
    (tmp_path / "calibration" / "pdq.hash.json").write_text(text, "latin-1")
    assert read_calibrations(tmp_path) == {}


def test_no_state_dir_no_calibrations(tmp_path: Path) -> None:
    assert read_calibrations(tmp_path / "none") == {}


def test_the_remark_is_short_and_says_when_it_is_not_proven() -> None:
    assert calibration_remark(made()) == "calibrated 2026-11-23 on 2,000 photos: 0.950 @ 99.5 %"
    assert calibration_remark(made(photos=30)).endswith("0.950 @ 99.5 %, not proven")


def test_the_text_holds_every_figure_within_80_columns() -> None:
    names = ["pdq", "clip-vit-b-32", "dinov3-vit-s-16", "sscd-disc-large", "dinov3-vit-7b-16-sat493m"]
    all_of_them = [replace(made(), space=replace(PDQ_SPACE, model=name)) for name in names]
    lines = [*calibration_lines(all_of_them), *recommendation_lines(all_of_them)]
    assert max(len(line) for line in lines) <= 80
    text = "\n".join(lines)
    for word in ("precision", "recall", "false proposals", "normalised", "mirrored", "does not show", "recommended"):
        assert word in text
    for name in names:
        assert text.count(name) >= 2
    json.dumps(made().to_dict())


def test_what_is_not_proven_says_why() -> None:
    def reason(calibration: Calibration) -> str:
        return next(line for line in calibration_lines([calibration]) if "not proven" in line)

    assert "takes at least 765 photos" in reason(made(photos=30))
    scores = Scores({name: np.full(900, 0.9) for name in (*RE_ENCODED, *EDITED)}, np.full((900, 3), 0.9), np.array([]))
    alike, _ = measured(scores, wanted=0.995, library=900)
    assert "no threshold keeps mistakes so rare" in reason(replace(made(photos=900), raw=alike))


def test_of_equals_the_fastest_is_recommended_and_proof_comes_first() -> None:
    slow, fast, unproven = made(rate=5), made(rate=50), made(photos=30, rate=500)
    assert recommended([slow, fast, unproven]) is fast
    worse = made(copies=0.3, rate=500)
    assert recommended([slow, worse]) is slow
    assert recommended([unproven]) is unproven
    assert recommended([]) is None
