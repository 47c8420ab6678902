"""Actions: what is to move into quarantine, what rests there, what came back. Reading, and what was told."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

from deepdupe_daemon.ledger.action_columns import ACTION_FILES, ACTIONS, action_file, action_row
from deepdupe_daemon.ledger.action_rows import ActionFile, ActionRow, ActionState
from deepdupe_daemon.ledger.connection import Opened
from deepdupe_daemon.ledger.files import tree_range

__all__ = ["Actions"]

_PAGE_ROWS = 200


class Actions(Opened):
    """Looking actions up."""

    def action(self, action_id: int) -> ActionRow | None:
        return next(iter(self._actions("a.action_id = ?", (action_id,))), None)

    def action_by_token(self, token: str) -> ActionRow | None:
        return next(iter(self._actions("a.token = ?", (token,))), None)

    def action_on(self, verdict_id: int) -> ActionRow | None:
        """The latest action on a verdict."""
        return next(iter(self._actions("a.verdict_id = ?", (verdict_id,), limit=1, newest_first=True)), None)

    def actions(
        self,
        *,
        states: Collection[ActionState] | None = None,
        root: bytes | None = None,
        path: bytes | None = None,
        since_ns: int | None = None,
        before_ns: int | None = None,
    ) -> Iterator[ActionRow]:
        """Actions, oldest first, in pages: in these states, of a file below `root` or at `path`, and moved into
        quarantine in the half-open interval from `since_ns` to `before_ns`."""
        conditions, parameters = ["a.action_id > ?"], list[object]()
        if states is not None:
            conditions.append(f"a.state IN ({','.join('?' * len(states))})")
            parameters.extend(str(state) for state in states)
        member = "EXISTS (SELECT 1 FROM action_files f WHERE f.action_id = a.action_id AND {})"
        if root is not None:
            conditions.append(member.format("f.path >= ? AND f.path < ?"))
            parameters.extend(tree_range(root))
        if path is not None:
            conditions.append("a.action_id IN (SELECT f.action_id FROM action_files f WHERE f.path = ?)")
            parameters.append(path)
        if since_ns is not None:
            conditions.append("a.moved_at_ns >= ?")
            parameters.append(since_ns)
        if before_ns is not None:
            conditions.append("a.moved_at_ns < ?")
            parameters.append(before_ns)
        after = 0
        while True:
            page = self._actions(" AND ".join(conditions), (after, *parameters), limit=_PAGE_ROWS)
            yield from page
            if len(page) < _PAGE_ROWS:
                return
            after = page[-1].action_id

    def open_actions(self) -> list[ActionRow]:
        """Those that recovery has something to do for, oldest first."""
        return self._actions("a.state IN ('intended', 'restoring', 'purging')", ())

    def untold_actions(self, limit: int) -> list[ActionRow]:
        """Those that came to rest, in quarantine or back in place, and nobody was told."""
        untold = "a.told_at_ns IS NULL AND a.state IN ('quarantined', 'restored')"
        return self._actions(untold, (), limit=limit)

    def mark_told(self, action_ids: Iterable[int]) -> None:
        now_ns = self._clock.now_ns()
        with self._db.writing():
            self._db.run_many(
                "UPDATE actions SET told_at_ns = ? WHERE action_id = ? AND told_at_ns IS NULL",
                ((now_ns, int(action_id)) for action_id in action_ids),
            )

    def moved_since(self, since_ns: int, root: bytes | None = None) -> int:
        """How many files moved into quarantine since, below `root` where given. One that came back counts too."""
        sql = "SELECT count(*) FROM actions a JOIN action_files f USING (action_id) WHERE a.moved_at_ns >= ?"
        if root is None:
            return int(self._db.rows(sql, (since_ns,))[0][0])
        return int(self._db.rows(f"{sql} AND f.path >= ? AND f.path < ?", (since_ns, *tree_range(root)))[0][0])

    def _actions(
        self, condition: str, parameters: Sequence[Any], *, limit: int | None = None, newest_first: bool = False
    ) -> list[ActionRow]:
        order = f"ORDER BY a.action_id{' DESC' * newest_first}{f' LIMIT {limit:d}' if limit is not None else ''}"
        rows = self._db.rows(f"{ACTIONS} WHERE {condition} {order}", parameters)
        files: dict[int, list[ActionFile]] = defaultdict(list)
        for start in range(0, len(rows), _PAGE_ROWS):
            some = [row[0] for row in rows[start : start + _PAGE_ROWS]]
            marks = ",".join("?" * len(some))
            for row in self._db.rows(f"{ACTION_FILES} WHERE action_id IN ({marks}) ORDER BY action_id, position", some):
                files[row[0]].append(action_file(row))
        return [action_row(row, files[row[0]]) for row in rows]
