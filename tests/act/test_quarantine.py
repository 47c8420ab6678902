"""Into quarantine and back: what went is what returns, with its owner, mode, times, attributes and companions."""

from __future__ import annotations

import base64
import errno
import json
import os
import stat
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest

from deepdupe_daemon.act import (
    ManifestError,
    Outcome,
    Problem,
    Taken,
    manifests_in,
    quarantine_folder,
    renaming,
    restore_by_manifest,
)
from deepdupe_daemon.act.acl import acl_text
from deepdupe_daemon.errors import ActionRefused
from deepdupe_daemon.ledger import ActionRow, ActionState, Ledger
from deepdupe_daemon.model import FileState, VerdictClass
from tests.act.ground import Ground, likeness, tree

#: what an ACL's entries have as id that name nobody
NOBODY = 0xFFFFFFFF
#: a user that is named in an ACL; one that a user namespace may not know is none
USER = os.geteuid() or 1234
ACL = struct.pack("<I" + "HHI" * 5, 2, 1, 6, NOBODY, 2, 4, USER, 4, 4, NOBODY, 16, 4, NOBODY, 32, 0, NOBODY)
ACL_WORDS = ["user::rw-", f"user:{USER}:r--", "group::r--", "mask::r--", "other::---"]
NAMES = [
    b"plain.jpg",
    b"n" * 251 + b".jpg",
    b"new\nline \x1b[31m.jpg",
    b"\xff\xfe latin \xe9.jpg",
    "längst über 255 Bytes? ".encode() * 9 + b".jpg",
    b"no extension",
    b".hidden",
    b"-rf",
    b"many.dots.and.a.very.long.extension.indeedindeed",
    b"0.jpg",
    b"manifest.json",
]


def refused(call: Any, *arguments: Any, **options: Any) -> ActionRefused:
    with pytest.raises(ActionRefused) as caught:
        call(*arguments, **options)
    return caught.value


def dressed(path: bytes) -> None:
    """Give a file an owner, a mode, times, an attribute and an ACL that nobody has by accident."""
    os.setxattr(path, "user.rating", b"\x00five\xff")
    if os.geteuid() == 0:
        os.chown(path, 1234, 4321)
    os.setxattr(path, "system.posix_acl_access", ACL)
    os.utime(path, ns=(1_111_111_111_111_111_111, 1_222_222_222_222_222_222))


def dressed_pair(ground: Ground, name: str | bytes = "a/copy.jpg") -> tuple[bytes, ActionRow]:
    """A copy that was moved, and where it came from."""
    path = ground.file(name, b"the copy" * 1000).key.path
    dressed(path)
    verdict = ground.judge(ground.see(path), ground.file("kept.jpg", b"kept"))
    return path, ground.move(verdict)


@pytest.fixture(params=["same", "across"])
def placed(request: pytest.FixtureRequest, ground: Ground) -> Ground:
    """A quarantine on the file system of the root, and one on another."""
    if request.param == "across":
        ground.place = os.fsencode(request.getfixturevalue("other_disk") / "quarantine")
    return ground


def test_a_copy_goes_and_comes_back_as_it_was(placed: Ground) -> None:
    path = placed.file("a/copy.jpg", b"the copy" * 1000).key.path
    dressed(path)
    before = likeness(path)
    verdict = placed.judge(placed.see(path), placed.file("kept.jpg", b"kept"))
    moved = placed.move(verdict)
    assert moved.state is ActionState.QUARANTINED
    assert not os.path.lexists(path)
    assert likeness(placed.stored(moved)) == before
    assert [finding.problem for finding in placed.quarantine.verify()] == [None]
    row = placed.ledger.file_by_path(path)
    assert row is not None
    assert row.state is FileState.GONE
    back = placed.quarantine.restore(moved.action_id)
    assert back.action is not None
    assert back.action.state is ActionState.RESTORED
    assert back.files == ((path, path),)
    assert back.notes == ()
    assert likeness(path) == before
    assert os.listdir(placed.place) == []
    assert os.listdir(os.path.dirname(path)) == [b"copy.jpg"]


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_names_of_any_bytes(placed: Ground, name: bytes) -> None:
    path, moved = dressed_pair(placed, b"d/" + name)
    assert os.listdir(os.path.dirname(path)) == []
    [(_, manifest)] = manifests_in(placed.place)
    assert not isinstance(manifest, ManifestError)
    assert manifest.intent.files[0].file.path == path
    placed.quarantine.restore(moved.action_id)
    assert os.listdir(os.path.dirname(path)) == [name]


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_a_free_name_is_found_for_any_name(placed: Ground, name: bytes) -> None:
    path, moved = dressed_pair(placed, b"d/" + name)
    before = likeness(placed.stored(moved))
    for taken in range(2):
        Path(os.fsdecode(path)).write_bytes(b"mine")
        refusal = refused(placed.quarantine.restore, moved.action_id)
        assert (refusal.kind, placed.ledger.action(moved.action_id).state) == ("name-taken", ActionState.QUARANTINED)
        [(_, target)] = placed.quarantine.restore(moved.action_id, taken=Taken.FREE_NAME).files
        assert os.path.dirname(target) == os.path.dirname(path)
        assert target != path
        assert Path(os.fsdecode(path)).read_bytes() == b"mine"
        assert likeness(target) == before
        if taken == 0:  # and once more, while the first free name is taken too
            os.unlink(path)
            os.rename(target, path)
            again = placed.file(b"e/" + name, b"another copy")
            verdict = placed.judge(again, placed.file("kept3.jpg", b"kept3"))
            moved = placed.move(verdict)
            os.makedirs(os.path.dirname(again.key.path), exist_ok=True)
            path, before = again.key.path, likeness(placed.stored(moved))


# -- the folder and the manifest ---------------------------------------------------------------------------------------


def test_the_quarantine_is_private_whatever_the_umask(ground: Ground) -> None:
    before = os.umask(0)
    try:
        moved = ground.move(ground.pair())
    finally:
        os.umask(before)
    folder = os.path.dirname(ground.stored(moved))
    assert [stat.S_IMODE(os.stat(at).st_mode) for at in (ground.place, folder)] == [0o700, 0o700]
    assert stat.S_IMODE(os.stat(os.path.join(folder, b"manifest.json")).st_mode) == 0o600
    assert ground.place == quarantine_folder(os.fsencode(ground.root))


def manifest_of(ground: Ground, row: ActionRow) -> dict[str, Any]:
    with open(os.path.join(os.path.dirname(ground.stored(row)), b"manifest.json"), "rb") as file:
        read: dict[str, Any] = json.load(file)
    return read


def test_the_manifest_says_all_that_a_restore_by_hand_needs(ground: Ground) -> None:
    path, moved = dressed_pair(ground, b"a/\xff.jpg")
    status = os.stat(ground.stored(moved))
    said = manifest_of(ground, moved)
    [file] = said["files"]
    assert (said["format"], said["version"]) == ("deepdupe-quarantine-manifest", 1)
    assert said["action"] == moved.label
    assert said["verdict"] == f"v{moved.intent.verdict_id}"
    assert said["evidence"]["verdicts"][0]["similarities"] == {"small.final": 0.5}
    assert said["program_version"].count(".") == 2
    assert base64.b64decode(file["path_base64"]) == path
    assert (file["dev"], file["ino"], file["size"]) == (status.st_dev, status.st_ino, status.st_size)
    assert (file["uid"], file["gid"]) == (status.st_uid, status.st_gid)
    assert int(file["mode"], 8) == stat.S_IMODE(status.st_mode)
    assert (file["atime_ns"], file["mtime_ns"]) == (status.st_atime_ns, 1_222_222_222_222_222_222)
    assert base64.b64decode(file["xattrs"]["user.rating"]) == b"\x00five\xff"
    assert file["acl"] == {"access": ACL_WORDS}
    assert file["sha256"] == likeness(ground.stored(moved))[0]
    assert file["keeper"]["path"].endswith("/kept.jpg")
    assert bytes.fromhex(file["keeper"]["sha256"]) == moved.first.keeper.digest


def test_by_hand_with_the_tools_that_every_system_has(ground: Ground) -> None:
    """What the README says: each value of the manifest, given to the tool that takes it."""
    path, moved = dressed_pair(ground)
    before = likeness(ground.stored(moved))
    [file] = manifest_of(ground, moved)["files"]
    copy = ground.root / "by-hand.jpg"  # a copy, as from a backup that kept nothing but the bytes
    copy.write_bytes(Path(os.fsdecode(ground.stored(moved))).read_bytes())
    commands = [
        ["chown", f"{file['uid']}:{file['gid']}", copy],
        ["chmod", file["mode"], copy],
        *(["setfattr", "-n", name, "-v", f"0s{value}", copy] for name, value in file["xattrs"].items()),
        ["touch", "-m", "-d", f"@{file['mtime_ns'] // 10**9}.{file['mtime_ns'] % 10**9:09}", copy],
    ]
    for command in commands:
        try:
            subprocess.run(command, check=True, capture_output=True)
        except FileNotFoundError:
            pytest.skip(f"{command[0]} is not installed")
    assert likeness(os.fsencode(copy)) == before
    assert path not in tree(ground.root)


def test_a_file_system_that_keeps_no_attributes_gets_no_copy(
    ground: Ground, other_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on FAT: what the copy would lose is named, and the file stays."""
    path = ground.file("a.jpg", b"a").key.path
    os.setxattr(path, "user.rating", b"5")
    verdict = ground.judge(ground.see(path), ground.file("kept.jpg", b"kept"))
    ground.place = os.fsencode(other_disk / "quarantine")

    def unknown(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, "not supported")

    with monkeypatch.context() as patch:
        patch.setattr(os, "setxattr", unknown)
        refusal = refused(ground.move, verdict)
    assert refusal.kind == "metadata"
    assert "user.rating" in refusal.what
    assert os.path.lexists(path)
    assert tree(other_disk) == set()


def test_an_acl_of_another_version_is_not_guessed() -> None:
    assert acl_text(ACL) == ACL_WORDS
    for raw in (b"", b"\x02\x00", b"\x03" + ACL[1:], ACL[:-1], ACL[:4] + b"\x40" + ACL[5:]):
        assert acl_text(raw) is None


def test_manifests_are_read_without_a_ledger(ground: Ground) -> None:
    path, moved = dressed_pair(ground)
    os.mkdir(ground.place + b"/broken")
    (ground.root / ".deepdupe-quarantine" / "broken" / "manifest.json").write_text("{")
    os.mkdir(ground.place + b"/empty")
    os.mkdir(ground.place + b"/\xff")
    found = dict(manifests_in(ground.place))
    assert [token for token, one in found.items() if isinstance(one, ManifestError)] == ["broken", "empty", "\\xff"]
    manifest = found[moved.intent.token]
    assert not isinstance(manifest, ManifestError)
    assert manifest.intent == moved.intent
    assert manifest.intent.files[0].file.path == path


@pytest.mark.parametrize(
    ("key", "value"),
    [("version", 2), ("format", "x"), ("files", []), ("files", 3), ("verdict", "x"), ("class", "x"), ("evidence", 1)],
)
def test_a_manifest_that_says_something_else_is_refused(ground: Ground, key: str, value: object) -> None:
    _, moved = dressed_pair(ground)
    said = manifest_of(ground, moved)
    folder = os.path.dirname(ground.stored(moved))
    Path(os.fsdecode(folder), "manifest.json").write_text(json.dumps({**said, key: value}))
    with pytest.raises(ManifestError):
        restore_by_manifest(folder)
    problems = [finding.problem for finding in ground.quarantine.verify()]
    assert problems == [Problem.MANIFEST_DIFFERS]


@pytest.mark.parametrize("stored", ["../kept.jpg", "..", "", "/etc/passwd", "a/b"])
def test_a_manifest_cannot_name_files_elsewhere(ground: Ground, stored: str) -> None:
    _, moved = dressed_pair(ground)
    said = manifest_of(ground, moved)
    said["files"][0]["stored"] = stored
    folder = os.path.dirname(ground.stored(moved))
    Path(os.fsdecode(folder), "manifest.json").write_text(json.dumps(said))
    with pytest.raises(ManifestError):
        restore_by_manifest(folder)


def test_a_restore_without_ledger(placed: Ground) -> None:
    path, moved = dressed_pair(placed)
    before = likeness(placed.stored(moved))
    back = restore_by_manifest(os.path.dirname(placed.stored(moved)))
    assert back.files == ((path, path),)
    assert back.action is None
    assert likeness(path) == before
    assert os.listdir(placed.place) == []


# -- bundles -----------------------------------------------------------------------------------------------------------


def bundle(ground: Ground) -> tuple[list[bytes], ActionRow]:
    keeper = ground.file("kept.jpg", b"kept")
    duplicate = ground.file("b/IMG_1.jpg", b"duplicate")
    companions = [ground.file(name, name.encode()).key.path for name in ("b/IMG_1.xmp", "b/IMG_1.mov")]
    return [duplicate.key.path, *companions], ground.move(ground.judge(duplicate, keeper), companions=companions)


def test_a_bundle_moves_and_returns_as_one(placed: Ground) -> None:
    paths, moved = bundle(placed)
    assert os.listdir(os.path.dirname(paths[0])) == []
    assert [os.path.splitext(placed.stored(moved, n))[1] for n in range(3)] == [b".jpg", b".xmp", b".mov"]
    assert placed.ledger.moved_since(0) == 3
    back = placed.quarantine.restore(moved.action_id)
    assert [now for _, now in back.files] == paths
    assert tree(os.path.dirname(paths[0])) == set(paths)


def test_where_one_name_is_taken_the_bundle_takes_one_free_name(placed: Ground) -> None:
    paths, moved = bundle(placed)
    Path(os.fsdecode(paths[1])).write_bytes(b"another sidecar")
    assert refused(placed.quarantine.restore, moved.action_id).kind == "name-taken"
    assert tree(os.path.dirname(paths[0])) == {paths[1]}
    back = placed.quarantine.restore(moved.action_id, taken=Taken.FREE_NAME)
    assert [os.path.basename(now) for _, now in back.files] == [
        b"IMG_1 (restored).jpg",
        b"IMG_1 (restored).xmp",
        b"IMG_1 (restored).mov",
    ]


def test_two_pictures_of_a_bundle_each_with_its_keeper(ground: Ground) -> None:
    first = ground.judge(ground.file("b/1.jpg", b"1"), ground.file("k/1.jpg", b"one"))
    second = ground.judge(ground.file("b/1.dng", b"2"), ground.file("k/1.dng", b"two"))
    moved = ground.move(first, second)
    assert [os.path.basename(member.keeper.path) for member in moved.intent.files] == [b"1.jpg", b"1.dng"]
    os.unlink(ground.root / "k" / "1.dng")
    assert refused(ground.quarantine.purge, moved.action_id).kind == "last-copy"


# -- restoring ---------------------------------------------------------------------------------------------------------


def test_folders_that_are_gone_are_made_anew_with_a_note(placed: Ground) -> None:
    path, moved = dressed_pair(placed, "a/b/c/copy.jpg")
    os.removedirs(os.path.dirname(path))
    back = placed.quarantine.restore(moved.action_id)
    assert len(back.notes) == 3
    assert all("made anew" in note for note in back.notes)
    assert os.path.lexists(path)


def test_what_was_damaged_in_quarantine_does_not_come_back_as_if_it_were_whole(placed: Ground) -> None:
    path, moved = dressed_pair(placed)
    with open(placed.stored(moved), "ab") as file:
        file.write(b"!")
    assert refused(placed.quarantine.restore, moved.action_id).kind == "damaged"
    assert not os.path.lexists(path)
    assert {finding.problem for finding in placed.quarantine.verify()} == {Problem.DAMAGED, Problem.METADATA}
    assert placed.ledger.action(moved.action_id) == moved


def test_what_is_missing_is_said(placed: Ground) -> None:
    _, moved = bundle(placed)
    os.unlink(placed.stored(moved, 1))
    assert refused(placed.quarantine.restore, moved.action_id).kind == "missing"
    assert [(f.problem, f.path) for f in placed.quarantine.verify()] == [
        (Problem.MISSING, moved.intent.files[1].file.path)
    ]
    assert os.path.lexists(placed.stored(moved, 0)), "all members or none"


def test_metadata_that_changed_in_quarantine_is_given_back(placed: Ground) -> None:
    path, moved = dressed_pair(placed)
    stored = placed.stored(moved)
    before = likeness(stored)
    os.chmod(stored, 0o777)
    os.removexattr(stored, "user.rating")
    os.utime(stored)
    assert [finding.problem for finding in placed.quarantine.verify()] == [Problem.METADATA]
    assert placed.quarantine.restore(moved.action_id).notes == ()
    assert likeness(path) == before


def test_a_restored_pair_is_not_taken_again(ground: Ground) -> None:
    path, moved = dressed_pair(ground)
    ground.quarantine.restore(moved.action_id)
    duplicate = ground.see(path)
    assert moved.first.keeper is not None
    keeper = ground.ledger.file_by_path(moved.first.keeper.path)
    assert keeper is not None
    with pytest.raises(ValueError, match="not enough values"):
        ground.judge(duplicate, keeper)
    assert refused(ground.quarantine.restore, moved.action_id).kind == "not-quarantined"
    assert refused(ground.quarantine.restore, 99).kind == "not-quarantined"


# -- purging -----------------------------------------------------------------------------------------------------------


def test_a_purge_removes_what_a_copy_of_stays(placed: Ground) -> None:
    paths, moved = bundle(placed)
    freed = sum(len(name) for name in (b"duplicate", b"b/IMG_1.xmp", b"b/IMG_1.mov"))
    purged = placed.quarantine.purge(moved.action_id)
    assert purged.files == tuple(paths)
    assert purged.freed_bytes == freed
    assert purged.action.state is ActionState.PURGED
    assert os.listdir(placed.place) == []
    assert refused(placed.quarantine.restore, moved.action_id).kind == "not-quarantined"


@pytest.mark.parametrize("how", ["deleted", "edited"])
def test_the_last_copy_is_not_purged_but_at_a_persons_word(ground: Ground, how: str) -> None:
    _, moved = dressed_pair(ground)
    keeper = ground.root / "kept.jpg"
    keeper.unlink() if how == "deleted" else keeper.write_bytes(b"edited")
    assert refused(ground.quarantine.purge, moved.action_id).kind == "last-copy"
    assert os.path.lexists(ground.stored(moved))
    assert ground.quarantine.purge(moved.action_id, last_copy_too=True).action.state is ActionState.PURGED


def test_a_keeper_that_was_renamed_is_found(ground: Ground) -> None:
    _, moved = dressed_pair(ground)
    (ground.root / "kept.jpg").rename(ground.root / "elsewhere.jpg")
    ground.see(os.fsencode(ground.root / "elsewhere.jpg"))
    assert ground.quarantine.purge(moved.action_id).action.state is ActionState.PURGED


# -- looking -----------------------------------------------------------------------------------------------------------


def test_folders_that_no_ledger_knows_are_found(ground: Ground, tmp_path: Path) -> None:
    path, moved = dressed_pair(ground)
    os.mkdir(ground.place + b"/stray")
    with Ledger.open(tmp_path / "new-state", ground.clock) as empty:
        blank = type(ground.quarantine)(empty, ground.clock)
        assert list(blank.verify()) == []
        found = {(f.token, f.problem, f.path) for f in blank.verify(places=[ground.place])}
    assert found == {(moved.intent.token, Problem.UNKNOWN, path), ("stray", Problem.NO_MANIFEST, None)}
    assert [f.problem for f in ground.quarantine.verify([moved.action_id])] == [None]


def test_a_missing_quarantine_is_told_from_an_empty_one(ground: Ground) -> None:
    _, moved = dressed_pair(ground)
    folder = os.path.dirname(ground.stored(moved))
    os.rename(folder, folder + b"-away")
    assert Problem.MISSING in [finding.problem for finding in ground.quarantine.verify()]
    os.rename(ground.place, ground.place + b"-away")
    assert [finding.problem for finding in ground.quarantine.verify()] == [Problem.UNREACHABLE]
    os.symlink(ground.place + b"-away", ground.place)
    assert [finding.problem for finding in ground.quarantine.verify()] == [Problem.UNREACHABLE] * 2


# -- file systems that cannot rename without replacing -----------------------------------------------------------------


def test_without_the_flag_a_link_does(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    """NFS does not know RENAME_NOREPLACE, and says EINVAL."""
    monkeypatch.setattr(renaming, "_renameat2", lambda: lambda *_: 22)
    path, moved = dressed_pair(ground)
    before = likeness(ground.stored(moved))
    Path(os.fsdecode(path)).write_bytes(b"mine")
    assert refused(ground.quarantine.restore, moved.action_id).kind == "name-taken"
    [(_, target)] = ground.quarantine.restore(moved.action_id, taken=Taken.FREE_NAME).files
    assert likeness(target) == before
    assert os.stat(target).st_nlink == 1


def test_a_file_that_may_be_linked_but_not_unlinked_keeps_one_name(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sticky folder: the link is made, the old name cannot go, and so the link goes again."""
    verdict = ground.pair()
    intent = ground.plan(verdict)
    unlink, denied = os.unlink, [b"copy.jpg"]

    def sticky(name: bytes, **options: int) -> None:
        if name in denied:
            raise PermissionError(errno.EPERM, "sticky")
        unlink(name, **options)

    with monkeypatch.context() as patch:
        patch.setattr(renaming, "_renameat2", lambda: lambda *_: errno.EINVAL)
        patch.setattr(os, "unlink", sticky)
        assert refused(ground.quarantine.carry_out, intent).kind == "not-permitted"
    assert os.stat(verdict.verdict.duplicate.path).st_nlink == 1
    assert os.listdir(ground.place) == []


def test_the_bare_system_call_serves_where_the_library_has_none(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a")
    (tmp_path / "b").write_bytes(b"b")
    fd = os.open(tmp_path, os.O_RDONLY)
    bare = renaming.bare_renameat2()
    assert bare(fd, b"a", fd, b"b") == 17
    assert bare(fd, b"a", fd, b"c") == 0
    os.close(fd)
    assert sorted(os.listdir(tmp_path)) == ["b", "c"]


# -- planning ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verdict_class", [VerdictClass.SERIES, VerdictClass.RELATED])
def test_what_is_not_proven_never_moves(ground: Ground, verdict_class: VerdictClass) -> None:
    verdict = ground.judge(ground.file("a.jpg", b"a"), ground.file("b.jpg", b"b"), verdict_class)
    assert refused(ground.plan, verdict).kind == "not-proven"


def test_a_plan_speaks_of_what_is_there_now(ground: Ground) -> None:
    verdict = ground.pair()
    ground.ledger.note_gone(verdict.verdict.keeper.path)
    assert refused(ground.plan, verdict).kind == "keeper-changed"
    ground.ledger.note_gone(verdict.verdict.duplicate.path)
    assert refused(ground.plan, verdict).kind == "changed"


def test_what_lies_in_quarantine_is_not_moved_there(ground: Ground) -> None:
    verdict = ground.judge(ground.file("Trash/a.jpg", b"a"), ground.file("b.jpg", b"b"))
    ground.place = os.fsencode(ground.root / "Trash")
    assert refused(ground.plan, verdict).kind == "in-quarantine"


def test_a_companion_that_is_not_there_is_said(ground: Ground) -> None:
    assert refused(ground.plan, ground.pair(), companions=[os.fsencode(ground.root / "x.xmp")]).kind == "gone"
    assert refused(ground.plan, ground.pair(), companions=[b"/elsewhere/x.xmp"]).kind == "gone"


def test_nothing_is_open_when_all_went_well(ground: Ground) -> None:
    dressed_pair(ground)
    assert ground.quarantine.recover() == []
    assert Outcome.FINISHED == "finished"
