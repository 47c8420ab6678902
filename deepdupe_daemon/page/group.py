"""What a page shows: a keeper and its copies. Frozen; JSON through `to_json`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote_from_bytes

from deepdupe_daemon.model import Comparison, ImageFacts, VerdictClass, display_path

__all__ = ["Group", "Shown", "ShownCopy"]

#: with a heat map: where bytes or pixels are equal there is nothing to see
_COMPARED = (VerdictClass.RE_ENCODED, VerdictClass.EDITED, VerdictClass.SERIES, VerdictClass.RELATED)


@dataclass(frozen=True, slots=True)
class Shown:
    """A file. `path` is where it rests by name; `held` where its bytes lie, which differs while it is in quarantine."""

    path: bytes
    held: bytes
    digest: bytes
    size: int
    facts: ImageFacts | None

    @property
    def thumbnail(self) -> str:
        """The name of its thumbnail. From the digest, so that equal bytes share one."""
        return f"{self.digest.hex()[:32]}.jpg"

    def to_json(self) -> dict[str, Any]:
        folder, _, name = self.path.rpartition(b"/")
        facts = self.facts
        return {
            "folder": display_path(folder) + "/",
            "name": display_path(name),
            "href": "file://" + quote_from_bytes(self.held),
            "size": self.size,
            "width": facts.width_px if facts is not None else None,
            "height": facts.height_px if facts is not None else None,
            "format": facts.format if facts is not None else None,
            "taken": facts.exif.captured_at if facts is not None else None,
            "camera": facts.exif.camera if facts is not None else None,
            "thumb": self.thumbnail,
        }


@dataclass(frozen=True, slots=True)
class ShownCopy:
    """A file that a verdict calls a copy of the group's keeper, or like it."""

    file: Shown
    label: str  # "v42"
    verdict_class: VerdictClass
    comparison: Comparison | None
    similarities: Mapping[str, float]
    vetoes: tuple[str, ...]
    keeper_rule: str
    decided_at_ns: int
    action: str  # "observed", "quarantined", "restored", ...
    action_id: int | None  # of what was done about it

    @property
    def has_drawing(self) -> bool:
        return self.comparison is not None and self.verdict_class in _COMPARED

    def drawing(self, keeper: Shown) -> str:
        """The name of the drawing of it and its keeper. From what is drawn, so that no other pair's, of another ledger
        or of before it was judged again, is ever taken for it."""
        compared = json.dumps(self.comparison.to_dict() if self.comparison is not None else None, sort_keys=True)
        return f"{hashlib.sha256(self.file.digest + keeper.digest + compared.encode()).hexdigest()[:32]}.jpg"

    def to_json(self, keeper: Shown) -> dict[str, Any]:
        comparison = self.comparison
        return {
            **self.file.to_json(),
            "id": self.label,
            "class": str(self.verdict_class),
            "transform": comparison.transform if comparison is not None else "",
            "verifier": round(comparison.score, 4) if comparison is not None else None,
            "reason": comparison.reason if comparison is not None else "",
            "similarities": {name: round(value, 4) for name, value in sorted(self.similarities.items())},
            "vetoes": list(self.vetoes),
            "rule": self.keeper_rule,
            "decided": datetime.fromtimestamp(self.decided_at_ns / 1e9, tz=UTC).isoformat(timespec="seconds"),
            "action": self.action,
            "heat": self.drawing(keeper) if self.has_drawing else None,
        }


@dataclass(frozen=True, slots=True)
class Group:
    """The keeper first."""

    keeper: Shown
    copies: tuple[ShownCopy, ...]

    def to_json(self) -> dict[str, Any]:
        return {"keeper": self.keeper.to_json(), "copies": [copy.to_json(self.keeper) for copy in self.copies]}
