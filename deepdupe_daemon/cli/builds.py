"""Spaces that do not serve: what a `reindex` builds, has built, or has replaced."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deepdupe_daemon.ledger import Ledger

__all__ = ["build_records", "build_texts"]


def build_records(ledger: Ledger) -> list[dict[str, Any]]:
    """One a space, for `status --json`; `done` of `total` pictures have their vector."""
    return [
        {
            "space": spare.key.name,
            "model": spare.key.model,
            "state": spare.state,
            "done": spare.rows,
            "total": spare.rows + spare.missing,
            "weights": spare.key.weights,
            "weights_digest": spare.key.weights_digest,
            "name": spare.alias,
        }
        for spare in ledger.spare_spaces()
    ]


def build_texts(records: list[Mapping[str, Any]]) -> Iterator[str]:
    """`clip-vit-b-32.final: 1,200 of 2,889 pictures (41 %) with the weights openai; ...`, one a space."""
    for each in records:
        done, total = each["done"], each["total"]
        said = f"{each['space']}, weights {each['weights']}: {done:,}"
        command = f"`deepdupe-daemon reindex --model {each['model']}`"
        if each["state"] == "building":
            share = f" ({100 * done // total} %)" if total else ""
            yield f"{said} of {total:,} pictures{share}; {command} goes on with it where it was stopped"
        elif each["state"] == "complete":
            yield f"{said} pictures, complete; it serves from the daemon's next start"
        else:
            yield f"{said} pictures, replaced; `deepdupe-daemon reindex --drop-old` forgets them"
