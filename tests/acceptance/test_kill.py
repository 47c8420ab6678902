"""Nothing is lost and nothing is done twice, whatever kills the daemon and whenever.

A thousand files are copied into a watched folder with `cp -r` while the daemon is killed with SIGKILL and started
again, five times. The moments are drawn from a seed, as shares of the work that is done, so that on a slow machine too
they come in the midst of things.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from deepdupe_daemon.clock import SystemClock
from deepdupe_daemon.ledger import Ledger
from deepdupe_daemon.model import FileState
from deepdupe_daemon.service.supervisor import DRAIN_S
from tests.acceptance.daemon import Daemon, counts, listed
from tests.conftest import Eventually
from tests.service.pictures import photo

pytestmark = pytest.mark.timeout(600)

SEED = 20260607
KILLS = 5
FOLDERS = 10
PICTURES = 200
COPIES = 5  # of each picture: the original, two with the same bytes, one with the same pixels, one re-encoded
FILES = PICTURES * COPIES
IMAGES = PICTURES * 3  # different bytes
SETTLED = (FileState.INDEXED, FileState.FAILED, FileState.IGNORED)


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """The source: each picture's five files lie in five different folders."""
    folders = [tmp_path / "source" / f"{n:02}" for n in range(FOLDERS)]
    for folder in folders:
        folder.mkdir(parents=True)
    for number in range(PICTURES):
        original = folders[number % FOLDERS] / f"{number:03}-original.jpg"
        photo(number, (192, 144)).save(original, quality=92)
        with Image.open(original) as opened:
            pixels = opened.convert("RGB")
        shutil.copyfile(original, folders[(number + 1) % FOLDERS] / f"{number:03}-copy.jpg")
        shutil.copyfile(original, folders[(number + 3) % FOLDERS] / f"{number:03}-other.jpg")
        pixels.save(folders[(number + 5) % FOLDERS] / f"{number:03}-pixels.png", compress_level=1)
        pixels.save(folders[(number + 7) % FOLDERS] / f"{number:03}-again.jpg", quality=80)
    return tmp_path / "source"


def picture_of(path: str) -> str:
    return os.path.basename(path)[:3]


def done(state_dir: Path) -> int:
    found = counts(state_dir)
    return sum(found[state] for state in SETTLED)


class Copying:
    """`cp -r` of one folder after another, in a thread of its own; the next begins when it is let."""

    def __init__(self, source: Path, root: Path) -> None:
        self._source, self._root = source, root
        self._may_copy = threading.Semaphore(0)
        self._failed: list[BaseException] = []
        self._thread = threading.Thread(target=self._copy, daemon=True)
        self._thread.start()

    def let(self, folders: int) -> None:
        for _ in range(folders):
            self._may_copy.release()

    def finish(self) -> None:
        self._thread.join(60)
        assert not self._thread.is_alive()
        assert self._failed == []

    def _copy(self) -> None:
        try:
            for folder in sorted(self._source.iterdir()):
                self._may_copy.acquire()
                subprocess.run(["cp", "-r", str(folder), str(self._root)], check=True)
        except BaseException as error:  # noqa: BLE001 - looked at in the test's own thread
            self._failed.append(error)


def test_five_kills_lose_nothing_and_repeat_nothing(
    album: Path, tmp_path: Path, project_root: Path, eventually: Eventually
) -> None:
    choose = random.Random(SEED)
    root, state_dir = tmp_path / "photos", tmp_path / "state"
    root.mkdir()
    runs: list[Daemon] = []
    orphans: list[int] = []
    copying = Copying(album, root)
    pause = threading.Event()

    def start() -> Daemon:
        runs.append(Daemon(root, state_dir, tmp_path / f"run-{len(runs)}.jsonl", project_root))
        return runs[-1]

    def live_one_life(copied: int) -> None:
        copying.let(1)  # while nobody watches
        pause.wait(choose.choice([0.0, 0.0, 0.3]))
        daemon = start()
        eventually(lambda: daemon.ready, timeout_s=90)
        copying.let(1)  # under its eyes
        goal = min(done(state_dir) + choose.randint(0, 2 * FILES // FOLDERS), copied - 10)
        eventually(lambda: done(state_dir) >= goal, timeout_s=90)
        pause.wait(choose.uniform(0.0, 0.3))
        assert daemon.process.poll() is None, daemon.last_words()
        orphans.extend(daemon.kill(whole_group=choose.random() < 0.5))

    try:
        for number in range(KILLS):
            live_one_life((number + 1) * 2 * FILES // FOLDERS)
        copying.finish()
        last = start()
        eventually(lambda: last.ready, timeout_s=90)  # before, SIGTERM would find a program that only loads
        eventually(lambda: done(state_dir) == FILES, timeout_s=180, every_s=0.1)
        eventually(lambda: all_told(state_dir), timeout_s=30)
        eventually(lambda: behind(state_dir) == 0, timeout_s=120, every_s=0.1)
        assert last.terminate(3 * DRAIN_S) == 0, last.last_words()
        eventually(lambda: [pid for pid in orphans if os.path.exists(f"/proc/{pid}")] == [], timeout_s=60)
    finally:
        for run in runs:
            if run.process.poll() is None:
                run.kill(whole_group=True)

    with Ledger.open(state_dir, SystemClock()) as ledger:
        assert ledger.damage() == []
        paths = [path for path, _, _ in ledger.known_paths(os.fsencode(root))]
        assert {os.fsdecode(path) for path in paths} == {str(path) for path in root.rglob("*.*")}
        assert len(paths) == FILES
        assert ledger.counts() == {**dict.fromkeys(FileState, 0), FileState.INDEXED: FILES}, "each file, exactly once"
        rows = [ledger.file_by_path(path) for path in paths]
        images = {row.image_id for row in rows if row is not None and row.image_id is not None}
        assert len(images) == IMAGES
        for space in ledger.spaces():
            ids = [int(i) for chunk, _ in ledger.vectors(space.name) for i in chunk]
            assert sorted(ids) == sorted(images), "each image has one vector"
        digests = [image.digest for image in map(ledger.image, sorted(images)) if image is not None]
        judged = list(ledger.duplicates())
        assert ledger.unalerted(FILES) == []
    stored = ids_in_chroma(state_dir, tmp_path / "chroma")
    assert sorted(stored) == sorted(digest.hex()[:32] for digest in digests), "each image is in the collection once"

    duplicates = listed(state_dir, project_root)
    names = Counter(row["duplicate"] for row in duplicates)
    assert set(names.values()) == {1}, "listed exactly once"
    by_picture = Counter(picture_of(row["duplicate"]) for row in duplicates)
    assert by_picture == {f"{number:03}": COPIES - 1 for number in range(PICTURES)}
    assert all(picture_of(row["duplicate"]) == picture_of(row["keeper"]) for row in duplicates)
    keepers = {row["keeper"] for row in duplicates} - set(names)
    assert len(keepers) == PICTURES, "one file of each picture is nobody's duplicate"
    assert len(judged) == len(duplicates)

    told = Counter(record["path"] for run in runs for record in run.records("duplicate-found"))
    assert set(names) <= set(told), "alerted at least once"
    assert max(told.values()) <= KILLS + 1


def behind(state_dir: Path) -> int:
    """Vectors that the collections lack."""
    with Ledger.open(state_dir, SystemClock(), readonly=True) as ledger:
        return sum(ledger.unstored_counts().values())


def ids_in_chroma(state_dir: Path, copy: Path) -> list[str]:
    """The ids in the newest generation of the one collection, read by another program from a copy of the store."""
    code = (
        "import sys, json, chromadb\n"
        "client = chromadb.PersistentClient(sys.argv[1])\n"
        "found = [client.get_collection(c.name, embedding_function=None) for c in client.list_collections()]\n"
        "newest = max(found, key=lambda c: c.metadata['generation'])\n"
        "print(json.dumps(newest.get(include=[])['ids']))"
    )
    shutil.copytree(state_dir / "chroma", copy)
    done = subprocess.run([sys.executable, "-c", code, str(copy)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    ids: list[str] = json.loads(done.stdout.splitlines()[-1])
    return ids


def all_told(state_dir: Path) -> bool:
    with Ledger.open(state_dir, SystemClock(), readonly=True) as ledger:
        return not ledger.unalerted(1)


def test_sigterm_drains_and_ends_soon(album: Path, tmp_path: Path, project_root: Path, eventually: Eventually) -> None:
    """In the midst of a thousand files: what is in flight is finished, the rest waits, and the next start goes on."""
    clock = SystemClock()
    state_dir = tmp_path / "state"
    daemon = Daemon(album, state_dir, tmp_path / "first.jsonl", project_root)
    try:
        eventually(lambda: daemon.ready and done(state_dir) > 20, timeout_s=90)
        children = daemon.children()
        began_s = clock.monotonic_s()
        assert daemon.terminate(3 * DRAIN_S) == 0, daemon.last_words()
        drained = clock.monotonic_s() - began_s < DRAIN_S
    finally:
        if daemon.process.poll() is None:
            daemon.kill(whole_group=True)
    assert [pid for pid in children if os.path.exists(f"/proc/{pid}")] == [], "it leaves no child behind"
    left = counts(state_dir)
    assert left[FileState.FAILED] == 0
    assert left[FileState.SEEN] == 0 or not drained, "what was in flight was judged, as long as there was time"
    with Ledger.open(state_dir, SystemClock(), readonly=True) as ledger:
        assert ledger.unalerted(1) == [], "and told"
        assert len(daemon.records("duplicate-found")) == sum(1 for _ in ledger.duplicates())
    again = Daemon(album, state_dir, tmp_path / "second.jsonl", project_root)
    try:
        eventually(lambda: done(state_dir) == FILES, timeout_s=120, every_s=0.1)
        assert again.terminate(3 * DRAIN_S) == 0, again.last_words()
    finally:
        if again.process.poll() is None:
            again.kill(whole_group=True)
    assert counts(state_dir)[FileState.INDEXED] == FILES
