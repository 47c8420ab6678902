"""Which of several servers holds a picture's vectors."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["WHOLE", "Shard"]


@dataclass(frozen=True, slots=True)
class Shard:
    """One of `count` equal ranges of content digests, by their first two bytes. Digests are evenly spread."""

    number: int
    count: int

    @property
    def digests(self) -> tuple[bytes, bytes] | None:
        """The first digest of the range and the first one above it, in the order of bytes; None: every digest."""
        if self.count == 1:
            return None
        # above the last: longer than a digest of 32 bytes, and nowhere smaller
        above = b"\xff" * 33 if self.number + 1 == self.count else self._bound(self.number + 1)
        return self._bound(self.number), above

    @property
    def suffix(self) -> str:
        """For names of what each shard has of its own: `-s00of02`; empty where there is but one."""
        return "" if self.count == 1 else f"-s{self.number:02}of{self.count:02}"

    def _bound(self, number: int) -> bytes:
        return (number * 65536 // self.count).to_bytes(2, "big")


WHOLE = Shard(0, 1)
