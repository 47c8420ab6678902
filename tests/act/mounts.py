"""Scenes that need file systems of their own: full, read-only, unmounted, and bound to two places.

    unshare -m --propagation private python -m tests.act.mounts SCENE FOLDER

Run in a mount namespace of its own, so that nothing of it is seen outside, and all of it goes with the process.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from deepdupe_daemon.act import ManifestError, Outcome, manifests_in, restore_by_manifest
from deepdupe_daemon.act.moving import move_in
from deepdupe_daemon.errors import ActionRefused
from deepdupe_daemon.ledger import ActionRow, ActionState, VerdictRow
from tests.act.ground import Ground, likeness, tree


def mount(*arguments: str | Path) -> None:
    subprocess.run(["mount", *map(str, arguments)], check=True)


def umount(at: Path) -> None:
    subprocess.run(["umount", str(at)], check=True)


def refused(ground: Ground, verdict: VerdictRow) -> ActionRefused:
    try:
        ground.move(verdict)
    except ActionRefused as error:
        return error
    raise AssertionError("it was moved")


def refused_back(ground: Ground, row: ActionRow) -> ActionRefused:
    try:
        ground.quarantine.restore(row.action_id)
    except ActionRefused as error:
        return error
    raise AssertionError("it was restored")


def big_pair(ground: Ground) -> VerdictRow:
    return ground.judge(ground.file("copy.jpg", os.urandom(600 << 10)), ground.file("kept.jpg", b"kept"))


def a_full_disk(folder: Path) -> None:
    """The quarantine's file system holds half of the file."""
    ground = Ground(folder)
    disk = folder / "disk"
    disk.mkdir()
    mount("-t", "tmpfs", "-o", "size=300k,mode=0700", "x", disk)
    ground.place = os.fsencode(disk / "quarantine")
    verdict = big_pair(ground)
    before = likeness(verdict.verdict.duplicate.path)
    error = refused(ground, verdict)
    assert (error.kind, error.retry) == ("no-space", True), error
    assert likeness(verdict.verdict.duplicate.path) == before
    assert tree(disk) == set()
    mount("-o", "remount,size=10m", disk)
    moved = ground.move(verdict)
    assert likeness(ground.stored(moved)) == before
    ground.close()


def a_full_root(folder: Path) -> None:
    """Not even a manifest fits; and on the way back, from another disk, there is no room for the file."""
    ground = Ground(folder)
    mount("-t", "tmpfs", "-o", "size=1m,mode=0700", "x", ground.root)
    verdict = big_pair(ground)
    before = likeness(verdict.verdict.duplicate.path)
    filler = ground.root / "filler"
    fill(filler)
    assert refused(ground, verdict).kind == "no-space"
    assert likeness(verdict.verdict.duplicate.path) == before
    filler.unlink()
    ground.place = os.fsencode(folder / "quarantine")
    moved = ground.move(verdict)
    fill(filler)
    assert refused_back(ground, moved).kind == "no-space"
    assert ground.ledger.action(moved.action_id) == moved
    assert likeness(ground.stored(moved)) == before
    filler.unlink()
    ground.quarantine.restore(moved.action_id)
    assert likeness(verdict.verdict.duplicate.path) == before
    ground.close()


def fill(path: Path) -> None:
    try:
        with path.open("wb", buffering=0) as file:
            while file.write(bytes(4096)):
                pass
    except OSError:
        return


def a_read_only_root(folder: Path) -> None:
    ground = Ground(folder)
    mount("-t", "tmpfs", "-o", "size=1m,mode=0700", "x", ground.root)
    verdict = ground.pair()
    mount("-o", "remount,ro", ground.root)
    for place in (ground.place, os.fsencode(folder / "quarantine")):
        ground.place = place
        error = refused(ground, verdict)
        assert (error.kind, error.retry) == ("read-only", True), error
    assert tree(folder / "quarantine") == set()
    mount("-o", "remount,rw", ground.root)
    moved = ground.move(verdict)
    mount("-o", "remount,ro", ground.root)
    assert refused_back(ground, moved).kind == "read-only"
    assert ground.ledger.action(moved.action_id) == moved
    ground.close()


def a_keeper_that_is_not_mounted(folder: Path) -> None:
    ground = Ground(folder)
    other = folder / "other"
    other.mkdir()
    mount("-t", "tmpfs", "-o", "size=1m,mode=0700", "x", other)
    keeper = ground.file("kept.jpg", b"kept", root=other)
    verdict = ground.judge(ground.file("copy.jpg", b"copy"), keeper)
    umount(other)
    assert refused(ground, verdict).kind == "keeper-gone"
    (other / "kept.jpg").write_bytes(b"something else lies in the empty mount point")
    assert refused(ground, verdict).kind == "keeper-changed"
    assert os.path.lexists(verdict.verdict.duplicate.path)
    ground.close()


def bind_mounts_of_one_file_system(folder: Path) -> None:
    """What a service sees whose unit names root and quarantine as two writable paths: EXDEV on one device."""
    ground = Ground(folder)
    os.mkdir(ground.place, 0o700)
    mount("--bind", ground.root, ground.root)
    mount("--bind", os.fsdecode(ground.place), os.fsdecode(ground.place))
    verdict = ground.pair("a/copy.jpg")
    path = verdict.verdict.duplicate.path
    before = likeness(path)
    inode = os.stat(path).st_ino
    moved = ground.move(verdict)
    assert os.stat(ground.stored(moved)).st_dev == os.stat(ground.root).st_dev
    assert os.stat(ground.stored(moved)).st_ino != inode, "it was copied: a rename is not possible"
    assert likeness(ground.stored(moved)) == before
    assert os.listdir(os.path.dirname(path)) == []
    ground.quarantine.restore(moved.action_id)
    assert likeness(path) == before
    again = ground.judge(ground.file("a/2.jpg", b"2"), ground.file("kept2.jpg", b"kept2"))
    before = likeness(again.verdict.duplicate.path)
    restore_by_manifest(os.path.dirname(ground.stored(ground.move(again))))
    assert likeness(again.verdict.duplicate.path) == before
    ground.close()


def a_root_that_is_away_at_the_start(folder: Path) -> None:
    """An intent whose file system is not mounted waits; it is neither finished nor taken back by guesswork."""
    ground = Ground(folder)
    disk = folder / "disk"
    disk.mkdir()
    mount("-t", "tmpfs", "-o", "size=1m,mode=0700", "x", disk)
    mount("--bind", disk, ground.root)
    verdict = ground.pair()
    before = likeness(verdict.verdict.duplicate.path)
    row = ground.ledger.record_intent(ground.plan(verdict))
    umount(ground.root)
    [postponed] = ground.quarantine.recover()
    assert postponed.outcome is Outcome.POSTPONED, postponed
    mount("--bind", disk, ground.root)
    [done] = ground.quarantine.recover()
    assert done.outcome is Outcome.ROLLED_BACK, done
    moved = ground.move(verdict)
    ground.ledger.begin_restore(moved.action_id, [row.first.file.path])
    umount(ground.root)
    [postponed] = ground.quarantine.recover()
    assert postponed.outcome is Outcome.POSTPONED, postponed
    mount("--bind", disk, ground.root)
    [done] = ground.quarantine.recover()
    assert (done.outcome, done.action.state) == (Outcome.FINISHED, ActionState.RESTORED), done
    assert likeness(verdict.verdict.duplicate.path) == before
    ground.close()


def a_quarantine_that_is_away_at_the_start(folder: Path) -> None:
    """The configured folder is a disk's mount point. While the disk is away nothing that lies on it is given up."""
    ground = Ground(folder)
    disk, place = folder / "disk", folder / "quarantine"
    disk.mkdir()
    place.mkdir(mode=0o700)
    mount("-t", "tmpfs", "-o", "size=1m,mode=0700", "x", disk)
    mount("--bind", disk, place)
    ground.place = os.fsencode(place)
    verdict = ground.pair()
    path = verdict.verdict.duplicate.path
    before = likeness(path)
    row = ground.ledger.record_intent(ground.plan(verdict))
    move_in(row, 0)  # and killed before the ledger was told
    umount(place)
    [postponed] = ground.quarantine.recover()
    assert postponed.outcome is Outcome.POSTPONED, postponed
    mount("--bind", disk, place)
    [done] = ground.quarantine.recover()
    assert done.outcome is Outcome.FINISHED, done
    ground.ledger.begin_restore(1, [path])
    umount(place)
    [postponed] = ground.quarantine.recover()
    assert postponed.outcome is Outcome.POSTPONED, postponed
    mount("--bind", disk, place)
    [done] = ground.quarantine.recover()
    assert done.outcome is Outcome.FINISHED, done
    assert likeness(path) == before
    ground.close()


def a_mount_point_takes_nothing_back(folder: Path) -> None:
    """A file that came back into an empty mount point would be hidden by the next mount."""
    ground = Ground(folder)
    mount("-t", "tmpfs", "-o", "size=1m,mode=0700", "x", ground.root)
    ground.place = os.fsencode(folder / "quarantine")
    moved = ground.move(ground.pair())
    umount(ground.root)
    assert refused_back(ground, moved).kind == "offline"
    assert os.listdir(ground.root) == []
    ground.ledger.begin_restore(moved.action_id, [moved.first.file.path])
    [postponed] = ground.quarantine.recover()
    assert postponed.outcome is Outcome.POSTPONED, postponed
    assert os.listdir(ground.root) == []
    ground.close()


def a_quota_that_is_used_up(folder: Path) -> None:
    """A real quota, where the kernel has them for file systems in memory (6.6)."""
    ground = Ground(folder)
    disk = folder / "disk"
    disk.mkdir()
    try:
        mount("-t", "tmpfs", "-o", "size=10m,mode=0777,usrquota,usrquota_block_hardlimit=300k", "x", disk)
    except subprocess.CalledProcessError:
        sys.exit(SKIP)
    os.chown(ground.state_dir, 0, 0)
    verdict = big_pair(ground)
    ground.place = os.fsencode(disk / "quarantine")
    before = likeness(verdict.verdict.duplicate.path)
    error = refused(ground, verdict)
    assert error.kind == "no-space", error
    assert likeness(verdict.verdict.duplicate.path) == before
    assert tree(disk) == set()
    ground.close()


def an_owner_that_is_hidden(folder: Path) -> None:
    """In a user namespace that knows root alone, as PrivateUsers=yes makes one, a file of another looks like nobody's:
    the manifest does not say so, a rename keeps the owner, and a copy is refused."""
    if os.geteuid():
        sys.exit(SKIP)
    ground = Ground(folder)
    disk = folder / "disk"
    disk.mkdir()
    mount("-t", "tmpfs", "-o", "size=1m,mode=0700", "x", disk)
    verdict = ground.pair()
    path = verdict.verdict.duplicate.path
    try:
        os.chown(path, 1234, 4321)
    except OSError:
        sys.exit(SKIP)
    os.chmod(path, 0o644)
    before = likeness(path)
    keeper = ground.ledger.file_by_path(verdict.verdict.keeper.path)
    assert keeper is not None
    ground.judge(ground.see(path), keeper)
    ground.close()
    inside = [sys.executable, "-m", "tests.act.mounts", "inside_a_user_namespace", str(folder)]
    done = subprocess.run(["unshare", "--user", "--map-root-user", *inside], check=False)
    if done.returncode == SKIP:
        sys.exit(SKIP)
    assert done.returncode == 0
    ground = Ground(folder)
    [row] = ground.ledger.actions(states=[ActionState.QUARANTINED])
    assert likeness(ground.stored(row)) == before
    ground.quarantine.restore(row.action_id)
    assert likeness(path) == before
    ground.close()


def inside_a_user_namespace(folder: Path) -> None:
    ground = Ground(folder)
    [verdict] = ground.ledger.duplicates()
    default, ground.place = ground.place, os.fsencode(folder / "disk" / "quarantine")
    error = refused(ground, verdict)
    assert error.kind == "metadata", error
    assert "hides" in error.what
    ground.place = default
    moved = ground.move(verdict)
    [(_, manifest)] = manifests_in(default)
    assert not isinstance(manifest, ManifestError)
    assert (manifest.metadata[0].uid, manifest.metadata[0].gid) == (None, None)
    assert [finding.problem for finding in ground.quarantine.verify()] == [None]
    assert moved.state is ActionState.QUARANTINED
    ground.close()


SKIP = 77
SCENES: dict[str, Callable[[Path], None]] = {
    scene.__name__: scene
    for scene in (
        a_full_disk,
        a_full_root,
        a_read_only_root,
        a_keeper_that_is_not_mounted,
        bind_mounts_of_one_file_system,
        a_root_that_is_away_at_the_start,
        a_quarantine_that_is_away_at_the_start,
        a_mount_point_takes_nothing_back,
        a_quota_that_is_used_up,
        an_owner_that_is_hidden,
    )
}

if __name__ == "__main__":
    {**SCENES, inside_a_user_namespace.__name__: inside_a_user_namespace}[sys.argv[1]](Path(sys.argv[2]))
