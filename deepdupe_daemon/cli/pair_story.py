"""What the ledger knows of two files together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deepdupe_daemon.cli.verdict_text import verdict_json, verdict_line

if TYPE_CHECKING:
    from deepdupe_daemon.cli.file_story import FileStory
    from deepdupe_daemon.ledger import Ledger, VerdictRow

__all__ = ["PairStory", "pair_json", "pair_lines", "read_pair"]


@dataclass(frozen=True, slots=True)
class PairStory:
    """What two files have in common. None: it cannot be said, because one of them was not seen."""

    same_bytes: bool | None
    same_pixels: bool | None  # None also where the pixel digests were never needed
    pdq_distance: int | None  # bits of 256, upright against upright
    similarities: Mapping[str, float]  # cosine per space, from the float16 rows of the ledger
    marked: bool  # a person said that they are not duplicates
    verdicts: tuple[VerdictRow, ...]  # past and present ones that name both
    common_keeper: str | None  # both are duplicates of this third file


def read_pair(ledger: Ledger, one: FileStory, other: FileStory) -> PairStory:
    """Reads the ledger only; no file is opened."""
    from deepdupe_daemon.model import display_path

    ids = {one.file.file_id, other.file.file_id}
    verdicts = [row for row in (*one.verdicts, *other.verdicts) if {row.duplicate_file_id, row.keeper_file_id} == ids]
    keepers = [story.verdict for story in (one, other)]
    common = None
    if keepers[0] is not None and keepers[1] is not None and keepers[0].keeper_file_id == keepers[1].keeper_file_id:
        common = display_path(keepers[0].keeper_now or keepers[0].verdict.keeper.path)
    a, b = one.image, other.image
    if a is None or b is None:
        return PairStory(None, None, None, {}, False, tuple(verdicts), common)
    pixels = None if a.pixel_digest is None or b.pixel_digest is None else a.pixel_digest == b.pixel_digest
    return PairStory(
        same_bytes=a.digest == b.digest,
        same_pixels=pixels,
        pdq_distance=(int.from_bytes(a.pdq.bits) ^ int.from_bytes(b.pdq.bits)).bit_count(),
        similarities=_similarities(ledger, a.image_id, b.image_id),
        marked=ledger.is_not_duplicate(a.digest, b.digest),
        verdicts=tuple(verdicts),
        common_keeper=common,
    )


def _similarities(ledger: Ledger, one: int, other: int) -> dict[str, float]:
    import numpy as np

    spaces = [space.name for space in ledger.spaces()]
    left, right = ledger.image_vectors(one, spaces), ledger.image_vectors(other, spaces)
    found = {}
    for space in sorted(left.keys() & right.keys()):
        a, b = left[space].astype(np.float32), right[space].astype(np.float32)
        found[space] = float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))
    return found


def pair_lines(pair: PairStory) -> Iterator[str]:
    """For people."""
    yield "the two together"
    if pair.same_bytes is None:
        yield "  one of them was not seen, so nothing can be said"
    if pair.same_bytes:
        yield "  the same bytes"
    if pair.same_pixels is not None:
        yield f"  {'the same pixels' if pair.same_pixels else 'other pixels'}"
    if pair.pdq_distance is not None:
        yield f"  PDQ hashes differ in {pair.pdq_distance} of 256 bits"
    for space, similarity in pair.similarities.items():
        yield f"  {space}: similarity {similarity:.4f}"
    if pair.marked:
        yield "  marked: not duplicates of each other"
    if pair.common_keeper is not None:
        yield f"  both are duplicates of {pair.common_keeper}"
    for row in pair.verdicts:
        yield f"  {verdict_line(row)}" + ("" if row.current else f"; {row.closed_reason}")
    if not pair.verdicts and not pair.marked and pair.common_keeper is None:
        yield "  no verdict names both: neither was proposed as the other's duplicate, or the pixels spoke against it"


def pair_json(pair: PairStory) -> dict[str, Any]:
    """For programs."""
    return {
        "same_bytes": pair.same_bytes,
        "same_pixels": pair.same_pixels,
        "pdq_distance": pair.pdq_distance,
        "similarities": dict(pair.similarities),
        "marked_not_duplicate": pair.marked,
        "common_keeper": pair.common_keeper,
        "verdicts": [verdict_json(row) for row in pair.verdicts],
    }
