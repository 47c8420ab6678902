"""When each root was switched to quarantine, and what is therefore to be acted on."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import asdict

from deepdupe_daemon.act import Switch, wanted
from deepdupe_daemon.clock import Clock
from deepdupe_daemon.config import RootConfig
from deepdupe_daemon.ledger import Ledger, VerdictRow

__all__ = ["Switches"]


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
        """Roots that are quarantined from now on get their moment, those that no longer are lose it."""
        for path, root in self._roots.items():
            known = _read(ledger, path)
            if root.action == "quarantine" and known is None:
                _write(ledger, path, Switch(self._clock.now_ns()))
            elif root.action != "quarantine" and known is not None:
                _write(ledger, path, None)

    def note_walked(self, ledger: Ledger, away: Collection[bytes]) -> None:
        """Every root but those in `away` was walked whole since it was switched."""
        for path, root in self._roots.items():
            if root.action != "quarantine" or path in away:
                continue
            known = _read(ledger, path)
            if known is not None and known.walked_at_ns is None:
                _write(ledger, path, Switch(known.since_ns, self._clock.now_ns()))

    def wants(self, ledger: Ledger, row: VerdictRow) -> bytes | None:
        """The root out of which the duplicate of `row` is to be quarantined; None where it is not."""
        if not self.any or not row.living:
            return None
        file = ledger.file(row.duplicate_file_id)
        root = self._roots.get(file.root) if file is not None else None
        if file is None or root is None:
            return None
        inherits = not row.first and ledger.inherits_order(row.verdict_id)
        return file.root if wanted(row, file, root, _read(ledger, file.root), inherits=inherits) else None


def _key(root: bytes) -> str:
    return f"quarantine.switch.{root.hex()}"


def _read(ledger: Ledger, root: bytes) -> Switch | None:
    text = ledger.meta(_key(root))
    return Switch(**json.loads(text)) if text else None


def _write(ledger: Ledger, root: bytes, switch: Switch | None) -> None:
    ledger.set_meta(_key(root), "" if switch is None else json.dumps(asdict(switch)))
