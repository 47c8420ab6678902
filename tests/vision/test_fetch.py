"""Downloads from a hub on this machine: progress, resuming, digests, each failure with its message and exit code."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from deepdupe_daemon.config import ModelConfig
from deepdupe_daemon.errors import ModelError, ModelUnavailable
from deepdupe_daemon.vision import fetch_model, load_embedder, plan_model, verify_model
from deepdupe_daemon.vision.fetch import fetch_snapshot, fetch_url
from deepdupe_daemon.vision.hub_cache import HubCache
from tests.vision.hub_server import COMMIT, Hub
from tests.vision.networks import TINY_CLIP, save_safetensors, tiny_clip
from tests.vision.test_transformers import save, vit

REPO = "org/own-model"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = save(vit(), tmp_path_factory.mktemp("served"))
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    return {**files, "pytorch_model.bin": b"not wanted", "README.md": b"not wanted"}


@pytest.fixture
def hub(served: dict[str, bytes]) -> Iterator[Hub]:
    started = Hub(REPO, served)
    yield started
    started.close()


def model(tmp_path: Path, **options: object) -> ModelConfig:
    settings: dict[str, object] = {
        "name": "own",
        "backend": "transformers",
        "weights": REPO,
        "cache_dir": tmp_path / "cache",
        "device": "cpu",
        "precision": "fp32",
        **options,
    }
    return ModelConfig(**settings)


def environ(hub: Hub, **more: str) -> dict[str, str]:
    return {"HOME": "/nowhere", "HF_ENDPOINT": hub.address, **more}


def test_what_is_needed_is_fetched_with_progress_and_pinned(hub: Hub, tmp_path: Path) -> None:
    """The preferred weights alone, byte counts that rise to the total, the commit, the digest; then usable offline."""
    steps: list[tuple[str, int, int]] = []
    fetched = fetch_model(model(tmp_path), environ=environ(hub), on_progress=lambda *step: steps.append(step))
    names = {path.name for path in fetched.files[0].parent.iterdir()}
    assert names == {"config.json", "preprocessor_config.json", "model.safetensors"}
    assert fetched.revision == COMMIT
    assert fetched.sha256 == hashlib.sha256(hub.files["model.safetensors"]).hexdigest()
    total = sum(len(hub.files[name]) for name in names)
    assert [step[1] for step in steps] == sorted(step[1] for step in steps)
    assert steps[-1] == (REPO, total, total)
    embedder = load_embedder(model(tmp_path, offline=True), environ={"HOME": "/nowhere"}, threads=1)
    assert embedder.spaces[0].weights_digest == fetched.sha256
    before = len(hub.requests)
    again = fetch_model(model(tmp_path), environ=environ(hub))
    assert again == fetched
    assert len(hub.requests) == before, "what is on disk is not asked for again"
    verified = verify_model(model(tmp_path), environ=environ(hub), threads=1)
    assert verified.sha256 == fetched.sha256
    assert verified.dims == {"own.pooler": 48}


def test_a_download_that_broke_off_goes_on_from_there(hub: Hub, tmp_path: Path) -> None:
    """The client writes in chunks of 10 MB, so what it resumes must be larger."""
    whole = hub.files["model.safetensors"] = bytes(24_000_000)
    hub.breaks_after = 15_000_000
    cache = HubCache.of(environ(hub), cache_dir=tmp_path)
    snapshot = fetch_snapshot(REPO, ["model.safetensors"], cache)
    assert (snapshot.folder / "model.safetensors").read_bytes() == whole
    ranges = [asked for _, path, asked in hub.requests if path.endswith("model.safetensors") and asked]
    assert [int(asked.removeprefix("bytes=").split("-")[0]) > 0 for asked in ranges] == [True]


def test_an_interrupted_snapshot_is_completed(hub: Hub, tmp_path: Path) -> None:
    """A cache that holds the configuration and no weights is no model: the rest is fetched."""
    fetched = fetch_model(model(tmp_path), environ=environ(hub))
    fetched.files[0].unlink()
    assert fetch_model(model(tmp_path), environ=environ(hub)) == fetched
    fetched.files[0].unlink()
    with pytest.raises(ModelError, match="holds no weights"):
        plan_model(model(tmp_path, offline=True), environ=environ(hub))


def test_a_wrong_digest_is_refused(hub: Hub, tmp_path: Path) -> None:
    hub.stated_sha256["model.safetensors"] = "ab" * 32
    with pytest.raises(ModelError, match=f"its host states {'ab' * 32}") as raised:
        fetch_model(model(tmp_path), environ=environ(hub))
    assert raised.value.exit_code == 78


def test_changed_bytes_in_the_cache_are_found_by_verify(hub: Hub, tmp_path: Path) -> None:
    fetched = fetch_model(model(tmp_path), environ=environ(hub))
    blob = fetched.files[0].resolve()
    body = bytearray(blob.read_bytes())
    body[-1] ^= 1
    blob.write_bytes(bytes(body))
    with pytest.raises(ModelError, match="stored under another"):
        verify_model(model(tmp_path), environ=environ(hub), threads=1)


@pytest.mark.parametrize("token", [None, "hf_wrong"])
def test_a_gated_repository_says_where_to_accept_and_how_to_hand_over_a_token(
    hub: Hub, tmp_path: Path, token: str | None
) -> None:
    hub.gated = True
    with pytest.raises(ModelUnavailable) as raised:
        fetch_model(model(tmp_path), environ=environ(hub, **({"HF_TOKEN": token} if token else {})))
    text = str(raised.value)
    assert raised.value.exit_code == 75
    assert f"https://huggingface.co/{REPO}" in text
    assert "LoadCredential=" in text
    assert "HF_TOKEN" in text
    assert "hf_wrong" not in text


@pytest.mark.parametrize("place", ["environment", "credential", "login"])
def test_a_token_is_taken_from_each_of_its_places_and_never_shown(hub: Hub, tmp_path: Path, place: str) -> None:
    hub.gated = True
    more = {}
    if place == "environment":
        more["HF_TOKEN"] = hub.token
    elif place == "credential":
        (tmp_path / "credentials").mkdir()
        (tmp_path / "credentials" / "hf-token").write_text(f"{hub.token}\n")
        more["CREDENTIALS_DIRECTORY"] = str(tmp_path / "credentials")
    else:
        (tmp_path / "hf").mkdir()
        (tmp_path / "hf" / "token").write_text(hub.token)
        more["HF_HOME"] = str(tmp_path / "hf")
    assert fetch_model(model(tmp_path), environ=environ(hub, **more)).revision == COMMIT
    assert hub.token not in repr(HubCache.of(environ(hub, **more)))


def test_no_network_is_a_passing_trouble(hub: Hub, tmp_path: Path) -> None:
    settings = environ(hub)
    hub.close()
    with pytest.raises(ModelUnavailable, match="could not be fetched") as raised:
        fetch_model(model(tmp_path), environ=settings)
    assert raised.value.exit_code == 75
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(("status", "kind"), [(500, ModelUnavailable), (404, ModelError)])
def test_the_servers_answer_is_told(hub: Hub, tmp_path: Path, status: int, kind: type[ModelError]) -> None:
    hub.answer_with = status
    with pytest.raises(kind) as raised:
        fetch_model(model(tmp_path), environ=environ(hub))
    assert REPO in str(raised.value)
    assert raised.value.exit_code == (75 if kind is ModelUnavailable else 78)


def test_no_space_is_told_before_anything_is_fetched(hub: Hub, tmp_path: Path) -> None:
    hub.stated_size["model.safetensors"] = 1 << 60
    with pytest.raises(ModelUnavailable, match="no space") as raised:
        fetch_model(model(tmp_path), environ=environ(hub))
    assert raised.value.exit_code == 75
    assert not any(path.endswith("model.safetensors") for _, path, _ in hub.requests)


def test_a_full_disk_is_told(hub: Hub, tmp_path: Path) -> None:
    """/dev/full answers every write with ENOSPC."""
    (tmp_path / "own.pt.part").symlink_to("/dev/full")
    with pytest.raises(ModelUnavailable, match="no space left"):
        fetch_url(f"{hub.address}/model.safetensors", tmp_path / "own.pt")


def test_a_file_outside_the_hub_is_resumed_and_checked(hub: Hub, tmp_path: Path) -> None:
    url, whole = f"{hub.address}/model.safetensors", hub.files["model.safetensors"]
    target = tmp_path / "deep" / "own.pt"
    hub.breaks_after = 1000
    with pytest.raises(ModelUnavailable, match="broke off after 1000"):
        fetch_url(url, target)
    assert not target.exists()
    steps: list[tuple[str, int, int]] = []
    fetch_url(url, target, sha256=hub.sha256("model.safetensors"), on_progress=lambda *step: steps.append(step))
    assert target.read_bytes() == whole
    assert hub.requests[-1] == ("GET", "/model.safetensors", "bytes=1000-")
    assert steps[-1] == ("own.pt", len(whole), len(whole))
    with pytest.raises(ModelError, match="its host states"):
        fetch_url(url, tmp_path / "other.pt", sha256="ab" * 32)
    with pytest.raises(ModelError, match="404"):
        fetch_url(f"{hub.address}/gone.pt", tmp_path / "gone.pt")


def test_an_open_clip_repository_is_taken_by_name(tmp_path: Path) -> None:
    """`backend: open_clip` with ORG/NAME: its open_clip_config.json says architecture, activation and constants."""
    config = {"model_cfg": {**TINY_CLIP, "quick_gelu": True}, "preprocess_cfg": {"mean": [0.5] * 3, "std": [0.5] * 3}}
    file = save_safetensors(tiny_clip().state_dict(), tmp_path / "w.safetensors")
    served = {"open_clip_config.json": json.dumps(config).encode(), "open_clip_model.safetensors": file.read_bytes()}
    hub = Hub(REPO, served)
    try:
        own = model(tmp_path, backend="open_clip")
        plan = plan_model(own, environ=environ(hub))
        assert plan.quick_gelu
        assert plan.preprocessing.mean == (0.5, 0.5, 0.5)
        assert plan_model(own.model_copy(update={"offline": True}), environ=environ(hub)).files == plan.files
        with pytest.raises(ModelError, match="no such file"):
            plan_model(model(tmp_path, backend="open_clip", weights="models/gone.pt"), environ=environ(hub))
    finally:
        hub.close()


def test_offline_asks_nobody(hub: Hub, tmp_path: Path) -> None:
    for options, more in (({"offline": True}, {}), ({}, {"HF_HUB_OFFLINE": "1"})):
        with pytest.raises(ModelError, match="switched off"):
            fetch_model(model(tmp_path, **options), environ=environ(hub, **more))
    assert not hub.requests
