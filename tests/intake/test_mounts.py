"""mountinfo, read and compared."""

from __future__ import annotations

import os

import pytest

from deepdupe_daemon.intake.mounts import MountTable, MountWatch, is_below

TABLE = b"""\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
23 22 0:21 / /proc rw - proc proc rw
30 22 0:50 / /mnt/nas rw,relatime shared:5 master:1 - nfs4 server:/export rw,vers=4.2
31 22 8:17 /photos /srv/photos rw - ext4 /dev/sdb1 rw
32 31 0:51 / /srv/photos/phone\\040camera rw - fuse.sshfs user@host:/dcim rw
33 22 8:33 / /mnt/usb\\134\\011x rw - fuseblk /dev/sdc1 rw
34 22 8:34 / /stacked rw - ext4 /dev/sdd1 rw
35 34 0:60 / /stacked rw - tmpfs tmpfs rw
"""


def test_the_holder_is_the_mount_with_the_longest_point() -> None:
    table = MountTable.parse(TABLE)
    holders = {
        path: getattr(table.holder(path), "point", None)
        for path in (b"/home/a", b"/mnt/nas", b"/mnt/nas/x", b"/mnt/nasty", b"/srv/photos/2024/1.jpg")
    }
    assert holders == {
        b"/home/a": b"/",
        b"/mnt/nas": b"/mnt/nas",
        b"/mnt/nas/x": b"/mnt/nas",
        b"/mnt/nasty": b"/",
        b"/srv/photos/2024/1.jpg": b"/srv/photos",
    }


def test_escaped_points_are_read() -> None:
    table = MountTable.parse(TABLE)
    assert [mount.point for mount in table.below(b"/srv/photos")] == [b"/srv/photos/phone camera"]
    assert table.holder(b"/mnt/usb\\\tx/1.jpg") == table.holder(b"/mnt/usb\\\tx")


def test_the_mount_on_top_is_the_one_that_counts() -> None:
    holder = MountTable.parse(TABLE).holder(b"/stacked/x")
    assert holder is not None
    assert (holder.fstype, holder.device) == (b"tmpfs", os.makedev(0, 60))


@pytest.mark.parametrize(
    ("fstype", "remote"),
    [
        ("ext4", False), ("btrfs", False), ("xfs", False), ("zfs", False), ("overlay", False), ("tmpfs", False),
        ("fuseblk", False), ("nfs", True), ("nfs4", True), ("cifs", True), ("smb3", True), ("fuse", True),
        ("fuse.sshfs", True), ("fuse.rclone", True), ("9p", True), ("virtiofs", True), ("vboxsf", True), ("ceph", True),
    ],
)  # fmt: skip
def test_remote_is_what_others_can_change(fstype: str, remote: bool) -> None:
    line = f"22 1 0:9 / / rw - {fstype} source rw".encode()
    holder = MountTable.parse(line).holder(b"/x")
    assert holder is not None
    assert holder.remote is remote


def test_a_root_concerns_the_mount_that_holds_it_and_those_in_it() -> None:
    table = MountTable.parse(TABLE)
    assert table.concerning(b"/srv/photos/2024") == {b"/srv/photos"}
    assert table.concerning(b"/srv/photos") == {b"/srv/photos", b"/srv/photos/phone camera"}
    assert table.concerning(b"/srv") == {b"/srv/photos", b"/srv/photos/phone camera"}
    assert table.concerning(b"/home") == set(), "the root file system cannot go away"
    assert table.remote_devices(b"/srv/photos") == {os.makedev(0, 51)}
    assert table.remote_devices(b"/mnt/nas/sub") == {os.makedev(0, 50)}
    assert table.remote_devices(b"/home") == set()


@pytest.mark.parametrize("line", [b"22 1 8:1 / /", b"no mountinfo at all", b"1 2 3 - ext4 x"])
def test_what_is_no_mountinfo_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match="mountinfo"):
        MountTable.parse(line)


def test_this_machine_has_a_root_file_system() -> None:
    holder = MountTable.read().holder(os.fsencode(os.getcwd()))
    assert holder is not None
    assert holder.point.startswith(b"/")


def test_nothing_changed_is_what_the_watch_says_at_rest() -> None:
    watch = MountWatch()
    watch.changed()
    assert not watch.changed()
    watch.close()


@pytest.mark.parametrize(
    ("path", "top", "below"),
    [
        (b"/a/b", b"/a", True), (b"/a", b"/a", False), (b"/ab", b"/a", False), (b"/a", b"/", True), (b"/", b"/", False),
    ],
)  # fmt: skip
def test_below_goes_by_whole_names(path: bytes, top: bytes, below: bool) -> None:
    assert is_below(path, top) is below
