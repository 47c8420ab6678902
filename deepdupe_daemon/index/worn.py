"""Is a store worn out? Chroma's graph never gives back the place of a deleted row, on the disk or in memory.

Seen over 90,000 arrivals and as many deletions: a store of 5,000 rows held the places of 52,000. Nothing but filling it
anew makes it small again.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from deepdupe_daemon.index.segments import places_held

__all__ = ["is_worn", "remove_store"]

#: a store is filled anew when it holds so many times the places that its rows need, so that each deletion costs at most
#: a third of an insertion more
WORN_TIMES = 4

#: and so many places at least: 10 MB of PDQ rows, 100 MB of 1,024 float32
LEAST_PLACES = 20_000

_REMOVED = ".worn"


def is_worn(store: Path, rows: int) -> bool:
    """`rows`: those of all collections of the store. Asks the files, as they were written last."""
    return places_held(str(store)) > max(LEAST_PLACES, WORN_TIMES * rows)


def remove_store(store: Path) -> None:
    """Nobody may have it open. It is out of the way in one step, whatever is killed when. Raises OSError."""
    aside = store.with_name(store.name + _REMOVED)
    shutil.rmtree(aside, ignore_errors=True)  # of a removal that was cut off
    os.rename(store, aside)
    shutil.rmtree(aside, ignore_errors=True)
