"""A space is built anew beside the one that serves, and takes its place in one transaction."""
# ruff: noqa: S608 - only names of ours and "?" marks are put into SQL, never a value

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from deepdupe_daemon.ledger.rows import F16Array
from deepdupe_daemon.ledger.schema import vectors_table
from deepdupe_daemon.ledger.spaces import Spaces
from deepdupe_daemon.model import SpaceKey

__all__ = ["SpareSpace", "Switching"]

#: between a space's name and the fingerprint of one that does not serve; no preset and no embedding type has it
_MARK = "~"


@dataclass(frozen=True, slots=True)
class SpareSpace:
    """A space that does not serve: one that is being built, one that is complete, or one that was replaced."""

    alias: str  # what the ledger calls it: `clip-vit-b-32.final~0123456789abcdef`
    key: SpaceKey
    state: Literal["building", "complete", "retired"]
    rows: int  # vectors that it holds, of images that have a living file
    missing: int  # images with a living file that it lacks
    generation: int = 0  # of its collection, where it served once


class Switching(Spaces):
    """Building, switching and dropping of spaces. The space under the plain name is the one that serves."""

    def begin_building(self, key: SpaceKey) -> str:
        """Make room for a new build of `key.name` beside the one that serves, or go on with it; gives its alias."""
        alias = _alias(key)
        if self._db.one("SELECT 1 FROM spaces WHERE name = ?", (alias,)) is None:
            with self._db.writing():
                space_id = self._db.insert(
                    "INSERT INTO spaces (name, fingerprint, key, created_at_ns) VALUES (?, ?, ?, ?)",
                    (alias, key.fingerprint(), json.dumps(asdict(key), sort_keys=True), self._clock.now_ns()),
                )
                self._make_table(space_id, key)
        self._set_state(alias, "building")
        return alias

    def add_vectors(self, alias: str, rows: Sequence[tuple[int, F16Array]]) -> None:
        """Commit (image id, vector) pairs of a space that is being built."""
        with self._db.writing():
            self._insert_vectors((alias, image_id, row) for image_id, row in rows)

    def mark_complete(self, *aliases: str) -> None:
        """The builds hold all that could be embedded: the next start with these weights switches to them, together."""
        with self._db.writing():
            for alias in aliases:
                self._put_state(alias, "complete")

    def spare_spaces(self) -> list[SpareSpace]:
        """Every space that does not serve."""
        found = []
        sql = f"SELECT space_id, name, key, generation FROM spaces WHERE instr(name, '{_MARK}') > 0 ORDER BY space_id"
        for space_id, name, key, generation in self._db.rows(sql):
            rows, images = self._db.rows(
                "SELECT (SELECT count(*) FROM marks WHERE space_id = ? AND stored < 2),"
                " (SELECT count(*) FROM images WHERE living > 0)",
                (space_id,),
            )[0]
            state = self._state(name)
            key_of = SpaceKey(**json.loads(key))
            found.append(SpareSpace(name, key_of, state, rows, max(0, images - rows), generation))
        return found

    def switch_to(self, *keys: SpaceKey) -> list[SpaceKey]:
        """Let the complete builds of `keys` serve under their plain names; what served until now is kept as retired.

        One transaction: two spaces of one model change together. Gives the keys that were switched; one of which there
        is no complete build is left as it is. Only for a process that holds the state lock: another one's connections
        would go on with the space that they know.
        """
        switched = [key for key in keys if self._is_complete(_alias(key))]
        if switched:
            with self._db.writing():
                for key in switched:
                    self._put_in_place(key)
            self._spaces.clear()
        return switched

    def _is_complete(self, alias: str) -> bool:
        row = self._db.one("SELECT 1 FROM spaces WHERE name = ?", (alias,))
        return row is not None and self._state(alias) == "complete"

    def _put_in_place(self, key: SpaceKey) -> None:
        alias, generation = _alias(key), 0
        served = self._db.one("SELECT space_id, key, generation FROM spaces WHERE name = ?", (key.name,))
        if served is not None:
            generation = served[2] + 1  # a collection of its own, so that the one that served stays whole
            retired = _alias(SpaceKey(**json.loads(served[1])))
            self._db.run("UPDATE spaces SET name = ? WHERE space_id = ?", (retired, served[0]))
            self._put_state(retired, "retired")
        self._db.run("UPDATE spaces SET name = ?, generation = ? WHERE name = ?", (key.name, generation, alias))
        self._db.run("DELETE FROM meta WHERE key = ?", (_meta(alias),))

    def drop_spare(self, alias: str) -> None:
        """Forget a space that does not serve, with its vectors. Raises LookupError for one that is not there."""
        row = self._db.one("SELECT space_id FROM spaces WHERE name = ?", (alias,))
        if row is None or _MARK not in alias:
            raise LookupError(f"no spare space {alias!r}")
        with self._db.writing():
            self._db.run("DELETE FROM marks WHERE space_id = ?", row)
            self._db.run(f"DROP TABLE {vectors_table(row[0])}")
            self._db.run("DELETE FROM spaces WHERE space_id = ?", row)
            self._db.run("DELETE FROM meta WHERE key = ?", (_meta(alias),))
        self._spaces.clear()

    def _state(self, alias: str) -> Literal["building", "complete", "retired"]:
        row = self._db.one("SELECT value FROM meta WHERE key = ?", (_meta(alias),))
        match row[0] if row else None:
            case "complete":
                return "complete"
            case "retired":
                return "retired"
            case _:
                return "building"

    def _set_state(self, alias: str, state: str) -> None:
        with self._db.writing():
            self._put_state(alias, state)

    def _put_state(self, alias: str, state: str) -> None:
        self._db.run(
            "INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            (_meta(alias), state),
        )


def _alias(key: SpaceKey) -> str:
    return f"{key.name}{_MARK}{key.fingerprint()}"


def _meta(alias: str) -> str:
    return f"space {alias}"
