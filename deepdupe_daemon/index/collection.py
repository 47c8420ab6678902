"""What a space looks like to other programs: its collection's name and metadata, its rows' ids and metadata."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

from deepdupe_daemon.index.shard import Shard
from deepdupe_daemon.ledger import ImageRow
from deepdupe_daemon.model import SpaceKey

__all__ = [
    "Scalar",
    "collection_metadata",
    "collection_name",
    "differences",
    "row_id",
    "row_metadata",
    "server_collection_name",
]

Scalar = str | int | float | bool

#: version of this file's contract; a change of names or keys raises it
SCHEMA = 1
_NAME_CHARACTERS = 100  # Chroma takes 512, its cloud 128
_TEXT_CHARACTERS = 36  # as its cloud takes


def collection_name(space: str, generation: int) -> str:
    """`pdq.hash-g0`: the space's name, made fit for Chroma where it is not, and the generation.

    Chroma takes 3 to 512 of `[a-zA-Z0-9._-]` with alphanumeric ends and without `..`. A name that had to be changed or
    cut gets 8 hex digits of its digest, so that two spaces never meet in one collection.
    """
    return f"{_fit(space)}-g{generation}"


def server_collection_name(key: SpaceKey, shard: Shard) -> str:
    """`pdq.hash-1f2e3d4c`, and `-s00of02` on the first of two servers.

    By the fingerprint instead of the generation, which each ledger counts for itself: daemons that share a server meet
    in one collection exactly when their vectors can be compared.
    """
    return f"{_fit(key.name)}-{key.fingerprint()[:8]}{shard.suffix}"


def _fit(space: str) -> str:
    fit = re.sub(r"\.{2,}", ".", re.sub(r"[^a-zA-Z0-9._-]", "_", space))[:_NAME_CHARACTERS]
    if not fit[:1].isalnum():
        fit = f"s{fit}"
    if fit != space:
        fit = f"{fit}-{hashlib.sha256(space.encode()).hexdigest()[:8]}"
    return fit


def collection_metadata(key: SpaceKey, generation: int) -> dict[str, Scalar]:
    """What the collection says of its vectors. `fingerprint` covers every field that decides whether two compare."""
    return {
        "space": key.name,
        "model": key.model,
        "embedding": key.embedding,
        "dim": key.dim,
        "weights": key.weights,
        "weights_digest": key.weights_digest,
        "preprocessing": key.preprocessing,
        "fingerprint": key.fingerprint(),
        "schema": SCHEMA,
        "generation": generation,
        "normalised": True,
        "written_by": "deepdupe-daemon",
    }


def differences(found: Mapping[str, object], wanted: Mapping[str, object]) -> list[str]:
    """What of `wanted` the collection does not say, in words; keys that others added do not matter.

    The fingerprint is made of the other keys, and earlier versions made it otherwise; a label of weights that have a
    digest is for people.
    """
    told = {"fingerprint", "weights"} if wanted.get("weights_digest") else {"fingerprint"}
    return [
        f"{key} is {found.get(key)!r}, not {value!r}"
        for key, value in wanted.items()
        if key not in told and found.get(key) != value
    ]


def row_id(digest: bytes, node: str = "") -> str:
    """The first 32 hex digits of the content digest: equal bytes share a row, and a repeated upsert changes nothing.

    On a server that several daemons share, `<node>-<32 hex>`, so that each removes only its own.
    """
    return f"{node}-{digest.hex()[:32]}" if node else digest.hex()[:32]


def row_metadata(image: ImageRow, node: str = "") -> dict[str, Scalar]:
    """At most 8 small scalars. Where the files rest is the ledger's to say: a path changes, and may be anything."""
    facts: dict[str, Scalar] = {
        "image": image.image_id,
        "width": image.facts.width_px,
        "height": image.facts.height_px,
        "format": image.facts.format[:_TEXT_CHARACTERS],
        "pdq_quality": image.pdq.quality,
        "first_seen": image.first_seen_at_ns // 1_000_000_000,
    }
    if image.facts.exif.captured_at:
        facts["captured_at"] = image.facts.exif.captured_at[:_TEXT_CHARACTERS]
    if node:
        facts["node"] = node
    return facts
