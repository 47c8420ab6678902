"""What is known of the files below some folders, in numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deepdupe_daemon.ledger import Ledger

__all__ = ["Tally", "take_tally"]


@dataclass(frozen=True, slots=True)
class Tally:
    """Files by what became of them; `duplicates` counts those of the indexed ones that were told of."""

    files: int
    indexed: int
    ignored: int
    failed: int
    waiting: int
    duplicates: int


def take_tally(ledger: Ledger, roots: Sequence[bytes], duplicates: int) -> Tally:
    """Counts the files that are there below `roots`: a ledger may know other folders too."""
    from deepdupe_daemon.model import FileState

    counts = Counter(state for root in roots for _, _, state in ledger.known_paths(root))
    return Tally(
        files=counts.total(),
        indexed=counts[FileState.INDEXED],
        ignored=counts[FileState.IGNORED],
        failed=counts[FileState.FAILED],
        waiting=counts[FileState.PENDING] + counts[FileState.SEEN],
        duplicates=duplicates,
    )
