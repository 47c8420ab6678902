"""What the kernel is asked for: after the proof no file is reached by a path, and everything is synced in its order."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

#: `1234 renameat2(7</a/b>, "c", 9</d>, "e", RENAME_NOREPLACE) = 0`
LINE = re.compile(r"^(?:\d+ +)?(?P<call>\w+)\((?P<arguments>.*)\) += (?P<result>-?\d+)")
SCRIPT = """
import sys
from pathlib import Path
from tests.act.ground import Ground
ground = Ground(Path(sys.argv[1]))
if sys.argv[2:]:
    ground.place = sys.argv[2].encode()
intent = ground.plan(ground.pair("a/copy.jpg"))
ground.move(ground.pair("warm/up.jpg", kept="warm/kept.jpg"))  # whatever is loaded late is loaded now
print("from here on", file=sys.stderr, flush=True)
row = ground.quarantine.carry_out(intent)
print("to here", file=sys.stderr, flush=True)
ground.close()
"""


@dataclass(frozen=True)
class Call:
    name: str
    arguments: str
    result: int

    def fd_path(self, at: int = 0) -> str:
        """The path that strace -y shows for the n-th descriptor among the arguments."""
        return re.findall(r"\d+<([^>]*)>", self.arguments)[at]


def traced(tmp_path: Path, project_root: Path, *arguments: str) -> list[Call]:
    """The system calls of one move, in order."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    log = tmp_path / "strace.log"
    calls = "%file,%desc,fsync,fdatasync,renameat2,flock,write"
    command = ["strace", "-f", "-y", "-s", "300", "-e", f"trace={calls}", "-o", str(log)]
    command += [sys.executable, "-c", SCRIPT, str(tmp_path), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=project_root, check=False, timeout=250)
    if "PTRACE" in done.stderr or "ptrace" in done.stderr:
        pytest.skip(f"strace cannot run here: {done.stderr.splitlines()[0]}")
    assert done.returncode == 0, done.stderr
    lines = log.read_text(errors="backslashreplace").splitlines()
    start = next(at for at, line in enumerate(lines) if "from here on" in line)
    stop = next(at for at, line in enumerate(lines) if "to here" in line)
    found = [LINE.match(line) for line in lines[start + 1 : stop]]
    return [Call(m["call"], m["arguments"], int(m["result"])) for m in found if m is not None]


def at(calls: list[Call], name: str, words: str, *, after: int = -1) -> int:
    """The place of the first such call after another."""
    return next(n for n, call in enumerate(calls) if n > after and call.name == name and words in call.arguments)


def last_read(calls: list[Call], name: str) -> int:
    return max(n for n, call in enumerate(calls) if call.name == "pread64" and call.fd_path().endswith(name))


@pytest.mark.parametrize("where", ["same", "across"])
def test_after_the_proof_nothing_is_reached_by_a_path(
    where: str, tmp_path: Path, project_root: Path, other_disk: Path
) -> None:
    across = [str(other_disk / "quarantine")] if where == "across" else []
    calls = traced(tmp_path, project_root, *across)
    proof_ends = next(n for n, call in enumerate(calls) if call.name == "flock" and "copy.jpg" in call.arguments)
    forbidden = {"open", "creat", "rename", "renameat", "link", "unlink", "rmdir", "mkdir", "symlink", "chmod", "chown",
                 "lchown", "truncate", "stat", "lstat", "setxattr", "utime", "utimes"}  # fmt: skip
    by_path = [
        call
        for call in calls[proof_ends + 1 :]
        if (call.name in forbidden or "AT_FDCWD" in call.arguments)
        and (str(tmp_path / "photos") in call.arguments or str(other_disk) in call.arguments)
    ]
    assert by_path == []
    opens = [call for call in calls if call.name == "openat" and f"<{tmp_path / 'photos'}" in call.arguments]
    assert opens
    assert all("O_NOFOLLOW" in call.arguments for call in opens)
    moves = [call for call in calls if call.name.startswith("rename")]
    assert {call.name for call in moves} == {"renameat2"}
    assert all(call.arguments.endswith("RENAME_NOREPLACE") for call in moves)


def test_each_step_is_on_the_disk_before_the_next(tmp_path: Path, project_root: Path) -> None:
    calls = traced(tmp_path, project_root)
    wal = [n for n, c in enumerate(calls) if c.name in ("fsync", "fdatasync") and c.fd_path().endswith("sqlite-wal")]
    intent, done = wal[0], wal[-1]
    locked = at(calls, "flock", "copy.jpg")
    proven = last_read(calls, "/a/copy.jpg")
    draft = at(calls, "fsync", "manifest.json.part")
    named = at(calls, "renameat2", '"manifest.json"')
    listed = at(calls, "fsync", os.path.dirname(calls[draft].fd_path()) + ">", after=named)
    moved = at(calls, "renameat2", '"copy.jpg"')
    arrived = at(calls, "fsync", calls[moved].fd_path(1) + ">", after=moved)
    left = at(calls, "fsync", calls[moved].fd_path(0) + ">", after=moved)
    assert intent < locked < proven < draft < named < listed < moved < min(arrived, left)
    assert max(arrived, left) < done


def test_between_file_systems_the_copy_is_safe_before_its_source_goes(
    tmp_path: Path, project_root: Path, other_disk: Path
) -> None:
    calls = traced(tmp_path, project_root, str(other_disk / "quarantine"))
    synced = at(calls, "fsync", "0.jpg.part")
    read_back = max(n for n, c in enumerate(calls) if c.name == "pread64" and c.fd_path().endswith("0.jpg.part"))
    named = at(calls, "renameat2", '"0.jpg.part"')
    listed = at(calls, "fsync", calls[named].fd_path(1) + ">", after=named)
    claimed = at(calls, "renameat2", '"copy.jpg"', after=listed)
    gone = at(calls, "unlinkat", '"0"')
    assert synced < read_back < named < listed < claimed < gone
    assert calls[gone].fd_path() == calls[claimed].fd_path(1), "unlinked in the private folder that it was taken to"
