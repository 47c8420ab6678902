"""When each root was switched to quarantine, and what is therefore to be acted on."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict

from deepdupe_daemon.act import Switch, wanted
from deepdupe_daemon.clock import Clock
from deepdupe_daemon.config import RootConfig
from deepdupe_daemon.ledger import Ledger, VerdictRow

__all__ = ["Switches", "switches"]

_KEY = "quarantine.switches"


class Switches:
    """The configured roots and their switches, which rest in the ledger. Any thread may call it with its own
    connection: of its own it has only the roots, which are replaced as a whole.
    """

    def __init__(self, roots: Sequence[RootConfig], clock: Clock, *, acting: bool = True) -> None:
        """`acting`: False where nothing is to be acted on, whatever the roots say."""
        self._acting = acting
        self._clock = clock
        self.take(roots)

    def take(self, roots: Sequence[RootConfig]) -> None:
        """From now on these are the roots; `note` follows."""
        self._roots = {root.path_bytes: root for root in roots if self._acting}

    @property
    def any(self) -> bool:
        """Whether any root is quarantined from."""
        return any(root.action == "quarantine" for root in self._roots.values())

    def note(self, ledger: Ledger) -> None:
        """Roots that are quarantined from now on get their moment; those that no longer are, or are gone, lose it."""
        if not self._acting:
            return
        known, now = switches(ledger), Switch(self._clock.now_ns())
        wanted_now = [path for path, root in self._roots.items() if root.action == "quarantine"]
        _write(ledger, known, {path: known.get(path, now) for path in wanted_now})

    def note_walked(self, ledger: Ledger, away: Collection[bytes]) -> None:
        """Every root but those in `away` was walked whole since it was switched."""
        known, now_ns = switches(ledger), self._clock.now_ns()
        walked = {
            path: Switch(switch.since_ns, now_ns) if switch.walked_at_ns is None and path not in away else switch
            for path, switch in known.items()
        }
        _write(ledger, known, walked)

    def wants(self, ledger: Ledger, row: VerdictRow) -> bytes | None:
        """The root out of which the duplicate of `row` is to be quarantined; None where it is not."""
        if not self.any or not row.living:
            return None
        file = ledger.file(row.duplicate_file_id)
        root = self._roots.get(file.root) if file is not None else None
        if file is None or root is None:
            return None
        inherits = not row.first and ledger.inherits_order(row.verdict_id)
        return file.root if wanted(row, file, root, switches(ledger).get(file.root), inherits=inherits) else None


def switches(ledger: Ledger) -> dict[bytes, Switch]:
    """The switch of each root that is quarantined from."""
    known: dict[str, dict[str, int | None]] = json.loads(ledger.meta(_KEY) or "{}")
    return {bytes.fromhex(root): Switch(int(raw["since_ns"] or 0), raw["walked_at_ns"]) for root, raw in known.items()}


def _write(ledger: Ledger, before: Mapping[bytes, Switch], after: Mapping[bytes, Switch]) -> None:
    if before != after:
        ledger.set_meta(_KEY, json.dumps({root.hex(): asdict(switch) for root, switch in after.items()}))
