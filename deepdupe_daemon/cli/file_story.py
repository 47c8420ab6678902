"""All that the ledger knows of one file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from deepdupe_daemon.cli.moment import iso_moment, local_moment
from deepdupe_daemon.cli.path_json import path_fields
from deepdupe_daemon.cli.verdict_text import relation_text, verdict_json, verdict_line

if TYPE_CHECKING:
    from deepdupe_daemon.ledger import FileRow, ImageRow, Ledger, VerdictRow

__all__ = ["FileStory", "read_story", "story_json", "story_lines"]


@dataclass(frozen=True, slots=True)
class FileStory:
    """A file, its image, the verdicts about it as a duplicate (oldest first), and those in which it is the keeper."""

    file: FileRow
    image: ImageRow | None
    verdicts: tuple[VerdictRow, ...]
    copies: tuple[VerdictRow, ...]

    @property
    def verdict(self) -> VerdictRow | None:
        """The one that stands."""
        return next((row for row in self.verdicts if row.current), None)


def read_story(ledger: Ledger, path: bytes) -> FileStory | None:
    """The story of the file at `path`, or None where the ledger does not know it."""
    file = ledger.file_by_path(path)
    if file is None:
        return None
    image = ledger.image(file.image_id) if file.image_id is not None else None
    return FileStory(file, image, tuple(ledger.verdicts_for(path)), tuple(ledger.copies_of(path)))


def story_lines(story: FileStory) -> Iterator[str]:
    """For people."""
    from deepdupe_daemon.model import display_path

    file, image = story.file, story.image
    yield display_path(file.key.path)
    found = "arrived" if file.live else "found by a walk"
    yield f"  {file.state}; {found} {local_moment(file.arrived_at_ns)}; number {file.file_id} in order of discovery"
    if file.error is not None:
        yield f"  {file.error_kind}: {display_path(file.error.encode())} (attempts: {file.attempts})"
    if image is not None:
        facts = image.facts
        size = f"{facts.width_px} x {facts.height_px} px"
        yield f"  {facts.format} {facts.mode}, {size}, {file.key.identity.size:,} bytes"
        yield f"  SHA-256 {image.digest.hex()}"
        yield f"  PDQ {image.pdq.bits.hex()}, quality {image.pdq.quality} of 100"
    standing = story.verdict
    if standing is not None:
        yield from _verdict_lines(standing)
    elif story.copies:
        yield "  not a duplicate of any other; kept"
    elif image is not None:
        yield "  not a duplicate of anything known"
    for row in story.copies:
        yield f"  its copy: {verdict_line(row)}"
    for row in story.verdicts:
        if not row.current:
            yield f"  earlier: {verdict_line(row)}; {row.closed_reason}"


def _verdict_lines(row: VerdictRow) -> Iterator[str]:
    from deepdupe_daemon.model import display_path

    verdict = row.verdict
    keeper = display_path(row.keeper_now or verdict.keeper.path)
    yield f"  {row.label} {verdict.verdict_class}: {relation_text(verdict.verdict_class)} {keeper}"
    yield f"    decided {local_moment(verdict.decided_at_ns)}; that one is kept by the rule `{verdict.keeper_rule}`"
    for space, similarity in sorted(verdict.similarities.items()):
        yield f"    {space}: similarity {similarity:.4f}"
    comparison = verdict.comparison
    if comparison is not None:
        transform = f", {comparison.transform}" if comparison.transform else ""
        yield f"    pixels: {comparison.relation}{transform}, score {comparison.score:.4f}, {comparison.reason}"
        measures = ", ".join(f"{name} {value:.4g}" for name, value in sorted(comparison.measures.items()))
        if measures:
            yield f"    measured: {measures}"
    for veto in verdict.vetoes:
        yield f"    veto: {veto}"


def story_json(story: FileStory) -> dict[str, Any]:
    """For programs."""
    file, image = story.file, story.image
    return {
        **path_fields("path", file.key.path),
        "file_id": file.file_id,
        "root": os.fsdecode(file.root).encode("utf-8", "backslashreplace").decode(),
        "state": str(file.state),
        "live": file.live,
        "arrived_at": iso_moment(file.arrived_at_ns),
        "size": file.key.identity.size,
        "error_kind": file.error_kind,
        "error": file.error,
        "attempts": file.attempts,
        "digest": image.digest.hex() if image is not None else None,
        "pixel_digest": image.pixel_digest.hex() if image is not None and image.pixel_digest is not None else None,
        "pdq": image.pdq.bits.hex() if image is not None else None,
        "pdq_quality": image.pdq.quality if image is not None else None,
        "facts": asdict(image.facts) if image is not None else None,
        "verdicts": [verdict_json(row) for row in story.verdicts],
        "copies": [verdict_json(row) for row in story.copies],
    }
