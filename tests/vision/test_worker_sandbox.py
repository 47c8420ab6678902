"""What a hijacked decoder could do: nothing. Each test runs code in a worker that tries."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from deepdupe_daemon.errors import FileFailed
from deepdupe_daemon.vision import DecoderPool
from tests.vision import verifiers
from tests.vision.paintings import encode, scene
from tests.vision.test_pool import PATIENCE_S, MakePool, make_pool  # noqa: F401
from tests.vision.test_pool_proofs import Named, compare, put


@pytest.fixture
def a(tmp_path: Path) -> Named:
    return put(tmp_path, "a.png", encode(scene(), "PNG"))


@pytest.fixture
def pool(make_pool: MakePool, a: Named) -> DecoderPool:  # noqa: F811
    pool = make_pool()
    compare(pool, a, a, verifiers.sizes)
    return pool


def test_no_network_no_process_no_writing(pool: DecoderPool, a: Named, tmp_path: Path) -> None:
    if "seccomp" not in pool.status().protections:
        pytest.skip("this kernel offers no seccomp filters")
    b = put(tmp_path, "b.png", encode(scene(seed=2), "PNG"))
    before = os.stat(a[0])
    found = compare(pool, a, b, verifiers.tries_to_break_out).measures
    assert {name for name, denied in found.items() if not denied} == set()
    assert len([name for name in found if name.startswith("reopen")]) == 2
    after = os.stat(a[0])
    assert (after.st_mode, after.st_mtime_ns) == (before.st_mode, before.st_mtime_ns)
    assert not os.path.exists("/tmp/deepdupe-must-not-exist")


def test_no_file_but_those_it_is_given(pool: DecoderPool, a: Named) -> None:
    if "landlock" not in pool.status().protections:
        pytest.skip("this kernel offers no Landlock")
    found = compare(pool, a, a, verifiers.reads_elsewhere).measures
    assert {name for name, denied in found.items() if not denied} == set()


def test_nothing_of_the_daemon_is_inherited(
    make_pool: MakePool,  # noqa: F811
    a: Named,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DEEPDUPE_TEST_SECRET", "hunter2")
    leaked = os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(leaked, True)
    try:
        found = compare(make_pool(), a, a, verifiers.surroundings).measures
    finally:
        os.close(leaked)
    # three standard streams, the socket, the slab, and the two pictures
    assert found["open_files"] <= 7
    assert found["secret"] == 0
    assert found["environment"] <= 12
    assert (found["core"], found["fsize"]) == (0, 0)
    assert found["data"] == 2 * 1024**3
    assert found["leader"] == 1
    assert found["torch"] == 0


def test_memory_is_limited_and_the_limit_costs_one_file(make_pool: MakePool, a: Named) -> None:  # noqa: F811
    pool = make_pool(memory_bytes=400 << 20)
    with pytest.raises(FileFailed) as failure:
        compare(pool, a, a, verifiers.hoards)
    assert failure.value.kind == "out-of-memory"
    status = pool.status()
    assert status.memory_peak_bytes < 600 << 20
    assert (status.restarts, status.recycled) == (0, 1)  # a worker that has run full is not used again
    assert compare(pool, a, a, verifiers.sizes).score == 1.0


def test_a_giant_within_the_pixel_limit_fails_alone(make_pool: MakePool, tmp_path: Path, a: Named) -> None:  # noqa: F811
    from PIL import Image

    from tests.vision.test_pool import key_of

    giant = tmp_path / "giant.png"
    Image.new("RGB", (8_000, 8_000)).save(giant, compress_level=1)
    pool = make_pool(memory_bytes=240 << 20)
    with pytest.raises(FileFailed) as failure:
        pool.see(1, key_of(giant), live=True).result(PATIENCE_S)
    assert failure.value.kind == "out-of-memory"
    assert compare(pool, a, a, verifiers.sizes).score == 1.0


def test_cpu_time_is_limited_even_where_nobody_looks() -> None:
    """The daemon kills a worker that takes too long; one whose daemon is stopped is ended by the kernel."""
    code = "from deepdupe_daemon.vision import limits; limits._CPU_SLACK_S = 0; limits.allow_cpu_time(0.5)"
    code += "\nwhile True: pass"
    done = subprocess.run([sys.executable, "-c", code], check=False, timeout=120)
    assert done.returncode == -signal.SIGXCPU


def test_protections_are_reported(pool: DecoderPool) -> None:
    assert {"no-new-privs", "not-dumpable"} <= set(pool.status().protections)
