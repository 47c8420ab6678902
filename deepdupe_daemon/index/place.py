"""Where the collections are, as the ledger's marks of what is stored mean it."""

from __future__ import annotations

from deepdupe_daemon.config import ChromaConfig
from deepdupe_daemon.ledger import Ledger

__all__ = ["settle_place"]

_KEY = "collections_in"
_EMBEDDED = "embedded"


def settle_place(ledger: Ledger, config: ChromaConfig) -> None:
    """Where the collections are now to be elsewhere than the marks say, all of it waits to be stored there."""
    place = _place(config)
    # a ledger without the word is new, or of a version that wrote none: its marks are those of the embedded store
    if (ledger.meta(_KEY) or _EMBEDDED) != place:
        for key in ledger.spaces():
            if place == _EMBEDDED:
                # an embedded store of before still has what went from the folders in between
                ledger.set_space_generation(key.name, ledger.space_generation(key.name) + 1)
            ledger.clear_stored(key.name)
    ledger.set_meta(_KEY, place)


def _place(config: ChromaConfig) -> str:
    if config.mode == "embedded":
        return _EMBEDDED
    return " ".join((*config.servers, config.tenant, config.database))
