"""Names that events reported gone: looked into a little later, when a move has had time to turn up elsewhere."""

from __future__ import annotations

from collections.abc import Iterator

from deepdupe_daemon.intake.parts import Parts
from deepdupe_daemon.intake.removals import Missing
from deepdupe_daemon.intake.root import Root
from deepdupe_daemon.model import FileState

__all__ = ["Departures"]

#: more names than this are not followed one by one: a walk finds what is missing
_MOST = 50_000


class Departures:
    """Paths of files and directories that went. Owned by the lane's thread; times are monotonic seconds."""

    def __init__(self, parts: Parts, *, most: int = _MOST) -> None:
        self._parts = parts
        self._most = most
        self._waiting: dict[bytes, tuple[float, Root, bool]] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, root: Root, path: bytes, now_s: float, *, tree: bool) -> bool:
        """`path` went. False when there is no room to follow it: only a walk will find out then."""
        if len(self._waiting) >= self._most:
            return False
        _, _, was_tree = self._waiting.pop(path, (0.0, root, False))
        self._waiting[path] = (now_s + self._parts.departure_s, root, tree or was_tree)
        return True

    def next_due_s(self) -> float | None:
        """When there is something to look into next, or None. Entries come in the order of their time."""
        return next(iter(self._waiting.values()))[0] if self._waiting else None

    def steps(self, now_s: float) -> Iterator[None]:
        """Look into those that are due, in slices: what is known there, and whether it is gone."""
        due: dict[Root, list[tuple[bytes, bool]]] = {}
        while self._waiting:
            path, (due_s, root, tree) = next(iter(self._waiting.items()))
            if due_s > now_s:
                break
            del self._waiting[path]
            due.setdefault(root, []).append((path, tree))
        for root, names in due.items():
            if root.offline is None:
                yield from self._look_into(root, names)

    def _look_into(self, root: Root, names: list[tuple[bytes, bool]]) -> Iterator[None]:
        missing: list[Missing] = []
        for at, (path, tree) in enumerate(names):
            row = self._parts.ledger.file_by_path(path)
            if row is not None and row.state is not FileState.GONE:
                missing.append((path, row.key.identity.dev))
            if tree:
                for known, identity, _ in self._parts.ledger.known_paths(path):
                    missing.append((known, identity.dev))
                    if len(missing) % 512 == 0:
                        yield
            if at % 64 == 63:
                yield
        if not missing:
            return
        removals = self._parts.removals(root)
        yield from removals.judge(missing)
        yield from self._parts.deliveries.remove(removals.gone, whole_trees=removals.certain)
