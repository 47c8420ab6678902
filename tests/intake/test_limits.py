"""The kernel's limits in words."""

from __future__ import annotations

import errno
from pathlib import Path

from deepdupe_daemon.intake.limits import limit_text, out_of_watches, read_limit


def test_the_limit_is_read(tmp_path: Path) -> None:
    (tmp_path / "max_user_watches").write_text("8192\n")
    folder = f"{tmp_path}/"
    assert read_limit("max_user_watches", folder) == 8192
    assert read_limit("no_such_limit", folder) is None
    (tmp_path / "max_user_watches").write_text("")
    assert read_limit("max_user_watches", folder) is None


def test_the_sentence_names_the_root_the_limit_and_the_remedy() -> None:
    text = limit_text("/srv/a", OSError(errno.ENOSPC, ""), watched=20, directories=300_000, every_s=10)
    assert text.startswith("/srv/a: only 20 of 300,000 directories can be watched")
    assert "sysctl fs.inotify.max_user_watches=" in text
    assert int(text.rpartition("=")[2]) >= 600_000
    assert "max_user_instances" in limit_text("/a", OSError(errno.EMFILE, ""), watched=0, directories=1, every_s=10)


def test_only_the_limits_count_as_such() -> None:
    assert out_of_watches(OSError(errno.ENOSPC, ""))
    assert out_of_watches(OSError(errno.EMFILE, ""))
    assert not out_of_watches(OSError(errno.EIO, ""))
