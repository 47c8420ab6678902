"""Two files held against each other: what is known of both, and what the pixels say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deepdupe_daemon.cli.evidence_text import comparison_json, comparison_lines, similarity_lines
from deepdupe_daemon.cli.path_json import path_fields
from deepdupe_daemon.cli.verdict_text import verdict_json, verdict_line
from deepdupe_daemon.errors import FileFailed

if TYPE_CHECKING:
    from deepdupe_daemon.cli.file_story import FileStory
    from deepdupe_daemon.config import Config
    from deepdupe_daemon.ledger import Ledger, VerdictRow
    from deepdupe_daemon.model import Comparison
    from deepdupe_daemon.service import Explanation, Viewer
    from deepdupe_daemon.service.proofs import Picture

__all__ = ["PairStory", "pair_json", "pair_lines", "read_pair"]


@dataclass(frozen=True, slots=True)
class PairStory:
    """What two files have in common. `explained` None: one of them was not seen, or they are one file."""

    explained: Explanation | None
    unseen: str  # why the pixels could not be compared, where they should have been
    verdicts: tuple[VerdictRow, ...]  # past and present ones that name both
    common_keeper: str | None  # both are duplicates of this third file


def read_pair(config: Config, ledger: Ledger, one: FileStory, other: FileStory, viewer: Viewer) -> PairStory:
    """Reads the ledger; where it holds no comparison of the two, the pixels are compared by `viewer`."""
    from deepdupe_daemon.model import display_path
    from deepdupe_daemon.service import explain

    unseen: list[str] = []

    def compare(a: Picture, b: Picture) -> Comparison | None:
        try:
            return viewer.compare((a.path, a.digest), (b.path, b.digest))
        except FileFailed as failed:
            unseen.append(str(failed))
            return None

    ids = {one.file.file_id, other.file.file_id}
    verdicts = [row for row in (*one.verdicts, *other.verdicts) if {row.duplicate_file_id, row.keeper_file_id} == ids]
    keepers = [story.verdict for story in (one, other)]
    common = None
    if keepers[0] is not None and keepers[1] is not None and keepers[0].keeper_file_id == keepers[1].keeper_file_id:
        common = display_path(keepers[0].keeper_now or keepers[0].verdict.keeper.path)
    explained = explain(
        config, ledger, one.file, other.file, similarities=_similarities(ledger, one, other), compare=compare
    )
    return PairStory(explained, unseen[0] if unseen else "", tuple(verdicts), common)


def _similarities(ledger: Ledger, one: FileStory, other: FileStory) -> dict[str, float]:
    import numpy as np

    if one.image is None or other.image is None:
        return {}
    spaces = [space.name for space in ledger.spaces()]
    left = ledger.image_vectors(one.image.image_id, spaces)
    right = ledger.image_vectors(other.image.image_id, spaces)
    found = {}
    for space in sorted(left.keys() & right.keys()):
        a, b = left[space].astype(np.float32), right[space].astype(np.float32)
        found[space] = float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))
    return found


def pair_lines(pair: PairStory) -> Iterator[str]:
    """For people."""
    from deepdupe_daemon.model import display_path

    yield "the two together"
    explained = pair.explained
    if explained is None:
        yield "  one of them was not seen, so nothing can be said"
        return
    evidence = explained.evidence
    if evidence.same_bytes:
        yield "  the same bytes"
    if evidence.same_pixels is not None:
        yield f"  {'the same pixels' if evidence.same_pixels else 'other pixels'}"
    yield f"  PDQ hashes differ in {evidence.pdq_distance} of 256 bits, of the eight orientations the likest"
    for line in similarity_lines(evidence.similarities, evidence.normalised, explained.thresholds):
        yield f"  {line}"
    if evidence.comparison is not None:
        for line in comparison_lines(evidence.comparison):
            yield f"  {line}"
    if pair.unseen:
        yield f"  the pixels could not be compared: {display_path(pair.unseen.encode())}"
    if not explained.met:
        yield "  recall did not propose the two to each other: no space holds them above its threshold"
    ruling = explained.ruling
    yield f"  judged: {ruling.verdict_class or 'nothing to tell'}; {ruling.reason}"
    for veto in ruling.vetoes:
        yield f"  veto: {veto}"
    if ruling.verdict_class is not None:
        yield f"  of the two {display_path(explained.keeper)} is kept, by the rule `{explained.keeper_rule}`"
    if pair.common_keeper is not None:
        yield f"  both are duplicates of {pair.common_keeper}"
    for row in pair.verdicts:
        yield f"  {verdict_line(row)}" + ("" if row.current else f"; {row.closed_reason}")
    if not pair.verdicts:
        yield "  no verdict names both"


def pair_json(pair: PairStory) -> dict[str, Any]:
    """For programs."""
    explained = pair.explained
    verdicts = {"common_keeper": pair.common_keeper, "verdicts": [verdict_json(row) for row in pair.verdicts]}
    if explained is None:
        return {"seen": False, **verdicts}
    evidence, ruling = explained.evidence, explained.ruling
    return {
        "seen": True,
        "same_bytes": evidence.same_bytes,
        "same_pixels": evidence.same_pixels,
        "pdq_distance": evidence.pdq_distance,
        "similarities": dict(evidence.similarities),
        "normalised": dict(evidence.normalised),
        "thresholds": _rounded(explained.thresholds),
        "proposed": explained.met,
        "comparison": comparison_json(evidence.comparison),
        "not_compared": pair.unseen or None,
        "marked_not_duplicate": evidence.marked_not_duplicate,
        "class": str(ruling.verdict_class) if ruling.verdict_class is not None else None,
        "vetoes": list(ruling.vetoes),
        "reason": ruling.reason,
        **path_fields("keeper", explained.keeper),
        "keeper_rule": explained.keeper_rule,
        **verdicts,
    }


def _rounded(thresholds: Mapping[str, float]) -> dict[str, float]:
    return {space: round(threshold, 6) for space, threshold in thresholds.items()}
