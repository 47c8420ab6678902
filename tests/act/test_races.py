"""Somebody else changes the tree between the verdict and the move, or in the midst of it: nothing is lost, nothing is
overwritten, and the refusal says in one word what happened."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from deepdupe_daemon.act import Outcome, Taken, copying, moving, proof, transfer
from deepdupe_daemon.act.held import digest_of
from deepdupe_daemon.errors import ActionRefused, ActionUnfinished
from deepdupe_daemon.ledger import ActionState, VerdictRow
from tests.act.ground import Ground, likeness, tree

Interfere = Callable[[Callable[[], None]], None]


@pytest.fixture
def verdict(ground: Ground) -> VerdictRow:
    return ground.pair("a/copy.jpg")


@pytest.fixture(params=["same", "across"])
def placed(request: pytest.FixtureRequest, ground: Ground) -> Ground:
    if request.param == "across":
        ground.place = os.fsencode(request.getfixturevalue("other_disk") / "quarantine")
    return ground


@pytest.fixture
def after_the_proof(monkeypatch: pytest.MonkeyPatch) -> Interfere:
    """Let something happen once the proof is made and the manifest written, before anything moves."""

    def arrange(happens: Callable[[], None]) -> None:
        write = moving.write_manifest

        def written(*arguments: Any) -> None:
            write(*arguments)
            happens()

        monkeypatch.setattr(moving, "write_manifest", written)

    return arrange


@pytest.fixture
def at_the_last_moment(monkeypatch: pytest.MonkeyPatch) -> Interfere:
    """Let something happen between the last look at a name and the system call that moves it; once."""

    def arrange(happens: Callable[[], None]) -> None:
        rename, pending = transfer.rename_noreplace, [happens]

        def renamed(source_fd: int, source: bytes, target_fd: int, target: bytes) -> None:
            if pending and source == b"copy.jpg":
                pending.pop()()
            rename(source_fd, source, target_fd, target)

        monkeypatch.setattr(transfer, "rename_noreplace", renamed)

    return arrange


def refused(ground: Ground, verdict: VerdictRow, **options: Any) -> str:
    """Carry it out, and give the word of the refusal; whatever it says, nothing of it is left in quarantine."""
    intent = ground.plan(verdict, **options)
    with pytest.raises(ActionRefused) as caught:
        ground.quarantine.carry_out(intent)
    row = ground.ledger.action_on(verdict.verdict_id)
    assert row is None or (row.state, row.kind) == (ActionState.ABANDONED, caught.value.kind)
    assert caught.value.where is not None
    assert ground.quarantine.recover() == []
    if os.path.lexists(ground.place) and not os.path.islink(ground.place):
        assert os.listdir(ground.place) == []
    return caught.value.kind


def write(path: bytes, content: bytes) -> None:
    with open(path, "wb") as file:
        file.write(content)


def read(path: bytes) -> bytes:
    with open(path, "rb") as file:
        return file.read()


# -- the duplicate -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("when", ["before", "after_the_proof"])
def test_a_parent_that_became_a_symlink(
    ground: Ground, verdict: VerdictRow, when: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """The class of CVE-2020-3350: the name leads to somebody's secret meanwhile."""
    path = verdict.verdict.duplicate.path
    before = likeness(path)
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "copy.jpg").write_bytes(read(path))

    def swap() -> None:
        (ground.root / "a").rename(ground.root / "moved-away")
        (ground.root / "a").symlink_to(secret)

    if when == "before":
        intent = ground.plan(verdict)
        swap()
        with pytest.raises(ActionRefused) as caught:
            ground.quarantine.carry_out(intent)
        assert caught.value.kind == "symlink"
        assert likeness(os.fsencode(ground.root / "moved-away" / "copy.jpg")) == before
    else:
        request.getfixturevalue("after_the_proof")(swap)
        moved = ground.move(verdict)  # the folder in hand is the real one, and so is the file
        assert likeness(ground.stored(moved)) == before
        assert os.listdir(ground.root / "moved-away") == []
    assert os.listdir(secret) == ["copy.jpg"]


def test_a_root_that_became_a_symlink(ground: Ground, verdict: VerdictRow, tmp_path: Path) -> None:
    intent = ground.plan(verdict)
    ground.root.rename(tmp_path / "real")
    ground.root.symlink_to(tmp_path / "real")
    with pytest.raises(ActionRefused) as caught:
        ground.quarantine.carry_out(intent)
    assert caught.value.kind == "symlink"
    assert len(tree(tmp_path / "real")) == 2


@pytest.mark.parametrize("what", ["symlink", "folder", "fifo", "gone"])
def test_a_duplicate_that_became_something_else(ground: Ground, verdict: VerdictRow, what: str, tmp_path: Path) -> None:
    path = verdict.verdict.duplicate.path
    intent = ground.plan(verdict)
    os.rename(path, tmp_path / "real.jpg")
    match what:
        case "symlink":
            os.symlink(tmp_path / "real.jpg", path)
        case "folder":
            os.mkdir(path)
        case "fifo":
            os.mkfifo(path)
    with pytest.raises(ActionRefused) as caught:
        ground.quarantine.carry_out(intent)
    assert caught.value.kind == ("gone" if what == "gone" else "not-regular")
    assert os.path.lexists(path) is (what != "gone")


@pytest.mark.parametrize("how", ["grown", "same size", "replaced", "replaced by equal bytes"])
def test_a_duplicate_that_changed_since_the_verdict(placed: Ground, verdict: VerdictRow, how: str) -> None:
    path = verdict.verdict.duplicate.path
    intent = placed.plan(verdict)
    _change(path, how)
    content = read(path)
    with pytest.raises(ActionRefused) as caught:
        placed.quarantine.carry_out(intent)
    assert caught.value.kind == "changed"
    assert read(path) == content


@pytest.mark.parametrize("how", ["grown", "replaced", "replaced by equal bytes", "gone"])
def test_a_duplicate_that_changes_after_the_proof(
    placed: Ground, verdict: VerdictRow, how: str, after_the_proof: Interfere
) -> None:
    path = verdict.verdict.duplicate.path
    after_the_proof(lambda: os.unlink(path) if how == "gone" else _change(path, how))
    assert refused(placed, verdict) == ("gone" if how == "gone" else "changed")
    if how == "gone":
        assert not os.path.lexists(path)
    else:
        assert read(path) == _changed_content(path, how)


@pytest.mark.parametrize("how", ["grown", "replaced", "replaced by equal bytes", "gone"])
def test_a_duplicate_that_changes_in_the_last_moment(
    placed: Ground, verdict: VerdictRow, how: str, at_the_last_moment: Interfere
) -> None:
    """What was moved is not what was proven: it goes back to where it was, even though the call succeeded."""
    path = verdict.verdict.duplicate.path
    at_the_last_moment(lambda: os.unlink(path) if how == "gone" else _change(path, how))
    kind = refused(placed, verdict)
    assert kind == ("gone" if how == "gone" else "changed")
    if how != "gone":
        assert read(path) == _changed_content(path, how)
    assert tree(os.path.dirname(path)) == ({path} if how != "gone" else set())


def test_a_writer_that_writes_on_while_its_file_is_moved(
    placed: Ground, verdict: VerdictRow, at_the_last_moment: Interfere
) -> None:
    path = verdict.verdict.duplicate.path
    with open(path, "ab", buffering=0) as writer:
        at_the_last_moment(lambda: writer.write(b"more") and None)
        assert refused(placed, verdict) == "changed"
        writer.write(b" and more")
    assert read(path).endswith(b"more and more")


def test_its_name_is_taken_while_it_goes_back(
    ground: Ground, verdict: VerdictRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bundle whose second member fails: the first returns, under a free name where its own was taken meanwhile."""
    path = verdict.verdict.duplicate.path
    sidecar = ground.file("a/copy.xmp", b"sidecar").key.path
    before = likeness(path)
    rename = transfer.rename_noreplace

    def renamed(source_fd: int, source: bytes, target_fd: int, target: bytes) -> None:
        if source == b"copy.xmp":
            write(path, b"somebody's new file")
            raise OSError(errno.EIO, "disk error")
        rename(source_fd, source, target_fd, target)

    monkeypatch.setattr(transfer, "rename_noreplace", renamed)
    assert refused(ground, verdict, companions=[sidecar]) == "io"
    assert read(path) == b"somebody's new file"
    assert likeness(os.path.join(os.path.dirname(path), b"copy (restored).jpg")) == before
    assert read(sidecar) == b"sidecar"


def test_of_a_bundle_all_or_none(placed: Ground, verdict: VerdictRow, after_the_proof: Interfere) -> None:
    companions = [placed.file(f"a/copy.{suffix}", suffix.encode()).key.path for suffix in ("xmp", "mov")]
    before = {path: likeness(path) for path in [verdict.verdict.duplicate.path, *companions]}
    after_the_proof(lambda: os.rename(companions[1], companions[1] + b".bak"))
    assert refused(placed, verdict, companions=companions) == "gone"
    os.rename(companions[1] + b".bak", companions[1])
    assert {path: likeness(path) for path in before} == before


def _change(path: bytes, how: str) -> None:
    content = _changed_content(path, how)
    status = os.stat(path)
    if how.startswith("replaced"):
        write(path + b".new", content)
        os.utime(path + b".new", ns=(status.st_atime_ns, status.st_mtime_ns))
        os.rename(path + b".new", path)
    else:
        write(path, content)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))


def _changed_content(path: bytes, how: str) -> bytes:
    original = b"the copy " + b"a/copy.jpg" * 100
    match how:
        case "grown":
            return original + b"more"
        case "replaced by equal bytes":
            return original
        case _:
            return original[::-1]


# -- the keeper --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["deleted", "edited", "renamed", "symlink", "folder", "unreadable folder"])
def test_a_keeper_that_is_no_longer_there(ground: Ground, verdict: VerdictRow, what: str) -> None:
    keeper = verdict.verdict.keeper.path
    intent = ground.plan(verdict)
    match what:
        case "deleted":
            os.unlink(keeper)
        case "edited":
            write(keeper, read(keeper)[::-1])
        case "renamed":
            os.rename(keeper, keeper + b".bak")
        case "symlink":
            os.rename(keeper, keeper + b".bak")
            os.symlink(keeper + b".bak", keeper)
        case _:
            os.unlink(keeper)
            os.mkdir(keeper)
    with pytest.raises(ActionRefused) as caught:
        ground.quarantine.carry_out(intent)
    expected = {"deleted": "keeper-gone", "renamed": "keeper-gone", "edited": "keeper-changed"}
    assert caught.value.kind == expected.get(what, "keeper-unreadable")
    assert os.path.lexists(verdict.verdict.duplicate.path)


def test_a_keeper_that_goes_after_the_proof(placed: Ground, verdict: VerdictRow, after_the_proof: Interfere) -> None:
    after_the_proof(lambda: os.unlink(verdict.verdict.keeper.path))
    assert refused(placed, verdict) == "keeper-gone"
    assert os.path.lexists(verdict.verdict.duplicate.path)


def test_a_keeper_in_quarantine_keeps_nothing(ground: Ground) -> None:
    keeper = ground.file(".deepdupe-quarantine/x/0.jpg", b"kept")
    os.chmod(ground.place, 0o700)
    verdict = ground.judge(ground.file("a.jpg", b"a"), keeper)
    with pytest.raises(ActionRefused) as caught:
        ground.move(verdict)
    assert caught.value.kind == "keeper-quarantined"


def test_a_keeper_in_the_configured_quarantine_keeps_nothing(ground: Ground) -> None:
    ground.place = os.fsencode(ground.root / "Trash")
    verdict = ground.judge(ground.file("a.jpg", b"a"), ground.file("Trash/b.jpg", b"b"))
    with pytest.raises(ActionRefused) as caught:
        ground.move(verdict)
    assert caught.value.kind == "keeper-quarantined"


def test_a_pair_that_became_one_file(ground: Ground, verdict: VerdictRow) -> None:
    """Some tool hard-linked the pair: the keeper is the duplicate, and there is no second copy."""
    path, keeper = verdict.verdict.duplicate.path, verdict.verdict.keeper.path
    intent = ground.plan(verdict)
    os.unlink(keeper)
    os.link(path, keeper)
    with pytest.raises(ActionRefused) as caught:
        ground.quarantine.carry_out(intent)
    assert caught.value.kind == "same-file"


def test_a_duplicate_with_another_name_stays(ground: Ground, verdict: VerdictRow, tmp_path: Path) -> None:
    os.link(verdict.verdict.duplicate.path, tmp_path / "other-name.jpg")
    assert refused(ground, verdict) == "hard-linked"
    assert os.path.lexists(verdict.verdict.duplicate.path)


# -- the quarantine folder ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["symlink", "dangling symlink", "file", "writable by others", "another user's"])
def test_a_quarantine_folder_that_is_not_ours(ground: Ground, verdict: VerdictRow, what: str, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    match what:
        case "symlink":
            os.symlink(elsewhere, ground.place)
        case "dangling symlink":
            os.symlink(tmp_path / "nowhere", ground.place)
        case "file":
            write(ground.place, b"mine")
        case "writable by others":
            os.mkdir(ground.place)
            os.chmod(ground.place, 0o777)
        case _:
            if os.geteuid():
                pytest.skip("only root can give a folder to another user")
            os.mkdir(ground.place, 0o700)
            os.chown(ground.place, 1234, 1234)
    intent = ground.plan(verdict)
    with pytest.raises(ActionRefused) as caught:
        ground.quarantine.carry_out(intent)
    assert caught.value.kind == "unsafe-place"
    assert os.path.lexists(verdict.verdict.duplicate.path)
    assert os.listdir(elsewhere) == []
    assert not os.path.lexists(tmp_path / "nowhere")


def test_a_configured_folder_that_is_away_is_waited_for(ground: Ground, verdict: VerdictRow, tmp_path: Path) -> None:
    ground.place = os.fsencode(tmp_path / "disk" / "quarantine")
    for what, expected in (("away", ("offline", True)), ("symlink", ("unsafe-place", False))):
        if what == "symlink":
            (tmp_path / "disk").symlink_to(tmp_path)
        with pytest.raises(ActionRefused) as caught:
            ground.move(verdict)
        assert (caught.value.kind, caught.value.retry) == expected
    (tmp_path / "disk").unlink()
    (tmp_path / "disk").mkdir()
    assert ground.move(verdict).moved_at_ns


def test_a_quarantine_folder_that_becomes_a_symlink_after_the_proof(
    ground: Ground, verdict: VerdictRow, after_the_proof: Interfere, tmp_path: Path
) -> None:
    """What is in hand is the real folder: file and manifest lie there, and nothing goes where the link leads."""
    before = likeness(verdict.verdict.duplicate.path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()

    def swap() -> None:
        os.rename(ground.place, tmp_path / "real")
        os.symlink(elsewhere, ground.place)

    after_the_proof(swap)
    moved = ground.move(verdict)
    assert os.listdir(elsewhere) == []
    assert likeness(os.fsencode(tmp_path / "real" / moved.intent.token / "0.jpg")) == before
    with pytest.raises(ActionRefused) as caught:
        ground.quarantine.restore(moved.action_id)
    assert caught.value.kind == "unsafe-place"
    os.unlink(ground.place)
    os.rename(tmp_path / "real", ground.place)
    ground.quarantine.restore(moved.action_id)
    assert likeness(verdict.verdict.duplicate.path) == before


def test_a_target_name_that_is_taken_in_quarantine(
    placed: Ground, verdict: VerdictRow, after_the_proof: Interfere
) -> None:
    intent = placed.plan(verdict)
    taken = os.path.join(placed.place, intent.token.encode(), b"0.jpg")
    after_the_proof(lambda: write(taken, b"somebody's"))
    with pytest.raises(ActionRefused) as caught:
        placed.quarantine.carry_out(intent)
    assert caught.value.kind == "name-taken"
    assert read(taken) == b"somebody's"
    assert os.path.lexists(verdict.verdict.duplicate.path)


# -- on the way back ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("taken", list(Taken))
def test_the_old_name_is_taken_in_the_last_moment(
    placed: Ground, verdict: VerdictRow, taken: Taken, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = verdict.verdict.duplicate.path
    before = likeness(path)
    moved = placed.move(verdict)
    rename, pending = transfer.rename_noreplace, [1]

    def renamed(source_fd: int, source: bytes, target_fd: int, target: bytes) -> None:
        if target == b"copy.jpg" and pending:
            pending.pop()
            write(path, b"somebody's new file")
        rename(source_fd, source, target_fd, target)

    monkeypatch.setattr(transfer, "rename_noreplace", renamed)
    if taken is Taken.REFUSE:
        with pytest.raises(ActionRefused) as caught:
            placed.quarantine.restore(moved.action_id)
        assert caught.value.kind == "name-taken"
        assert likeness(placed.stored(moved)) == before
        assert placed.ledger.action(moved.action_id) == moved
        assert tree(os.path.dirname(path)) == {path}
    else:
        [(_, target)] = placed.quarantine.restore(moved.action_id, taken=taken).files
        assert os.path.basename(target) == b"copy (restored).jpg"
        assert likeness(target) == before
    assert read(path) == b"somebody's new file"


def test_a_parent_that_is_a_symlink_now_takes_nothing_back(placed: Ground, verdict: VerdictRow, tmp_path: Path) -> None:
    moved = placed.move(verdict)
    shutil.rmtree(placed.root / "a")
    (tmp_path / "elsewhere").mkdir()
    (placed.root / "a").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ActionRefused) as caught:
        placed.quarantine.restore(moved.action_id)
    assert caught.value.kind == "symlink"
    assert os.listdir(tmp_path / "elsewhere") == []
    assert placed.ledger.action(moved.action_id) == moved


# -- rights and disks --------------------------------------------------------------------------------------------------


def test_an_immutable_file_stays(placed: Ground, verdict: VerdictRow) -> None:
    path = verdict.verdict.duplicate.path
    try:
        made = subprocess.run(["chattr", "+i", os.fsdecode(path)], capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("chattr is not installed")
    if made.returncode:
        pytest.skip("files cannot be set immutable here: needs root and a file system that knows it")
    before = likeness(path)
    try:
        assert refused(placed, verdict) == "not-permitted"
        assert likeness(path) == before
    finally:
        subprocess.run(["chattr", "-i", os.fsdecode(path)], check=True)


@pytest.mark.parametrize("code", [errno.EDQUOT, errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("call", ["write", "fsync", "mkdir"])
def test_a_disk_or_quota_that_is_full(
    placed: Ground, verdict: VerdictRow, monkeypatch: pytest.MonkeyPatch, code: int, call: str
) -> None:
    """At whichever write it strikes first. What was made is removed, and what was moved is back."""
    before = likeness(verdict.verdict.duplicate.path)
    intent = placed.plan(verdict)
    row_calls = [0]
    real = getattr(os, call)

    def full(*arguments: Any, **options: Any) -> Any:
        row_calls[0] += 1
        if row_calls[0] == 1:
            raise OSError(code, os.strerror(code))
        return real(*arguments, **options)

    monkeypatch.setattr(os, call, full)
    if call == "write" and placed.place.startswith(os.fsencode(placed.root)):
        monkeypatch.undo()
        return  # nothing is written through os.write where a rename does
    with pytest.raises(ActionRefused) as caught:
        placed.quarantine.carry_out(intent)
    monkeypatch.undo()
    assert caught.value.kind == ("io" if code == errno.EIO else "no-space")
    assert caught.value.retry
    assert likeness(verdict.verdict.duplicate.path) == before
    assert not os.path.lexists(placed.place) or os.listdir(placed.place) == []


def test_a_copy_that_cannot_keep_the_owner_is_none(ground: Ground, verdict: VerdictRow, other_disk: Path) -> None:
    if os.geteuid():
        pytest.skip("only root can give a file to another user, and be another user")
    path = verdict.verdict.duplicate.path
    os.chown(path, 1234, 1234)
    ground.place = os.fsencode(other_disk / "quarantine")
    os.chmod(other_disk, 0o777)
    row = ground.see(path)
    keeper = ground.ledger.file_by_path(verdict.verdict.keeper.path)
    assert keeper is not None
    intent = ground.plan(ground.judge(row, keeper))
    pid = os.fork()
    if pid == 0:  # another user, who may move what lies in the folder, but not give files away
        code = 1
        try:
            os.chmod(ground.root, 0o777)
            os.chmod(os.path.dirname(path), 0o777)
            action = ground.ledger.record_intent(intent)
            os.setresgid(5678, 5678, 5678)
            os.setresuid(5678, 5678, 5678)
            moving.move_in(action, 0)
        except ActionRefused as error:
            code = 0 if error.kind in ("metadata", "not-permitted") else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert os.stat(path).st_uid == 1234
    assert tree(other_disk) == set()


def test_another_users_file_in_a_sticky_folder_stays(ground: Ground, verdict: VerdictRow) -> None:
    if os.geteuid():
        pytest.skip("only root can be another user")
    path = verdict.verdict.duplicate.path
    before = likeness(path)
    for at in (os.path.dirname(path), os.fsencode(ground.root)):
        os.chmod(at, 0o1777)
    for at in (path, verdict.verdict.keeper.path):
        os.chmod(at, 0o644)
    before = likeness(path)
    row = ground.ledger.record_intent(ground.plan(verdict))
    os.chmod(ground.root.parent, 0o755)
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.setresgid(5678, 5678, 5678)
            os.setresuid(5678, 5678, 5678)
            moving.move_in(row, 0)
        except ActionRefused as error:
            code = 0 if error.kind == "not-permitted" else 2
        finally:
            os._exit(code)
    exit_code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert exit_code == 0
    assert likeness(path) == before


def test_without_locks_nothing_moves(ground: Ground, verdict: VerdictRow, monkeypatch: pytest.MonkeyPatch) -> None:
    """NFS gives no exclusive lock on a file that is open for reading: two daemons could each take one of the pair."""

    def none(*_: object) -> None:
        raise OSError(errno.EBADF, "no locks")

    with monkeypatch.context() as patch:
        patch.setattr(proof.fcntl, "flock", none)
        assert refused(ground, verdict) == "no-lock"


def test_a_name_that_no_file_system_takes(ground: Ground, verdict: VerdictRow) -> None:
    with pytest.raises(ActionRefused) as caught:
        ground.plan(verdict, companions=[os.fsencode(ground.root) + b"/" + b"n" * 256])
    assert caught.value.kind == "name-too-long"


# -- between two file systems ------------------------------------------------------------------------------------------


@pytest.fixture
def across(ground: Ground, other_disk: Path) -> Ground:
    ground.place = os.fsencode(other_disk / "quarantine")
    return ground


def test_a_file_that_changes_while_it_is_copied(
    across: Ground, verdict: VerdictRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = verdict.verdict.duplicate.path
    pour = copying._pour

    def poured(source_fd: int, target_fd: int) -> bytes:
        digest = pour(source_fd, target_fd)
        _change(path, "grown")
        return digest

    monkeypatch.setattr(copying, "_pour", poured)
    assert refused(across, verdict) == "changed"
    assert read(path) == _changed_content(path, "grown")


def test_a_copy_that_the_disk_garbles(across: Ground, verdict: VerdictRow, monkeypatch: pytest.MonkeyPatch) -> None:
    before = likeness(verdict.verdict.duplicate.path)
    monkeypatch.setattr(copying, "digest_of", lambda _: b"other bytes")
    assert refused(across, verdict) == "io"
    assert likeness(verdict.verdict.duplicate.path) == before


@pytest.mark.parametrize("replaced", [False, True])
def test_what_came_back_already_goes_again_where_the_rest_cannot(
    across: Ground, verdict: VerdictRow, monkeypatch: pytest.MonkeyPatch, replaced: bool
) -> None:
    """A bundle on its way back, whose second name is taken in the last moment; a stranger at the first one stays."""
    path, sidecar = verdict.verdict.duplicate.path, across.file("a/copy.xmp", b"sidecar").key.path
    before = likeness(path)
    moved = across.move(verdict, companions=[sidecar])
    rename = transfer.rename_noreplace

    def renamed(source_fd: int, source: bytes, target_fd: int, target: bytes) -> None:
        if target == b"copy.xmp":
            write(sidecar, b"somebody's")
            if replaced:
                write(path + b"~", b"a stranger")
                os.rename(path + b"~", path)
        rename(source_fd, source, target_fd, target)

    with monkeypatch.context() as patch:
        patch.setattr(transfer, "rename_noreplace", renamed)
        with pytest.raises(ActionRefused) as caught:
            across.quarantine.restore(moved.action_id)
    assert caught.value.kind == "name-taken"
    assert read(sidecar) == b"somebody's"
    assert tree(os.path.dirname(path)) == ({path, sidecar} if replaced else {sidecar})
    assert not replaced or read(path) == b"a stranger"
    assert likeness(across.stored(moved)) == before
    assert across.ledger.action(moved.action_id) == moved


# -- what can be moved neither on nor back -----------------------------------------------------------------------------


def test_what_cannot_go_back_just_now_goes_back_later(
    ground: Ground, verdict: VerdictRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = verdict.verdict.duplicate.path
    sidecar = ground.file("a/copy.xmp", b"sidecar").key.path
    before = {at: likeness(at) for at in (path, sidecar)}
    rename = transfer.rename_noreplace

    def failing(source_fd: int, source: bytes, target_fd: int, target: bytes) -> None:
        if source != b"copy.jpg":
            raise OSError(errno.EIO, "disk error")
        rename(source_fd, source, target_fd, target)

    with monkeypatch.context() as patch:
        patch.setattr(transfer, "rename_noreplace", failing)
        patch.setattr("deepdupe_daemon.act.free_name.rename_noreplace", failing)
        with pytest.raises(ActionUnfinished):
            ground.move(verdict, companions=[sidecar])
        [row] = ground.ledger.open_actions()
        [postponed] = ground.quarantine.recover()
        assert (postponed.outcome, postponed.action) == (Outcome.POSTPONED, row)
        assert postponed.reason
    [recovered] = ground.quarantine.recover()
    assert recovered.outcome is Outcome.ROLLED_BACK
    assert {at: likeness(at) for at in before} == before


@pytest.fixture(autouse=True)
def _no_descriptor_is_left_open() -> Iterator[None]:
    before = set(os.listdir("/proc/self/fd"))
    yield
    left = set(os.listdir("/proc/self/fd")) - before
    assert not [fd for fd in left if os.path.exists(f"/proc/self/fd/{fd}")]


def test_the_digest_is_of_all_bytes_wherever_the_offset_is(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    fd = os.open(tmp_path / "a", os.O_RDONLY)
    os.lseek(fd, 2, os.SEEK_SET)
    assert digest_of(fd).hex().startswith("ba7816bf")
    os.close(fd)
