"""Which actions a command is about: by id, by path, by time, or all that rest in quarantine."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from deepdupe_daemon.cli.given_path import ledger_path
from deepdupe_daemon.errors import ActionRefused, ConfigError

if TYPE_CHECKING:
    from deepdupe_daemon.ledger import ActionRow, Ledger

__all__ = ["action_id", "chosen_actions"]


def action_id(text: str) -> int:
    """`q42` or `42`. Raises ConfigError."""
    found = re.fullmatch(r"q?([0-9]{1,15})", text.strip())
    if found is None:
        raise ConfigError(f"found {text!r}; allowed: an id such as q42, as `quarantine list` shows it", where="ID")
    return int(found[1])


def chosen_actions(
    ledger: Ledger, ids: Sequence[str], *, paths: Sequence[Path] = (), since_ns: int | None = None, everything: bool
) -> list[ActionRow]:
    """The actions that rest in quarantine and are meant, in order; each once.

    Raises ConfigError for what is no id, ActionRefused for an id that is unknown or a path that does not rest there.
    """
    from deepdupe_daemon.ledger import ActionState
    from deepdupe_daemon.model import display_path

    resting = (ActionState.QUARANTINED, ActionState.RESTORING)
    found: dict[int, ActionRow] = {}
    for text in ids:
        row = ledger.action(action_id(text))
        if row is None:
            raise ActionRefused("no such action", where=text, hint="`deepdupe-daemon quarantine list --all` lists them")
        found[row.action_id] = row
    for path in paths:
        rows = list(ledger.actions(states=resting, path=ledger_path(path)))
        if not rows:
            where = display_path(ledger_path(path))
            raise ActionRefused("does not rest in quarantine", where=where, hint="`quarantine list` lists what does")
        found |= {row.action_id: row for row in rows}
    if everything or since_ns is not None:
        found |= {row.action_id: row for row in ledger.actions(states=resting, since_ns=since_ns)}
    return [found[number] for number in sorted(found)]
