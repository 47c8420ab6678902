"""Downloads from a hub on this machine: progress, resuming, digests, each failure with its message and exit code."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deepdupe_daemon.config import ModelConfig
from deepdupe_daemon.errors import ModelError, ModelUnavailable, WeightsAbsent
from deepdupe_daemon.vision import fetch_model, load_embedder, plan_model, verify_model
from deepdupe_daemon.vision.download import fetch_url
from deepdupe_daemon.vision.fetch import fetch_snapshot
from deepdupe_daemon.vision.hub_cache import HubCache
from tests.conftest import PROJECT_ROOT, Eventually
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
    whole = hub.files["model.safetensors"] = random.Random(0).randbytes(3_000_000)
    hub.breaks_after = 2_000_000
    cache = HubCache.of(environ(hub), cache_dir=tmp_path)
    with pytest.raises(ModelUnavailable, match=r"broke off after 2000000 of 3000000 bytes \(run the same again"):
        fetch_snapshot(REPO, ["model.safetensors"], cache)
    steps: list[tuple[str, int, int]] = []
    snapshot = fetch_snapshot(REPO, ["model.safetensors"], cache, on_progress=lambda *step: steps.append(step))
    assert (snapshot.folder / "model.safetensors").read_bytes() == whole
    assert ranges(hub) == ["bytes=2000000-"]
    assert steps[0][1] > 2_000_000
    assert steps[-1] == (REPO, len(whole), len(whole))


def test_a_download_that_was_killed_goes_on_from_there(hub: Hub, tmp_path: Path, eventually: Eventually) -> None:
    """SIGKILL in the midst of the weights, as a person or a power cut ends it; the same command again."""
    size = len(hub.files["model.safetensors"])
    hub.halts_after = size // 2
    command = [sys.executable, "-m", "deepdupe_daemon", "models", "fetch", "own", "--config", str(tmp_path / "c.yaml")]
    settings = json.loads(model(tmp_path).model_dump_json(include={"name", "backend", "weights", "cache_dir"}))
    (tmp_path / "c.yaml").write_text(json.dumps({"roots": [{"path": "/"}], "models": [settings]}))
    environment = {**os.environ, **environ(hub), "PYTHONPATH": str(PROJECT_ROOT)}
    environment.pop("HF_HUB_OFFLINE", None)
    first = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    eventually(lambda: any(path.stat().st_size for path in tmp_path.rglob("*.part")), timeout_s=90)
    first.kill()
    assert first.wait() == -signal.SIGKILL
    hub.goes_on.set()
    again = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert again.returncode == 0, again.stderr
    assert [int(asked.removeprefix("bytes=").removesuffix("-")) > 0 for asked in ranges(hub)] == [True]
    assert f"SHA-256 {hub.sha256('model.safetensors')}, revision {COMMIT}" in again.stderr
    assert Path(again.stdout.strip()).read_bytes() == hub.files["model.safetensors"]


def test_all_files_are_of_the_commit_that_was_asked_for(hub: Hub, tmp_path: Path) -> None:
    """A tag is resolved once, and remembered for who looks without network."""
    fetched = fetch_model(model(tmp_path, revision="v1"), environ=environ(hub))
    assert fetched.revision == COMMIT
    assert ("GET", f"/api/models/{REPO}/revision/v1", None) in hub.requests
    resolved = [path for _, path, _ in hub.requests if "/resolve/" in path]
    assert resolved
    assert all(path.startswith(f"/{REPO}/resolve/{COMMIT}/") for path in resolved)
    for revision in ("v1", COMMIT):
        offline = model(tmp_path, revision=revision, offline=True)
        assert plan_model(offline, environ={"HOME": "/nowhere"}).files == fetched.files
    with pytest.raises(WeightsAbsent):
        plan_model(model(tmp_path, revision="v2", offline=True), environ={"HOME": "/nowhere"})


def test_a_token_is_shown_to_the_hub_alone(hub: Hub, tmp_path: Path) -> None:
    """The hub sends large files on to another host, by an address with a signature that no message may repeat."""
    store = Hub(REPO, {"model.safetensors": hub.files["model.safetensors"]})
    try:
        hub.cdn, hub.gated = store.address, True
        fetched = fetch_model(model(tmp_path), environ=environ(hub, HF_TOKEN=hub.token))
        assert fetched.sha256 == hub.sha256("model.safetensors")
        assert [path for _, path, _ in store.requests] == ["/model.safetensors"]
        hub.gated = False
        fetch_url(f"{hub.address}/model.safetensors", tmp_path / "own.pt", token=hub.token)
        assert (hub.tokens, store.tokens) == ({hub.token}, set())
        store.answer_with = 403
        with pytest.raises(ModelUnavailable) as raised:
            fetch_model(model(tmp_path / "other"), environ=environ(hub))
        assert f"{REPO}/model.safetensors: the server answered 403" in str(raised.value)
        assert "secret" not in str(raised.value)
    finally:
        store.close()


def test_two_processes_do_not_write_one_part(hub: Hub, tmp_path: Path) -> None:
    part = tmp_path / "own.pt.part"
    with part.open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(ModelUnavailable, match="another process is fetching it"):
            fetch_url(f"{hub.address}/model.safetensors", tmp_path / "own.pt")
    fetch_url(f"{hub.address}/model.safetensors", tmp_path / "own.pt")


def ranges(hub: Hub) -> list[str]:
    """What was asked for of the weights, where it was not all of them."""
    return [asked for _, path, asked in hub.requests if path.endswith("model.safetensors") and asked]


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
    switched: list[dict[str, str]] = [{"HF_HUB_OFFLINE": "1"}, {"TRANSFORMERS_OFFLINE": "true"}]
    for options, more in (({"offline": True}, {}), *(({}, each) for each in switched)):
        with pytest.raises(ModelError, match="switched off"):
            fetch_model(model(tmp_path, **options), environ=environ(hub, **more))
    assert not hub.requests
