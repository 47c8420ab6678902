"""Fifteen checks that a service which watches folders must stand, each by its own test, named after it.

They come from what was measured to go wrong in watchers, decoders and the programs of this field. Most run the program
as a person starts it; those that have to put a fault into a certain place run the service in a thread of the test.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from deepdupe_daemon.act import Kind
from deepdupe_daemon.clock import SystemClock
from deepdupe_daemon.config import ChromaConfig, Config, ModelConfig, config_for_folders
from deepdupe_daemon.intake.router import Router
from deepdupe_daemon.ledger import FileRow, Ledger
from deepdupe_daemon.model import F32Array, FileState, SpaceKey, U8Array
from deepdupe_daemon.service import ControlClient
from deepdupe_daemon.service.resident import ResidentModels
from deepdupe_daemon.vision import FakeEmbedder, PdqEmbedder
from deepdupe_daemon.vision.embedder import OutOfDeviceMemory
from tests.acceptance.daemon import Daemon, counts, program
from tests.benchmarks.processes import family
from tests.conftest import Eventually
from tests.intake.scenes import NAMESPACE
from tests.service.pictures import photo, save
from tests.service.test_pipeline import running

pytestmark = pytest.mark.timeout(600)

PATIENCE_S = 120.0
SMALL = (192, 144)
WORKER, STORE = b"deepdupe_daemon.vision.worker", b"deepdupe_daemon.index.chroma_process"
DONE = (FileState.INDEXED, FileState.FAILED, FileState.IGNORED)


@dataclass
class House:
    """A `watch` of one folder, and what the ledger says of it."""

    root: Path
    state: Path
    daemon: Daemon
    eventually: Eventually

    def rows(self, below: str = "") -> dict[str, FileRow]:
        """What is known below a folder, by the path from there on."""
        top = os.fsencode(self.root / below)
        with Ledger.open(self.state, SystemClock(), readonly=True) as ledger:
            found = [ledger.file_by_path(path) for path, _, _ in ledger.known_paths(top)]
        return {os.fsdecode(row.key.path[len(top) + 1 :]): row for row in found if row is not None}

    def until_done(self, below: str, names: set[str]) -> dict[str, FileRow]:
        """Wait until exactly `names` are known below a folder, and each is seen and judged or has its reason."""

        def complete() -> dict[str, FileRow] | None:
            rows = self.rows(below)
            return rows if rows.keys() == names and all(row.state in DONE for row in rows.values()) else None

        found = self.eventually(complete, PATIENCE_S, every_s=0.1)
        assert found is not None
        return found

    def told(self, below: str) -> list[str]:
        """The duplicates that it has told of below a folder."""
        records = self.daemon.records("duplicate-found")
        return [record["path"] for record in records if record["path"].startswith(f"{self.root / below}/")]


@pytest.fixture(scope="module")
def open_house(tmp_path_factory: pytest.TempPathFactory, project_root: Path) -> Iterator[Callable[..., House]]:
    """Makes houses, and ends them all."""
    houses: list[House] = []

    def make(
        eventually: Eventually, *, wrapper: Sequence[str] = (), prepare: Callable[[Path], None] | None = None
    ) -> House:
        place = tmp_path_factory.mktemp("house")
        root, state = place / "photos", place / "state"
        root.mkdir()
        if prepare is not None:
            prepare(root)
        daemon = Daemon(root, state, place / "said.jsonl", project_root, wrapper=wrapper)
        house = House(root, state, daemon, eventually)
        houses.append(house)
        eventually(lambda: daemon.ready, PATIENCE_S, every_s=0.05)
        return house

    yield make
    for house in houses:
        if house.daemon.process.poll() is None:
            house.daemon.kill(whole_group=True)


_SHARED: list[House] = []


@pytest.fixture
def house(open_house: Callable[..., House], eventually: Eventually) -> House:
    """One house that several checks share, each in a folder of its own."""
    if not _SHARED:
        _SHARED.append(open_house(eventually))
    shared = _SHARED[0]
    assert shared.daemon.process.poll() is None, shared.daemon.last_words()
    shared.eventually = eventually
    return shared


def test_check_01_twenty_thousand_files_behind_its_back_are_all_found_and_the_loss_is_told_once(
    open_house: Callable[..., House], eventually: Eventually
) -> None:
    queue = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    if queue > 50_000:
        pytest.skip(f"fs.inotify.max_queued_events = {queue}: 20,000 files do not overflow it")
    house = open_house(eventually)
    pictures = [house.root / f"{number}.png" for number in range(4)]
    os.kill(house.daemon.pid, signal.SIGSTOP)
    os.waitid(os.P_PID, house.daemon.pid, os.WSTOPPED)
    for number in range(19_992):
        (house.root / f"{number:05}.txt").write_bytes(b"no picture %d" % number)
    for number, path in enumerate(pictures):
        photo(number, SMALL).save(path)
        shutil.copy(path, path.with_suffix(".copy"))
    os.kill(house.daemon.pid, signal.SIGCONT)
    eventually(lambda: sum(counts(house.state)[state] for state in DONE) == 20_000, 300, every_s=0.25)
    found = counts(house.state)
    assert (found[FileState.INDEXED], found[FileState.IGNORED]) == (8, 19_992)
    eventually(lambda: len(house.told("")) == 4, PATIENCE_S)
    assert len(house.daemon.records("events-lost")) == 1
    assert house.daemon.records("rescan-done"), "and it is told when it was made good"
    house.daemon.kill(whole_group=True)


def test_check_02_a_copied_tree_and_a_churn_like_that_of_git_are_all_indexed_and_nothing_twice(
    house: House, tmp_path: Path
) -> None:
    source = tmp_path / "tree"
    wanted = set()
    for number in range(24):
        name = f"{number % 4}/{number % 6}/{number}.jpg"
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        photo(number, SMALL).save(source / name)
        wanted.add(f"tree/{name}")
    (house.root / "churn").mkdir()
    subprocess.run(["cp", "-r", source, house.root / "churn"], check=True)
    for number in range(200):  # as git writes objects, refs and its index: beside, then into place; or made and removed
        part = house.root / "churn" / f"index.lock{number}"
        part.write_bytes(b"%d" % number)
        part.rename(house.root / "churn" / f"index{number % 10}")
        (house.root / "churn" / f"tmp_obj_{number}").write_bytes(b"x")
        (house.root / "churn" / f"tmp_obj_{number}").unlink()
    rows = house.until_done("churn", wanted | {f"index{number}" for number in range(10)})
    pictures = [row for name, row in rows.items() if name in wanted]
    assert {row.state for row in pictures} == {FileState.INDEXED}
    assert len({row.image_id for row in pictures}) == 24
    assert house.told("churn") == []


def test_check_03_a_directory_that_is_moved_in_is_seen_and_so_is_a_file_that_is_added_to_it(
    house: House, tmp_path: Path
) -> None:
    save(photo(101, SMALL), tmp_path / "in" / "deep" / "a.png")
    (house.root / "moved").mkdir()
    (tmp_path / "in").rename(house.root / "moved" / "in")
    house.until_done("moved", {"in/deep/a.png"})
    shutil.copy(house.root / "moved/in/deep/a.png", house.root / "moved/in/deep/b.png")
    house.until_done("moved", {"in/deep/a.png", "in/deep/b.png"})
    house.eventually(lambda: house.told("moved") == [str(house.root / "moved/in/deep/b.png")], PATIENCE_S)


def test_check_04_with_twenty_watches_it_runs_on_walks_and_says_so(
    open_house: Callable[..., House], eventually: Eventually
) -> None:
    """The limit of a user namespace is its own, so that the machine's stays as it is."""
    wrapper = ["unshare", "-Ur", "sh", "-c", 'echo 20 > /proc/sys/user/max_inotify_watches && exec "$@"', "sh"]
    if subprocess.run([*wrapper, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("no user namespaces here, or no limit of watches in them")

    def forty_folders(root: Path) -> None:
        for number in range(40):
            (root / f"{number:02}").mkdir()

    house = open_house(eventually, wrapper=wrapper, prepare=forty_folders)
    (limit,) = house.daemon.records("watch-limit")
    assert "sysctl fs.inotify.max_user_watches=" in limit["message"]
    save(photo(1, SMALL), house.root / "39" / "a.png")
    shutil.copy(house.root / "39" / "a.png", house.root / "38" / "b.png")
    house.until_done("", {"39/a.png", "38/b.png"})
    eventually(lambda: len(house.told("")) == 1, PATIENCE_S)
    house.daemon.kill(whole_group=True)


def test_check_05_a_root_that_goes_and_comes_back_is_heard_again_and_an_empty_mount_is_no_deletion(
    tmp_path: Path, project_root: Path
) -> None:
    """Deleted, made again, renamed, unmounted: in a private mount namespace, by `tests.acceptance.outages`."""
    if subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("no user and mount namespaces here")
    command = [*NAMESPACE, sys.executable, "-W", "error", "-m", "tests.acceptance.outages", str(tmp_path), "60"]
    done = subprocess.run(command, cwd=project_root, capture_output=True, text=True, check=False, timeout=500)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """Without Chroma, which most checks do not need and which takes seconds to start."""
    (tmp_path / "photos").mkdir()
    config = config_for_folders([tmp_path / "photos"], state_dir=tmp_path / "state", environ={})
    return config.model_copy(update={"chroma": ChromaConfig(mode="off")})


@pytest.fixture
def stored(config: Config) -> Config:
    return config.model_copy(update={"chroma": ChromaConfig()})


def states(config: Config) -> dict[FileState, int]:
    return {state: count for state, count in counts(config.state_dir).items() if count}


@pytest.mark.parametrize("part", ["handler", "decoder", "encoder"])
def test_check_06_each_part_may_fail_once_and_the_service_is_never_deaf(
    part: str, config: Config, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = config.roots[0].path
    failed: list[str] = []

    def fail_once(owner: type, method: str) -> None:
        original = getattr(owner, method)

        def failing(*arguments: Any, **keywords: Any) -> Any:
            if not failed:
                failed.append(method)
                raise RuntimeError(f"{part} was made to fail")
            return original(*arguments, **keywords)

        monkeypatch.setattr(owner, method, failing)

    with running(config, eventually) as service:
        match part:
            case "handler":
                fail_once(Router, "handle")
            case "encoder":
                fail_once(PdqEmbedder, "embed")
            case "decoder":
                failed += [str(pid) for pid in signalled(WORKER, signal.SIGKILL, eventually)]
        save(photo(1), photos / "a.png")
        save(photo(2), photos / "b.png")
        eventually(lambda: sum(states(config).values()) == 2 and set(states(config)) <= set(DONE), PATIENCE_S)
        assert failed, "nothing was made to fail"
        shutil.copy(photos / "b.png", photos / "copy.png")
        eventually(lambda: service.told(Kind.DUPLICATE_FOUND), PATIENCE_S)
    if part == "handler":
        assert len(service.told(Kind.HANDLER_ERROR)) == 1
    if part != "encoder":
        assert states(config) == {FileState.INDEXED: 3}


def test_check_06_the_store_may_be_killed_and_is_made_good(stored: Config, eventually: Eventually) -> None:
    photos = stored.roots[0].path
    with running(stored, eventually) as service:
        save(photo(1), photos / "a.png")
        first = signalled(STORE, signal.SIGKILL, eventually)
        save(photo(2), photos / "b.png")
        shutil.copy(photos / "b.png", photos / "copy.png")
        eventually(lambda: service.told(Kind.DUPLICATE_FOUND), PATIENCE_S)
        eventually(lambda: states(stored) == {FileState.INDEXED: 3} and behind(stored) == 0, PATIENCE_S)
        assert set(signalled(STORE, signal.SIGCONT, eventually)).isdisjoint(first)


def signalled(module: bytes, number: signal.Signals, eventually: Eventually) -> list[int]:
    """Send a signal to the children of this process that run `module`, once there are any; gives their pids."""
    pids = eventually(lambda: [pid for pid in family(os.getpid()) if module in cmdline(pid)], PATIENCE_S)
    for pid in pids:
        os.kill(pid, number)
    return pids


def behind(config: Config) -> int:
    with Ledger.open(config.state_dir, SystemClock(), readonly=True) as ledger:
        return sum(ledger.unstored_counts().values())


ODD_NAMES = (
    b"\xff\xfe not utf-8.png",
    b"new\nline.png",
    b"x" * 251 + b".png",
    b"..png",
    b"... .png",
    b"-rf *.png",
    b"\x1b[31mred.png",
)


def test_check_07_any_name_reaches_ledger_and_record_as_it_is(house: House, tmp_path: Path) -> None:
    original = save(photo(107, SMALL), tmp_path / "a.png")
    folder = house.root / "names"
    folder.mkdir()
    shutil.copy(original, folder / "a.png")
    house.until_done("names", {"a.png"})
    for name in ODD_NAMES:
        with open(os.fsencode(folder) + b"/" + name, "wb") as file:
            file.write(original.read_bytes())
    house.until_done("names", {"a.png", *(os.fsdecode(name) for name in ODD_NAMES)})

    def told() -> set[bytes]:
        found = set()
        for record in house.daemon.records("duplicate-found"):
            exact = record.get("path_b64")
            path = base64.b64decode(exact) if exact else record["path"].encode()
            if path.startswith(os.fsencode(folder)):
                assert record["message"].isprintable()
                found.add(os.path.basename(path))
        return found

    house.eventually(lambda: told() == set(ODD_NAMES), PATIENCE_S)


class Configured:
    """A `run --config` of one folder, with systemd's socket in the test's hands."""

    def __init__(self, folder: Path, project_root: Path, *, action: str, bundle_wait_s: float = 0.0) -> None:
        self.root, self.state, self.file = folder / "photos", folder / "state", folder / "deepdupe.yaml"
        self.root.mkdir()
        self.project_root = project_root
        self.text = (
            f"roots:\n  - path: {self.root}\n    action: {action}\nstate_dir: {self.state}\n"
            f"judge:\n  bundle_wait_s: {bundle_wait_s}\nchroma:\n  mode: 'off'\nalerts:\n  to: stderr\n"
        )
        self.file.write_text(self.text)
        self._notices = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notices.setblocking(False)
        here = os.open(folder, os.O_RDONLY)
        self._notices.bind(f"/proc/self/fd/{here}/notify")  # the address may be no longer than 107 bytes
        os.close(here)
        self.heard = ""
        self._log = (folder / "stderr").open("w+b")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "deepdupe_daemon", "run", "--config", str(self.file)],
            cwd=project_root,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            env={**os.environ, "NOTIFY_SOCKET": str(folder / "notify")},
            start_new_session=True,
        )

    def notices(self) -> str:
        """All that it has told systemd so far."""
        with contextlib.suppress(BlockingIOError):
            while True:
                self.heard += self._notices.recv(4096).decode() + "\n"
        return self.heard

    def said(self) -> str:
        return Path(self._log.name).read_text(errors="replace")

    def end(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self._notices.close()
        self._log.close()


@pytest.fixture
def configured(tmp_path: Path, project_root: Path, eventually: Eventually) -> Iterator[Callable[..., Configured]]:
    made: list[Configured] = []

    def make(**options: Any) -> Configured:
        made.append(Configured(tmp_path, project_root, **options))
        eventually(lambda: "READY=1" in made[-1].notices(), PATIENCE_S)
        return made[-1]

    yield make
    for each in made:
        each.end()


def test_check_07_any_name_reaches_the_manifest_and_comes_back_as_it_was(
    configured: Callable[..., Configured], eventually: Eventually
) -> None:
    daemon = configured(action="quarantine")
    original = save(photo(107, SMALL), daemon.root / "a.png")
    eventually(lambda: counts(daemon.state)[FileState.INDEXED] == 1, PATIENCE_S)
    copies = {os.fsencode(daemon.root) + b"/" + name for name in ODD_NAMES}
    for path in copies:
        shutil.copy(original, path)
        os.chmod(path, 0o640)
        os.utime(path, ns=(1_600_000_000_123_456_789, 1_700_000_000_987_654_321))
    before = {path: like(path) for path in copies}
    eventually(lambda: not any(os.path.lexists(path) for path in copies), PATIENCE_S)
    manifests = [json.loads(path.read_bytes()) for path in daemon.root.glob(".deepdupe-quarantine/*/manifest.json")]
    assert len(manifests) == len(copies)
    program("quarantine", "restore", "--all", "--config", str(daemon.file), cwd=daemon.project_root)
    assert {path: like(path) for path in copies} == before


def like(path: bytes) -> tuple[bytes, int, int, int, int]:
    status = os.stat(path)
    with open(path, "rb") as file:
        return file.read(), status.st_mode, status.st_uid, status.st_gid, status.st_mtime_ns


def test_check_08_nothing_that_is_no_whole_picture_blocks_or_kills(house: House) -> None:
    folder = house.root / "hostile"
    folder.mkdir()
    save(photo(108, SMALL), folder / "good.jpg")
    whole = (folder / "good.jpg").read_bytes()
    (folder / "truncated.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "zero.jpg").touch()
    os.mkfifo(folder / "fifo.jpg")
    (folder / "dangling.jpg").symlink_to("nowhere")
    (folder / "cycle").symlink_to(".")
    (folder / "folder.jpg").mkdir()
    os.mknod(folder / "socket.jpg", 0o140644)
    (folder / "giant.png").write_bytes(grey_png(20_000, 20_000))
    (folder / "bomb.png").write_bytes(grey_png(200_000, 200_000, rows=1))
    with (folder / "half.jpg").open("wb", buffering=0) as half:
        half.write(whole[: len(whole) // 2])
        rows = house.until_done(
            "hostile", {"good.jpg", "truncated.jpg", "zero.jpg", "giant.png", "bomb.png", "half.jpg"}
        )
        assert rows["good.jpg"].state is FileState.INDEXED
        kinds = {name: row.error_kind for name, row in rows.items() if row.state is FileState.FAILED}
        assert kinds.pop("giant.png", "out-of-memory") in ("out-of-memory", "timeout")
        assert kinds == {
            "truncated.jpg": "truncated",
            "zero.jpg": "empty",
            "bomb.png": "too-many-pixels",
            "half.jpg": "truncated",
        }
        half.write(whole[len(whole) // 2 :])
    house.eventually(lambda: house.rows("hostile")["half.jpg"].state is FileState.INDEXED, PATIENCE_S)
    house.eventually(lambda: house.told("hostile") == [str(folder / "half.jpg")], PATIENCE_S)


def grey_png(width: int, height: int, *, rows: int | None = None) -> bytes:
    """A black PNG of one bit a pixel, of which `rows` are there."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    packer = zlib.compressobj(9)
    line = bytes(1 + width // 8)
    body = b"".join(packer.compress(line) for _ in range(height if rows is None else rows)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def test_check_09_a_parent_swapped_for_a_link_between_verdict_and_action_leads_nowhere(
    configured: Callable[..., Configured], eventually: Eventually, tmp_path: Path
) -> None:
    """It waits for late members of a bundle before it acts; in that time the folder is swapped."""
    daemon = configured(action="quarantine", bundle_wait_s=4.0)
    original = save(photo(109, SMALL), daemon.root / "a.png")
    eventually(lambda: counts(daemon.state)[FileState.INDEXED] == 1, PATIENCE_S)
    (daemon.root / "new").mkdir()
    shutil.copy(original, daemon.root / "new" / "copy.png")
    eventually(lambda: verdicts(daemon.state) == 1, PATIENCE_S)
    secret = tmp_path / "secret"
    secret.mkdir()
    shutil.copy(original, secret / "copy.png")
    (daemon.root / "new").rename(tmp_path / "was-new")
    (daemon.root / "new").symlink_to(secret)
    shutil.copy(original, daemon.root / "another.png")  # once this one was acted on, the turn of the first had come
    eventually(lambda: not (daemon.root / "another.png").exists(), PATIENCE_S)
    assert (secret / "copy.png").read_bytes() == original.read_bytes()
    assert (tmp_path / "was-new" / "copy.png").read_bytes() == original.read_bytes()
    assert len(list(daemon.root.glob(".deepdupe-quarantine/*/manifest.json"))) == 1
    assert daemon.process.poll() is None


def verdicts(state: Path) -> int:
    with Ledger.open(state, SystemClock(), readonly=True) as ledger:
        return sum(1 for _ in ledger.duplicates())


@pytest.mark.parametrize("doing", ["move", "restore"])
def test_check_10_killed_at_any_step_of_quarantine_it_converges(doing: str, tmp_path: Path, project_root: Path) -> None:
    """A sample; `act/test_kills.py` goes through them line by line."""
    command = [sys.executable, "-m", "tests.act.killing", str(tmp_path), "same", doing, "2", "499", "10"]
    done = subprocess.run(command, cwd=project_root, capture_output=True, text=True, check=True, timeout=500)
    found = json.loads(done.stdout)
    assert found["wrong"] == []
    assert found["kills"] >= 2


class Network(FakeEmbedder):
    """A network in miniature that cannot bear a picture whose first pixel is white, or more than `fits` at once."""

    def __init__(self, *, batch_ceiling: int, fits: int = 1000) -> None:
        super().__init__(batch_ceiling=batch_ceiling)
        self._fits = fits
        self.sizes: list[int] = []

    def embed(self, batch: U8Array) -> dict[str, F32Array]:
        self.sizes.append(len(batch))
        if len(batch) > self._fits:
            raise OutOfDeviceMemory(f"{len(batch)} pictures")
        if (batch[:, 0, 0].min(axis=1) == 255).any():
            raise ArithmeticError("poison")
        return super().embed(batch)


def models_of(config: Config, network: Network) -> ResidentModels:
    def load(_model: ModelConfig) -> Network:
        return network

    def threshold(_model: ModelConfig, _space: SpaceKey) -> float:
        return 0.95

    return ResidentModels(config, load, threshold)


def test_check_11_a_poisonous_picture_in_a_batch_of_32_costs_itself_alone(
    config: Config, eventually: Eventually
) -> None:
    photos = config.roots[0].path
    network = Network(batch_ceiling=32)
    for number in range(32):
        picture = photo(number, SMALL)
        if number == 17:
            picture.paste((255, 255, 255), (0, 0, 40, 40))
        save(picture, photos / f"{number:02}.png")
    with running(config, eventually, models=models_of(config, network)):
        eventually(lambda: states(config) == {FileState.INDEXED: 31, FileState.FAILED: 1}, PATIENCE_S)
    with Ledger.open(config.state_dir, SystemClock(), readonly=True) as ledger:
        (row,) = ledger.failed(10)
    assert (os.path.basename(row.key.path), row.error_kind) == (b"17.png", "embedding")


def test_check_12_a_device_out_of_memory_is_learned_from_and_everything_is_indexed(
    config: Config, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = config.roots[0].path
    network = Network(batch_ceiling=32, fits=5)
    gate = threading.Event()
    embed = network.embed

    def gated(batch: U8Array) -> dict[str, F32Array]:
        gate.wait(PATIENCE_S)  # until enough waits for a batch that does not fit
        return embed(batch)

    monkeypatch.setattr(network, "embed", gated)
    for number in range(40):
        save(photo(number, SMALL), photos / f"{number:02}.png")
    with running(config, eventually, models=models_of(config, network)) as service:
        client = ControlClient.find(config)
        assert client is not None
        eventually(lambda: client.request("status")["forward"]["waiting_backfill"] >= 30, PATIENCE_S)
        gate.set()
        eventually(lambda: states(config) == {FileState.INDEXED: 40}, PATIENCE_S)
        (learned,) = client.request("status")["forward"]["embedders"]
    assert max(network.sizes) > 5
    assert learned["batch_ceiling"] <= 5
    assert any("does not fit in memory" in record.message for record in service.records)


@pytest.mark.parametrize(("batch", "seed"), [(1, 1), (7, 2), (32, 3)])
def test_check_13_batches_and_order_change_no_verdict(
    batch: int, seed: int, config: Config, tmp_path: Path, eventually: Eventually
) -> None:
    """Which file is the keeper goes by who came first, so pairs are compared as pairs."""
    photos = config.roots[0].path
    names = {number: f"{place:02}" for place, number in enumerate(random.Random(seed).sample(range(12), 12))}
    for number in range(6):
        save(photo(number, SMALL), photos / f"{names[2 * number]}-{number}.png")
        save(photo(number, SMALL), photos / f"{names[2 * number + 1]}-{number}.jpg", quality=90)
    with running(config, eventually, models=models_of(config, Network(batch_ceiling=batch))):
        eventually(lambda: states(config) == {FileState.INDEXED: 12}, PATIENCE_S)
    with Ledger.open(config.state_dir, SystemClock(), readonly=True) as ledger:
        found = {
            (str(row.verdict.verdict_class), picture(row.verdict.duplicate.path), picture(row.verdict.keeper.path))
            for row in ledger.duplicates()
            if row.verdict.verdict_class.proven
        }
    assert found == {("re-encoded", f"{number}", f"{number}") for number in range(6)}


def picture(path: bytes) -> str:
    return os.path.basename(path).decode().partition("-")[2].partition(".")[0]


def test_check_14_status_answers_under_load_without_the_store(stored: Config, eventually: Eventually) -> None:
    """The store's process is stopped, and 100 files are under way: `status` waits for neither.

    That the unit verifies, and how it scores, is asked in `tests/units`; how fast `status` is, in `tests/benchmarks`.
    """
    photos = stored.roots[0].path
    with running(stored, eventually):
        save(photo(1), photos / "a.png")
        signalled(STORE, signal.SIGSTOP, eventually)
        try:
            for number in range(100):
                save(photo(number % 40, SMALL), photos / f"{number}.jpg", quality=60 + number % 30)
            client = ControlClient(stored.state_dir / "control.sock", timeout_s=60)
            answers = [client.request("status") for _ in range(20)]
            eventually(lambda: states(stored).get(FileState.INDEXED) == 101, PATIENCE_S)
        finally:
            signalled(STORE, signal.SIGCONT, eventually)
    assert all(answer["progress"]["text"] for answer in answers)


def cmdline(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def test_check_15_a_reload_with_a_bad_file_ends_and_the_old_one_goes_on(
    configured: Callable[..., Configured], eventually: Eventually
) -> None:
    daemon = configured(action="observe")
    save(photo(1), daemon.root / "a.png")
    daemon.heard = ""
    daemon.file.write_text(daemon.text + "log_level: loud\n")
    daemon.process.send_signal(signal.SIGHUP)
    eventually(lambda: "READY=1" in daemon.notices().partition("RELOADING=1")[2], PATIENCE_S)
    assert "log_level" in daemon.said(), "what is wrong is told"
    eventually(lambda: counts(daemon.state)[FileState.INDEXED] == 1, PATIENCE_S)
    shutil.copy(daemon.root / "a.png", daemon.root / "b.png")
    eventually(lambda: "b.png is a copy of" in daemon.said(), PATIENCE_S)
    assert daemon.process.poll() is None


@pytest.mark.nightly
@pytest.mark.timeout(3600)
def test_30_000_files_unmounted_and_mounted_again_cost_no_decode(tmp_path: Path, project_root: Path) -> None:
    """The long form of check 5; prints how many were decoded, with -s."""
    command = [*NAMESPACE, sys.executable, "-W", "error", "-m", "tests.acceptance.outages", str(tmp_path), "30000"]
    subprocess.run(command, cwd=project_root, check=True, timeout=3500)
