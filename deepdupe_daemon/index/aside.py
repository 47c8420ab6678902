"""Where a torn store goes: out of the way, not away."""

from __future__ import annotations

import os
import re
import shutil
from datetime import UTC, datetime
from pathlib import Path

__all__ = ["set_aside"]


def set_aside(store: Path, now_ns: int) -> tuple[Path | None, list[Path]]:
    """Rename the store folder to `chroma.torn-<UTC time>`; nobody may have it open.

    Gives the new path, None if there was no store, and the folders of earlier times, which are removed: a store can be
    made again from the ledger, and a disk that tears one a day must not fill with them. Raises OSError.
    """
    ours = re.compile(re.escape(store.name) + r"\.torn-\d{8}T\d{6}(-\d+)?")
    earlier = sorted(path for path in store.parent.iterdir() if ours.fullmatch(path.name))
    if not store.exists():
        return None, []
    when = datetime.fromtimestamp(now_ns / 1e9, UTC).strftime("%Y%m%dT%H%M%S")
    target = store.with_name(f"{store.name}.torn-{when}")
    number = 1
    while target.exists():
        number += 1
        target = store.with_name(f"{store.name}.torn-{when}-{number}")
    os.rename(store, target)
    _sync(store.parent)
    for folder in earlier:
        shutil.rmtree(folder)
    return target, earlier


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
