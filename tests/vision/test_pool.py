"""The pool: every file ends as a sighting or as an error that says why; workers die, the pool lives."""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from deepdupe_daemon.clock import ManualClock, SystemClock
from deepdupe_daemon.config import DecoderConfig
from deepdupe_daemon.errors import FileFailed, NotAnImage
from deepdupe_daemon.model import FileIdentity, FileKey, InputSpec
from deepdupe_daemon.vision import DecoderPool
from tests.conftest import Eventually
from tests.vision.paintings import encode, scene

SPECS = (InputSpec(kind="pdq"), InputSpec(side_px=64), InputSpec(side_px=48, fit="squash", filter="bilinear"))
PATIENCE_S = 60

MakePool = Callable[..., DecoderPool]


def identity_of(path: Path) -> FileIdentity:
    status = os.lstat(path)
    return FileIdentity(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


def key_of(path: Path) -> FileKey:
    return FileKey(os.fsencode(path), identity_of(path))


def always(_file_id: int, _key: FileKey, _digest: bytes) -> bool:
    return True


@pytest.fixture
def make_pool() -> Iterator[MakePool]:
    pools: list[DecoderPool] = []

    def make(
        claim: Callable[[int, FileKey, bytes], bool] = always, *, idle_s: float = 60.0, **settings: object
    ) -> DecoderPool:
        config = DecoderConfig.model_validate({"workers": 1, **settings})
        pool = DecoderPool(config, SPECS, clock=SystemClock(), claim=claim, idle_s=idle_s)
        pools.append(pool)
        pool.start()
        return pool

    yield make
    for pool in pools:
        pool.stop(5.0)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "picture.jpg"
    path.write_bytes(encode(scene(), "JPEG", quality=92))
    return path


def worker_pids() -> list[int]:
    """Our own children that are decoding workers."""
    found = []
    for name in os.listdir(f"/proc/{os.getpid()}/task"):
        with (
            suppress(FileNotFoundError),  # a thread, or its child, that ends at this moment
            open(f"/proc/{os.getpid()}/task/{name}/children", encoding="ascii") as children,
        ):
            for pid in children.read().split():
                with suppress(FileNotFoundError), open(f"/proc/{pid}/cmdline", "rb") as line:
                    if b"deepdupe_daemon.vision.worker" in line.read():
                        found.append(int(pid))
    return found


def kind_of(pool: DecoderPool, key: FileKey) -> str:
    with pytest.raises(FileFailed) as failure:
        pool.see(1, key, live=True).result(PATIENCE_S)
    return failure.value.kind


def test_a_sighting_holds_everything(make_pool: MakePool, picture: Path) -> None:
    sighting = make_pool().see(7, key_of(picture), live=True).result(PATIENCE_S)
    assert sighting is not None
    assert sighting.key == key_of(picture)
    assert sighting.digest == hashlib.sha256(picture.read_bytes()).digest()
    assert (sighting.facts.width_px, sighting.facts.height_px, sighting.facts.format) == (320, 240, "JPEG")
    assert {spec: array.shape for spec, array in sighting.inputs.items()} == {
        SPECS[0]: (32,),
        SPECS[1]: (64, 64, 3),
        SPECS[2]: (48, 48, 3),
    }
    assert sighting.inputs[SPECS[0]].tobytes() == sighting.pdq.bits == sighting.pdq_variants[0]
    assert len(sighting.pdq_variants) == 8


def test_arrays_are_the_receivers_own(make_pool: MakePool, tmp_path: Path) -> None:
    pool = make_pool()
    paths = [tmp_path / f"{seed}.png" for seed in (1, 2)]
    for seed, path in enumerate(paths):
        path.write_bytes(encode(scene(seed=seed), "PNG"))
    first = pool.see(1, key_of(paths[0]), live=True).result(PATIENCE_S)
    assert first is not None
    before = first.inputs[SPECS[1]].copy()
    pool.see(2, key_of(paths[1]), live=True).result(PATIENCE_S)
    assert np.array_equal(first.inputs[SPECS[1]], before)


def test_known_bytes_are_not_decoded(make_pool: MakePool, tmp_path: Path) -> None:
    """None, even where a decode would have failed: only the digest was wanted."""
    asked: list[tuple[int, FileKey, bytes]] = []

    def claim(file_id: int, key: FileKey, digest: bytes) -> bool:
        asked.append((file_id, key, digest))
        return False

    path = tmp_path / "half.jpg"
    path.write_bytes(encode(scene(), "JPEG")[:2000])
    pool = make_pool(claim)
    assert pool.see(3, key_of(path), live=True).result(PATIENCE_S) is None
    assert asked[0][:2] == (3, key_of(path))
    assert pool.see(4, key_of(path), live=True).result(PATIENCE_S) is None  # the worker is still in step


def test_an_error_in_claim_is_the_callers_and_costs_no_worker(make_pool: MakePool, picture: Path) -> None:
    answers = iter([RuntimeError("ledger locked"), True])

    def claim(_file_id: int, _key: FileKey, _digest: bytes) -> bool:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    pool = make_pool(claim)
    with pytest.raises(RuntimeError, match="ledger locked"):
        pool.see(1, key_of(picture), live=True).result(PATIENCE_S)
    assert pool.see(1, key_of(picture), live=True).result(PATIENCE_S) is not None
    assert pool.status().restarts == 0


def test_what_is_no_picture_is_not_an_image(make_pool: MakePool, tmp_path: Path) -> None:
    path = tmp_path / "letter.jpg"
    path.write_text("Dear photo library, this is a letter.\n" * 30)
    with pytest.raises(NotAnImage) as failure:
        make_pool().see(1, key_of(path), live=True).result(PATIENCE_S)
    assert failure.value.where == str(path)


def test_a_truncated_picture_may_still_be_arriving(make_pool: MakePool, tmp_path: Path) -> None:
    path = tmp_path / "half.png"
    path.write_bytes(encode(scene(), "PNG")[:5000])
    with pytest.raises(FileFailed) as failure:
        make_pool().see(1, key_of(path), live=True).result(PATIENCE_S)
    assert (failure.value.kind, failure.value.retry) == ("truncated", True)


def test_everything_that_is_no_file(make_pool: MakePool, tmp_path: Path) -> None:
    """None of them is ever opened, or waited for."""
    folder, fifo, link, gone, unix = (tmp_path / name for name in ("a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg"))
    folder.mkdir()
    os.mkfifo(fifo)
    link.symlink_to("/etc/hostname")
    with socket.socket(socket.AF_UNIX) as server:
        here = os.open(tmp_path, os.O_RDONLY)
        server.bind(f"/proc/self/fd/{here}/e.jpg")
        pool = make_pool()
        kinds = {path.name: kind_of(pool, key_of(path)) for path in (folder, fifo, link, unix)}
        os.close(here)
    device = FileKey(b"/dev/null", identity_of(Path("/dev/null")))
    assert set(kinds.values()) == {"not-a-file"}
    assert kind_of(pool, device) == "not-a-file"
    assert kind_of(pool, FileKey(os.fsencode(gone), FileIdentity(1, 2, 3, 4))) == "vanished"
    assert kind_of(pool, FileKey(b"/" + b"x" * 5000, FileIdentity(1, 2, 3, 4))) == "unreadable"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_we_may_not_read_says_so(make_pool: MakePool, picture: Path) -> None:
    picture.chmod(0)
    with pytest.raises(FileFailed, match="EACCES") as failure:
        make_pool().see(1, key_of(picture), live=True).result(PATIENCE_S)
    assert failure.value.kind == "unreadable"


def test_odd_names_are_no_obstacle(make_pool: MakePool, tmp_path: Path) -> None:
    pool = make_pool()
    for name in (b"new\nline.jpg", b"not utf-8 \xff\xfe.jpg", b"\x1b[31mred.jpg", b"x" * 255):
        path = os.path.join(os.fsencode(tmp_path), name)
        with open(path, "wb") as file:
            file.write(encode(scene(64, 48), "JPEG"))
        status = os.stat(path)
        identity = FileIdentity(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
        sighting = pool.see(1, FileKey(path, identity), live=True).result(PATIENCE_S)
        assert sighting is not None
        assert sighting.key.path == path


def test_another_file_than_the_one_that_arrived_has_changed(make_pool: MakePool, picture: Path) -> None:
    key = key_of(picture)
    os.utime(picture, ns=(0, key.identity.mtime_ns + 1))
    pool = make_pool()
    assert kind_of(pool, key) == "changed"
    assert pool.see(1, key_of(picture), live=True).result(PATIENCE_S) is not None


@pytest.mark.parametrize("growth", [b"more", b""])
def test_a_file_that_changes_while_it_is_read_has_changed(make_pool: MakePool, picture: Path, growth: bytes) -> None:
    """Changed between the hash and the decode: whatever was decoded is not what was hashed."""

    def claim(_file_id: int, _key: FileKey, _digest: bytes) -> bool:
        with open(picture, "ab") as file:
            file.write(growth)
        os.utime(picture)
        return True

    pool = make_pool(claim)
    assert kind_of(pool, key_of(picture)) == "changed"


def test_reading_leaves_no_trace_on_the_file(make_pool: MakePool, picture: Path) -> None:
    os.utime(picture, ns=(1_000_000_000, 1_000_000_000))
    make_pool().see(1, key_of(picture), live=True).result(PATIENCE_S)
    assert picture.stat().st_atime_ns == 1_000_000_000


def test_a_worker_that_dies_is_replaced_and_the_file_tried_again(make_pool: MakePool, picture: Path) -> None:
    deaths = []

    def claim(_file_id: int, _key: FileKey, _digest: bytes) -> bool:
        if not deaths:
            deaths.extend(worker_pids())
            for pid in deaths:
                os.kill(pid, signal.SIGSEGV)
        return True

    pool = make_pool(claim)
    assert pool.see(1, key_of(picture), live=True).result(PATIENCE_S) is not None
    assert (pool.status().restarts, pool.status().crashed) == (1, 1)
    assert deaths
    assert set(deaths).isdisjoint(worker_pids())


def test_the_second_try_does_not_ask_again_who_may_decode(make_pool: MakePool, picture: Path) -> None:
    """A claim that was granted to this file would else be refused to it, and the file lost."""
    granted: set[bytes] = set()

    def claim(_file_id: int, _key: FileKey, digest: bytes) -> bool:
        if digest in granted:
            return False
        granted.add(digest)
        for pid in worker_pids():
            os.kill(pid, signal.SIGKILL)
        return True

    assert make_pool(claim).see(1, key_of(picture), live=True).result(PATIENCE_S) is not None


def test_a_file_that_kills_every_worker_is_given_up(make_pool: MakePool, picture: Path, tmp_path: Path) -> None:
    from tests.vision import verifiers

    pool = make_pool()
    pair = (os.fsencode(picture), sha256(picture))
    with pytest.raises(FileFailed, match="signal 11") as failure:
        pool.compare(pair, pair, verifiers.dies, 64).result(PATIENCE_S)
    assert (failure.value.kind, failure.value.retry) == ("crashed", False)
    assert pool.status().crashed == 2
    other = tmp_path / "other.png"
    other.write_bytes(encode(scene(seed=3), "PNG"))
    assert pool.see(2, key_of(other), live=True).result(PATIENCE_S) is not None


def test_a_file_that_takes_too_long_is_given_up_and_its_worker_killed(make_pool: MakePool, picture: Path) -> None:
    """A stopped worker stands for one that loops in a decoder: it answers nothing and cannot be asked to stop."""
    stopped: list[int] = []

    def claim(file_id: int, _key: FileKey, _digest: bytes) -> bool:
        if file_id == 1:
            stopped.extend(worker_pids())
            for pid in stopped:
                os.kill(pid, signal.SIGSTOP)
        return True

    pool = make_pool(claim, timeout_s=1)
    with pytest.raises(FileFailed) as failure:
        pool.see(1, key_of(picture), live=True).result(PATIENCE_S)
    assert (failure.value.kind, failure.value.retry) == ("timeout", True)
    assert pool.status().late == 1
    assert not any(os.path.exists(f"/proc/{pid}") for pid in stopped)
    assert pool.see(2, key_of(picture), live=True).result(PATIENCE_S) is not None


def test_the_time_that_claim_takes_is_not_the_files(make_pool: MakePool, picture: Path) -> None:
    release = threading.Event()

    def claim(_file_id: int, _key: FileKey, _digest: bytes) -> bool:
        release.wait(1.5)  # longer than a file may take
        return True

    assert make_pool(claim, timeout_s=1).see(1, key_of(picture), live=True).result(PATIENCE_S) is not None


def test_workers_are_recycled(make_pool: MakePool, picture: Path) -> None:
    pool = make_pool(recycle_after=2)
    pids: list[int] = []
    for _ in range(5):
        pool.see(1, key_of(picture), live=True).result(PATIENCE_S)
        pids += worker_pids()
    assert pool.status().recycled == 2
    assert pool.status().restarts == 0
    assert pool.status().done == 5


def test_urgent_work_goes_first(make_pool: MakePool, picture: Path) -> None:
    order: list[str] = []
    hold = threading.Event()
    begun = threading.Event()

    def claim(file_id: int, _key: FileKey, _digest: bytes) -> bool:
        if file_id == 0:
            begun.set()
            hold.wait(PATIENCE_S)
        return False

    pool = make_pool(claim, timeout_s=60)
    pool.see(0, key_of(picture), live=False)
    assert begun.wait(PATIENCE_S)
    futures = {
        "backfill 1": pool.see(1, key_of(picture), live=False),
        "backfill 2": pool.see(2, key_of(picture), live=False),
        "live": pool.see(3, key_of(picture), live=True),
        "proof": pool.pixel_digest(os.fsencode(picture), sha256(picture)),
    }
    for name, future in futures.items():
        future.add_done_callback(lambda _, name=name: order.append(name))
    assert pool.status().queued == 4
    hold.set()
    for future in futures.values():
        future.result(PATIENCE_S)
    assert order == ["proof", "live", "backfill 1", "backfill 2"]


def test_more_workers_start_only_when_there_is_work_for_them(
    make_pool: MakePool, picture: Path, eventually: Eventually
) -> None:
    meet = threading.Barrier(2, timeout=PATIENCE_S)

    def claim(file_id: int, _key: FileKey, _digest: bytes) -> bool:
        if file_id > 0:
            meet.wait()  # passes only while two workers are at it
        return False

    pool = make_pool(claim, workers=3, idle_s=0.2)
    for _ in range(2):
        # a worker that is still being started, or has just given its result, does not wait for work yet
        assert eventually(lambda: pool._backlog._warm_waiting == 1)
        pool.see(0, key_of(picture), live=True).result(PATIENCE_S)
    assert pool.status().workers == 1
    pair = [pool.see(n, key_of(picture), live=True) for n in (1, 2)]
    assert [future.result(PATIENCE_S) for future in pair] == [None, None]
    assert eventually(lambda: pool.status().workers == 1)  # and the second goes when it is not needed
    assert pool.status().restarts == 0


def sha256(path: Path) -> bytes:
    return hashlib.sha256(path.read_bytes()).digest()


def test_a_file_that_is_away_for_a_moment_is_worth_another_try(make_pool: MakePool, tmp_path: Path) -> None:
    away = FileKey(bytes(tmp_path / "away.jpg"), FileIdentity(1, 2, 3, 4))
    with pytest.raises(FileFailed) as failure:
        make_pool().see(1, away, live=True).result(PATIENCE_S)
    assert failure.value.kind == "vanished"
    assert failure.value.retry


def test_stop_cancels_what_is_not_begun_and_leaves_nothing_behind(make_pool: MakePool, picture: Path) -> None:
    before = set(os.listdir("/proc/self/fd"))
    begun = threading.Event()
    hold = threading.Event()

    def claim(_file_id: int, _key: FileKey, _digest: bytes) -> bool:
        begun.set()
        hold.wait(PATIENCE_S)
        return True

    pool = make_pool(claim)
    first = pool.see(1, key_of(picture), live=True)
    waiting = [pool.see(n, key_of(picture), live=False) for n in range(2, 20)]
    assert begun.wait(PATIENCE_S)
    threading.Timer(0.2, hold.set).start()
    pool.stop(20.0)
    assert first.result(0) is not None  # begun, so finished
    assert all(future.cancelled() for future in waiting)
    assert worker_pids() == []
    assert set(os.listdir("/proc/self/fd")) <= before
    with pytest.raises(RuntimeError, match="stopped"):
        pool.see(1, key_of(picture), live=True)


def test_stop_does_not_wait_for_a_worker_that_hangs(make_pool: MakePool, picture: Path) -> None:
    from tests.vision import verifiers

    pool = make_pool(timeout_s=3000)
    pair = (os.fsencode(picture), sha256(picture))
    future = pool.compare(pair, pair, verifiers.hangs, 64)
    while not future.running():
        threading.Event().wait(0.01)
    clock = SystemClock()
    begin_s = clock.monotonic_s()
    pool.stop(0.5)
    assert clock.monotonic_s() - begin_s < 10
    assert isinstance(future.exception(0), CancelledError)
    assert worker_pids() == []


def test_no_worker_outlives_its_parent(tmp_path: Path, picture: Path, eventually: Eventually) -> None:
    """Not even one that is killed: the kernel takes its workers along."""
    script = f"""
import sys, time
sys.path[:0] = {sys.path!r}
from pathlib import Path
from tests.vision.test_pool import *
pool = DecoderPool(DecoderConfig(workers=1), SPECS, clock=SystemClock(), claim=always)
pool.start()
pool.see(1, key_of(Path({str(picture)!r})), live=True).result(60)
print(*worker_pids(), flush=True)
input()
"""
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 1
        parent.kill()
    assert eventually(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids))


@pytest.mark.parametrize(("interpreter", "said"), [("/nonexistent/python", "No such file"), ("/bin/false", "exit 1")])
def test_a_pool_that_cannot_start_workers_says_why(
    picture: Path, monkeypatch: pytest.MonkeyPatch, interpreter: str, said: str
) -> None:
    """And fails its files for the moment only, and works again once the fault is mended."""
    python = sys.executable
    monkeypatch.setattr(sys, "executable", interpreter)
    # pauses between tries take no time
    pool = DecoderPool(DecoderConfig(workers=1), SPECS, clock=ManualClock(), claim=always)
    pool.start()
    try:
        with pytest.raises(FileFailed, match=said) as failure:
            pool.see(1, key_of(picture), live=True).result(PATIENCE_S)
        assert (failure.value.kind, failure.value.retry) == ("no-worker", True)
        assert said in pool.status().trouble
        monkeypatch.setattr(sys, "executable", python)
        assert pool.see(1, key_of(picture), live=True).result(PATIENCE_S) is not None
        assert pool.status().trouble == ""
    finally:
        pool.stop(5.0)


def test_hundreds_of_files_leak_neither_descriptors_nor_memory_in_the_parent(
    make_pool: MakePool, tmp_path: Path
) -> None:
    paths = []
    for seed in range(8):
        paths.append(tmp_path / f"{seed}.jpg")
        paths[-1].write_bytes(encode(scene(96, 64, seed), "JPEG")[: None if seed % 2 else 900])
    pool = make_pool(recycle_after=40)
    keys = [key_of(path) for path in paths]
    futures = [pool.see(1, key, live=False) for key in keys]
    for future in futures:
        future.exception(PATIENCE_S)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        futures = [pool.see(1, key, live=False) for key in keys]
        assert [future.exception(PATIENCE_S) is None for future in futures] == [bool(seed % 2) for seed in range(8)]
    assert len(os.listdir("/proc/self/fd")) <= before + 2
    assert pool.status().recycled >= 4
