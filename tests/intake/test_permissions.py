"""Directories that may not be read keep their files. Not as root, who feels no permissions."""

from __future__ import annotations

from pathlib import Path

from tests.conftest import Eventually
from tests.intake.conftest import Ground


def test_unreadable_directories_keep_their_files_and_are_told_of_once(
    public_dir: Path, as_nobody: None, eventually: Eventually
) -> None:
    ground = Ground(public_dir, eventually)
    for name in ("shut/a.jpg", "shut/deeper/b.jpg", "dark/c.jpg", "open/d.jpg"):
        (ground.root / name).parent.mkdir(parents=True, exist_ok=True)
        (ground.root / name).write_bytes(name.encode())
    everything = {"shut/a.jpg", "shut/deeper/b.jpg", "dark/c.jpg", "open/d.jpg"}
    try:
        ground.start()
        ground.until_known(*everything)
        ground.stop()
        (ground.root / "shut").chmod(0)
        (ground.root / "dark").chmod(0o111)  # may be entered, not listed
        (ground.root / "open" / "d.jpg").unlink()
        ground.start()
        ground.until_known(*everything - {"open/d.jpg"})
        assert ground.kinds() == ["unreadable"]
        assert ground.notices[0].counts == {"unread": 2}
        assert ground.intake is not None
        ground.intake.rescan()
        ground.until(lambda: "rescan-done" in ground.kinds())
        assert ground.kinds().count("unreadable") == 1
        ground.until(lambda: ground.status().gone_files == 1)
        (ground.root / "shut").chmod(0o700)
        (ground.root / "shut" / "a.jpg").unlink()
        ground.intake.rescan()
        ground.until_known("shut/deeper/b.jpg", "dark/c.jpg")
    finally:
        ground.close()
        for name in ("shut", "dark"):
            (ground.root / name).chmod(0o700)
