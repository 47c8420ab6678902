"""The script for a GPU machine runs: here on the processor, with two small networks and next to no time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.benchmarks.gpu_models import main


def test_it_measures_each_network_that_it_is_given(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    models = ["dinov3-vit-s-16", "dinov3-convnext-tiny"]
    names = ["--models", *models, "--device", "cpu"]
    main([*names, "--batch", "2", "--seconds", "0.01", "--cosines", "2", "--pictures", str(data_dir), "--photos", "2"])
    said = capsys.readouterr()
    *each, together = [json.loads(line) for line in said.out.splitlines()]
    for name, found in zip(models, each, strict=True):
        assert found["model"].startswith(f"{name} ")
        for rates in (found["forward_images_a_s"], found["staged_images_a_s"]):
            assert set(rates) == {"1", "2"}
            assert min(rates.values()) > 0
        assert found["end_to_end_images_a_s"] > 0
        assert found["worst_cosine_to_fp32"] > 0.999
        assert found["cosine_over"] == "2 photos"
        assert found["peak_rss_mb"] > 0
    assert together["together"] == models
    assert together["end_to_end_images_a_s"] > 0
    assert "matrix rate: " in said.err
