"""Scenes that need mounts of their own: `unshare -m python -m tests.intake.scenes NAME FOLDER`, in a private namespace.

Each is a function that asserts; `test_outages.py` runs them.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from deepdupe_daemon.clock import SystemClock
from deepdupe_daemon.model import FileState
from tests.intake.conftest import Ground
from tests.intake.memory_fuse import MemoryFuse

#: runs a command where mounts are its own, and reach nobody else
NAMESPACE = ["unshare", "-Urm", "--propagation", "private"]


def mount(*arguments: str | Path) -> None:
    subprocess.run(["mount", *arguments], check=True)


def umount(point: Path) -> None:
    subprocess.run(["umount", point], check=True)


def tmpfs(point: Path) -> None:
    mount("-t", "tmpfs", "tmpfs", point)


def plant(folder: Path, count: int) -> set[str]:
    folder.mkdir(exist_ok=True)
    for index in range(count):
        (folder / f"{index}.jpg").write_bytes(b"%d" % index)
    return {f"{folder.name}/{index}.jpg" for index in range(count)}


def nothing_lost(ground: Ground, wanted: set[str]) -> None:
    assert ground.known() == wanted
    assert ground.status().gone_files == 0
    assert sum(ground.ledger.pending_counts()) == 0, "a file was to be looked at again"


def bind_root_comes_and_goes(ground: Ground) -> None:
    """A root on a bind mount: the same device above and below, so only the mount itself tells."""
    wanted = plant(ground.elsewhere / "d", 300)
    mount("--bind", ground.elsewhere, ground.root)
    ground.start()
    ground.index_all()
    nothing_lost(ground, wanted)
    ground.stop()
    umount(ground.root)
    (ground.root / "on-the-bare-mount-point.jpg").write_bytes(b"x")
    ground.start()
    assert ground.known() == wanted | {"on-the-bare-mount-point.jpg"}
    assert ground.status().gone_files == 0
    ground.until(lambda: ground.status().withheld == 300)
    assert ground.kinds() == ["root-offline"]
    ground.index_all()
    mount("--bind", ground.elsewhere, ground.root)
    ground.until(lambda: "root-back" in ground.kinds())
    ground.until(lambda: ground.known() == wanted)
    ground.idle()
    assert sum(ground.ledger.pending_counts()) == 0
    (ground.root / "d" / "1.jpg").unlink()
    ground.until(lambda: ground.state_of("d/1.jpg") is FileState.GONE)


def live_root_is_unmounted_and_mounted_again(ground: Ground) -> None:
    """While it is watched: the kernel ends the watches, and the empty mount point must not look like a deletion."""
    wanted = plant(ground.elsewhere / "d", int(os.environ.get("DEEPDUPE_SCENE_FILES", "300")))
    mount("--bind", ground.elsewhere, ground.root)
    ground.start()
    ground.index_all()
    umount(ground.root)
    ground.until(lambda: bool(ground.status().offline))
    ground.idle()
    nothing_lost(ground, wanted)
    (ground.elsewhere / "d" / "meanwhile.jpg").write_bytes(b"x")
    mount("--bind", ground.elsewhere, ground.root)
    ground.until_known(*wanted, "d/meanwhile.jpg")
    assert ground.status().gone_files == 0
    assert sum(ground.ledger.pending_counts()) == 1
    (ground.root / "d" / "later.jpg").write_bytes(b"x")
    ground.until_known(*wanted, "d/meanwhile.jpg", "d/later.jpg")


def mounted_over(ground: Ground) -> None:
    """Nothing is told when something is mounted on top of a watched root."""
    wanted = plant(ground.root / "d", 50)
    ground.start()
    ground.index_all()
    tmpfs(ground.root)
    ground.until(lambda: bool(ground.status().offline))
    nothing_lost(ground, wanted)
    umount(ground.root)
    ground.until(lambda: not ground.status().offline)
    ground.idle()
    nothing_lost(ground, wanted)


def disk_inside_a_root(ground: Ground) -> None:
    """A disk mounted below the root is part of the tree, and is away when it is unmounted."""
    inside = ground.root / "disk"
    inside.mkdir()
    tmpfs(inside)
    local = plant(ground.root / "local", 10)
    there = {f"disk/{name}" for name in plant(inside / "d", 40)}
    ground.start()
    ground.index_all()
    nothing_lost(ground, local | there)
    mount("--bind", inside, ground.elsewhere)  # keeps the tmpfs in being
    umount(inside)
    ground.until(lambda: ground.status().withheld == 40)
    nothing_lost(ground, local | there)
    ground.stop()
    ground.notices.clear()
    ground.start()
    ground.until(lambda: ground.status().withheld == 40)
    nothing_lost(ground, local | there)
    assert ground.kinds() == ["root-offline"]
    (ground.root / "local" / "1.jpg").unlink()
    ground.until_known(*(local | there) - {"local/1.jpg"})
    mount("--bind", ground.elsewhere, inside)
    ground.until(lambda: ground.status().withheld == 0)
    ground.until(lambda: "root-back" in ground.kinds())
    (inside / "d" / "1.jpg").unlink()
    (inside / "d" / "new.jpg").write_bytes(b"new")
    ground.until_known(*(local | there | {"disk/d/new.jpg"}) - {"local/1.jpg", "disk/d/1.jpg"})


def mount_appears_inside_a_root(ground: Ground) -> None:
    """No inotify event tells of it; the table of mounts does."""
    (ground.root / "disk").mkdir()
    wanted = plant(ground.elsewhere / "d", 20)
    ground.start()
    mount("--bind", ground.elsewhere, ground.root / "disk")
    ground.until_known(*(f"disk/{name}" for name in wanted))
    (ground.root / "disk" / "d" / "more.jpg").write_bytes(b"x")
    ground.until_known(*(f"disk/{name}" for name in wanted), "disk/d/more.jpg")


def new_device_number(ground: Ground) -> None:
    """A remount may change st_dev: the same files under a new number are neither new nor gone."""
    tmpfs(ground.root)
    wanted = plant(ground.root / "d", 300)
    ground.start()
    ground.index_all()
    ground.stop()
    copy = ground.elsewhere / "copy"
    subprocess.run(["cp", "-a", ground.root, copy], check=True)
    umount(ground.root)
    tmpfs(ground.root)
    # a tmpfs numbers its inodes in the order of their making: made in the same order, they get the same numbers
    (ground.root / "d").mkdir()
    for index in range(300):
        subprocess.run(["cp", "-a", copy / "d" / f"{index}.jpg", ground.root / "d"], check=True)
    (ground.root / "d" / "7.jpg").unlink()
    known = {path: identity for path, identity, _ in ground.ledger.known_paths(bytes(ground.root))}
    same = sum(
        (ground.root / "d" / f"{index}.jpg").stat().st_ino == known[bytes(ground.root / "d" / f"{index}.jpg")].ino
        for index in range(300)
        if index != 7
    )
    assert same == 299, "this kernel numbers inodes otherwise, and the scene proves nothing"
    ground.start()
    ground.idle()
    assert ground.known() == wanted - {"d/7.jpg"}, "one removed file is gone, under the old number or the new"
    assert sum(ground.ledger.pending_counts()) == 0


def other_disk_on_the_mount_point(ground: Ground) -> None:
    """Another disk with other files: those are taken in, and what is known of the first disk is kept."""
    tmpfs(ground.root)
    wanted = plant(ground.root / "d", 30)
    ground.start()
    ground.index_all()
    ground.stop()
    mount("--move", ground.root, ground.elsewhere)
    tmpfs(ground.root)
    (ground.root / "x.jpg").write_bytes(b"x")
    ground.start()
    ground.until_known(*wanted, "x.jpg")
    assert ground.status().gone_files == 0
    ground.until(lambda: ground.status().withheld == 30)


#: long ago, so that a file counts as quiet whatever the clocks of a server say
LONG_AGO_NS = 1_600_000_000_000_000_000


def fuse_root_is_polled(ground: Ground) -> None:
    """Nobody tells of what changes there; polling finds it, and a remount with new numbers changes nothing."""
    files = {f"d{index % 3}/{index}.jpg": (b"%d" % index, LONG_AGO_NS + index) for index in range(60)}
    disk = MemoryFuse(ground.root, files, first_inode=100)
    ground.start(poll_floor_s=0.2)
    ground.index_all()
    nothing_lost(ground, set(files))
    with disk.lock:
        files["d1/new.jpg"] = (b"new", LONG_AGO_NS)
        files["d2/2.jpg"] = (b"changed", LONG_AGO_NS + 7)
        del files["d0/0.jpg"]
    ground.until_known(*files)
    ground.until(lambda: ground.state_of("d2/2.jpg") is FileState.PENDING)
    assert sum(ground.ledger.pending_counts()) == 2
    assert ground.kinds() == []
    ground.index_all()
    disk.unmount()
    ground.until(lambda: bool(ground.status().offline))
    assert ground.known() == set(files)
    disk = MemoryFuse(ground.root, files, first_inode=5000)
    ground.until(lambda: not ground.status().offline)
    ground.idle()
    walks = ground.status().walks
    ground.until(lambda: ground.status().walks > walks + 1)
    assert ground.known() == set(files)
    assert sum(ground.ledger.pending_counts()) == 0, "a file was taken for new because its inode number was"
    ground.until(lambda: ground.status().gone_files == 1)
    ground.stop()
    disk.unmount()


def fuse_root_that_hangs(ground: Ground) -> None:
    """A server that does not answer holds up its own root and nobody else's."""
    files = {f"{index}.jpg": (b"x", LONG_AGO_NS) for index in range(10)}
    disk = MemoryFuse(ground.root, files, first_inode=100)
    ground.start(ground.root, ground.elsewhere, poll_floor_s=0.2)
    ground.index_all()
    disk.answering.clear()
    ground.clock.wait(ground.never, 1.0)
    (ground.elsewhere / "a.jpg").write_bytes(b"x")
    ground.until(lambda: ground.known(ground.elsewhere) == {"a.jpg"})
    assert ground.intake is not None
    assert not ground.intake.stop(0.5), "the hanging lane cannot have ended"
    disk.answering.set()
    assert ground.intake.stop(20)
    ground.intake = None
    assert ground.known() == set(files)
    disk.unmount()


SCENES: dict[str, Callable[[Ground], None]] = {
    scene.__name__: scene
    for scene in (
        bind_root_comes_and_goes,
        live_root_is_unmounted_and_mounted_again,
        mounted_over,
        disk_inside_a_root,
        mount_appears_inside_a_root,
        new_device_number,
        other_disk_on_the_mount_point,
        fuse_root_is_polled,
        fuse_root_that_hangs,
    )
}


def main(name: str, folder: Path) -> None:
    clock, never = SystemClock(), threading.Event()
    ground: Ground

    def eventually(predicate: Callable[[], object], timeout_s: float) -> None:
        give_up_s = clock.monotonic_s() + timeout_s
        while not predicate():
            if clock.monotonic_s() > give_up_s:
                state = f"{ground.status()}\n{ground.notices}\n{sorted(ground.known())[:20]}"
                raise AssertionError(f"still not so after {timeout_s} s\n{state}")
            clock.wait(never, 0.02)

    ground = Ground(folder, eventually)
    SCENES[name](ground)
    ground.close()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
