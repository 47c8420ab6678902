"""The sandbox itself: nothing of the machine changes, nothing stays behind, and without isolation nothing is booted."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.systemd import booted, first_process
from tests.systemd.booted import Box, NoBox, why_not
from tests.systemd.cgroups import hierarchies
from tests.systemd.kernel import PRIVATE, REC, mount
from tests.systemd.private_root import NAME, Plan

Eventually = Callable[..., None]


@pytest.fixture(autouse=True)
def _can_box() -> Iterator[None]:
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    before = own_groups()
    yield
    assert own_groups() <= before


def own_groups() -> set[str]:
    """The control groups of this process's sandboxes; others may run theirs meanwhile."""
    mine = f"{NAME}.{os.getpid()}."
    return {each for _, _, parent in hierarchies() for each in os.listdir(parent) if each.startswith(mine)}


def test_what_is_written_inside_is_gone_and_was_never_outside(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("1")
    name = f"box-mark-{os.getpid()}"
    with Box(Plan(writable=[(str(tmp_path), "/srv/shared")])) as box:
        for folder in ("/etc", "/usr", "/var", "/tmp", "/root", "/srv"):
            box.run("touch", f"{folder}/{name}")
            assert not os.path.exists(f"{folder}/{name}")
        assert [each for each in box.run("ls", "-A", "/tmp").split() if each[0] != "."] == [name], "a /tmp of its own"
        box.run("rm", "-r", "/etc", "/var/tmp", check=False)
        box.run("sh", "-c", "echo 2 > /srv/shared/new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept", "new"]
    assert os.path.exists("/etc/passwd")


def test_a_bind_that_would_break_the_isolation_is_refused(tmp_path: Path) -> None:
    for target in ("/", "/tmp", "/etc", "/var", "/proc", "/sys", "/usr/"):
        with pytest.raises(NoBox, match="keeps the sandbox"):
            Box(Plan(writable=[(str(tmp_path), target)]))


def _refusal(monkeypatch: pytest.MonkeyPatch, build: Callable[..., None]) -> str:
    monkeypatch.setattr(first_process, "build_root", build)
    with pytest.raises(NoBox) as refused, Box(Plan()):
        pass
    return str(refused.value)


def test_without_a_root_of_its_own_nothing_is_booted(monkeypatch: pytest.MonkeyPatch) -> None:
    said = _refusal(monkeypatch, lambda *_: None)
    assert said.startswith(("foreign mount", "mount propagates"))


def test_on_the_machines_own_root_nothing_is_booted(monkeypatch: pytest.MonkeyPatch) -> None:
    said = _refusal(monkeypatch, lambda *_: mount(None, "/", REC | PRIVATE, source="none"))
    assert "foreign mount" in said


def test_a_mount_that_nobody_declared_stops_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    whole = first_process.build_root

    def leaking(plan: Plan, *others: object) -> None:
        whole(Plan(writable=[(str(tmp_path), "/srv/leak")]), *others)  # type: ignore[arg-type]

    assert "foreign mount" in _refusal(monkeypatch, leaking)


def test_marks_that_can_be_seen_outside_stop_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "mark").touch()
    monkeypatch.setattr(first_process, "check_isolation", lambda *_: [str(tmp_path / "mark")])
    with pytest.raises(NoBox, match="NOT ISOLATED"), Box(Plan()):
        pass


HOLDER = """
import sys
from tests.systemd.booted import Box
from tests.systemd.private_root import Plan
with Box(Plan()) as box:
    box.run("systemd-run", "-q", "sleep", sys.argv[1])
    print(box.init, flush=True)
    sys.stdin.read()
"""


def test_a_killed_test_run_leaves_no_process(project_root: Path, eventually: Eventually) -> None:
    mark = f"98{os.getpid()}"
    command = [sys.executable, "-c", HOLDER, mark]
    with subprocess.Popen(command, cwd=project_root, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        init = int(holder.stdout.readline())
        assert Path(f"/proc/{init}/exe").exists()
        holder.kill()
    eventually(lambda: not Path(f"/proc/{init}").exists(), timeout_s=60)
    alive = [path for path in Path("/proc").glob("[0-9]*/cmdline") if _has(path, mark.encode())]
    assert not alive
    with booted.Box(Plan()):  # removes the groups that the killed one could not
        pass


def _has(path: Path, mark: bytes) -> bool:
    try:
        return mark in path.read_bytes().split(b"\0")
    except OSError:
        return False
