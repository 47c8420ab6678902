"""`models list | fetch | verify`"""

from __future__ import annotations

import io

import pytest

from deepdupe_daemon.cli.download_view import download_view
from deepdupe_daemon.cli.shell import Shell
from deepdupe_daemon.clock import ManualClock
from tests.cli.conftest import Deepdupe


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def test_the_list_has_the_models_of_the_menu_with_what_there_is_to_know(here: Deepdupe) -> None:
    records = {record["name"]: record for record in here("models", "list", "--json").records}
    assert {"clip-vit-l-14", "clip-vit-b-32", "dinov3-vit-l-16", "sscd-disc-mixup", "pdq"} <= set(records)
    clip, dino = records["clip-vit-l-14"], records["dinov3-vit-l-16"]
    assert clip["dims"] == {"final": 768, "hidden": 1024}
    assert clip["embeddings"] == ["final", "hidden", "both"]
    assert (dino["dims"], dino["embeddings"], dino["gated"]) == ({"pooler": 1024}, ["pooler"], True)
    assert clip["batch_size_cuda"] == dino["batch_size_cuda"] == 400
    assert records["pdq"]["state"] == "needs no weights"
    assert records["pdq"]["threshold_status"] == "published"
    assert all(record["licence"] and record["threshold_source"] for record in records.values())


def test_the_list_for_people(here: Deepdupe) -> None:
    done = here("models", "list")
    assert done.code == 0
    assert "clip-vit-b-32  (CLIP ViT-Base-32)" in done.lines
    assert any(line.startswith("    final 512-dim, hidden 768-dim; 224 px; batch 400 on CUDA") for line in done.lines)


def test_fetching_without_network_says_what_to_do(here: Deepdupe) -> None:
    done = here("models", "fetch", "dinov3-vit-s-16", "--cache-dir", "cache")
    assert done.code in (75, 78)
    assert done.err.startswith("error: ")
    assert "not on disk, and downloading is switched off" in done.err
    assert "Traceback" not in done.err


def test_a_model_without_weights_needs_no_download(here: Deepdupe) -> None:
    assert here("models", "fetch", "pdq").out == "pdq needs no weights\n"


@pytest.mark.parametrize("name", ["clip-vit-l", "PDQ"])
def test_an_unknown_model_is_told(name: str, here: Deepdupe) -> None:
    done = here("models", "fetch", name)
    assert done.code == 78
    assert done.err.startswith("error: ")


def test_a_model_is_verified_by_running_it(here: Deepdupe) -> None:
    done = here("models", "verify", "pdq", "--json")
    assert done.code == 0
    assert done.records[0]["dims"] == {"pdq.hash": 256}
    assert here("models", "verify", "pdq").out == "pdq on cpu: pdq.hash 256-dim: sound\n"


def test_a_model_that_is_not_there_is_not_sound(here: Deepdupe) -> None:
    done = here("models", "verify", "clip-vit-b-32", "--cache-dir", "cache")
    assert done.code == 78
    assert "not on disk" in done.err
    assert "Traceback" not in done.err


def test_a_download_is_shown_in_lines_where_nobody_looks() -> None:
    err = io.StringIO()
    with download_view(Shell(io.StringIO(), io.StringIO(), err, {}, ManualClock())) as show:
        for done in range(0, 50_000_001, 1_000_000):
            show("weights", done, 50_000_000)
        show("other", 5, 0)
    lines = err.getvalue().splitlines()
    assert lines[0] == "weights: 0 of 50 MB"
    assert len(lines) == 12
    assert lines[-1] == "other: begun"
