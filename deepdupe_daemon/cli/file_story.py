"""All that the ledger knows of one file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from deepdupe_daemon.cli.evidence_text import comparison_json, comparison_lines, similarity_lines
from deepdupe_daemon.cli.moment import iso_moment, local_moment
from deepdupe_daemon.cli.path_json import path_fields
from deepdupe_daemon.cli.verdict_text import evidence_text, relation_text, verdict_json, verdict_line

if TYPE_CHECKING:
    from deepdupe_daemon.config import Config
    from deepdupe_daemon.ledger import ActionRow, FileRow, ImageRow, Ledger, VerdictRow
    from deepdupe_daemon.service import Explanation

__all__ = ["FileStory", "read_story", "story_json", "story_lines"]


@dataclass(frozen=True, slots=True)
class FileStory:
    """A file, its image, the verdicts about it as a duplicate (oldest first), and those in which it is the keeper.

    `met`: each other picture that it was held against, with what came of it. `beside`: the other files of its shot.
    """

    file: FileRow
    image: ImageRow | None
    verdicts: tuple[VerdictRow, ...]
    copies: tuple[VerdictRow, ...]
    met: tuple[tuple[bytes, Explanation], ...]
    beside: tuple[bytes, ...]
    action: ActionRow | None  # what was done about the verdict that stands

    @property
    def verdict(self) -> VerdictRow | None:
        """The one that stands."""
        return next((row for row in self.verdicts if row.current), None)


def read_story(config: Config, ledger: Ledger, path: bytes) -> FileStory | None:
    """The story of the file at `path`, or None where the ledger does not know it."""
    from deepdupe_daemon.service import bundle_on_disk, explain, met_images

    file = ledger.file_by_path(path)
    if file is None:
        return None
    image = ledger.image(file.image_id) if file.image_id is not None else None
    met = [
        (other.key.path, explain(config, ledger, file, other, similarities={})) for other in met_images(ledger, file)
    ]
    try:
        beside = tuple(member for member in bundle_on_disk(ledger, path) if member != path)
    except OSError:
        beside = ()  # the folder is gone, or closed to us: what the ledger knows is still worth telling
    verdicts = tuple(ledger.verdicts_for(path))
    standing = next((row for row in verdicts if row.current), None)
    return FileStory(
        file,
        image,
        verdicts,
        tuple(ledger.copies_of(path)),
        tuple((where, each) for where, each in met if each is not None),
        beside,
        ledger.action_on(standing.verdict_id) if standing is not None else None,
    )


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
        if image.pixel_digest is not None:
            yield f"  SHA-256 of its pixels {image.pixel_digest.hex()}"
        yield f"  PDQ {image.pdq.bits.hex()}, quality {image.pdq.quality} of 100"
    if story.beside:
        yield f"  of one shot with {', '.join(display_path(path) for path in story.beside)}: they move together"
    standing = story.verdict
    if standing is not None:
        yield from _verdict_lines(standing, story)
    elif story.copies:
        yield "  not a duplicate of any other; kept"
    elif image is not None:
        yield "  not a duplicate of anything known"
    for row in story.copies:
        yield f"  its copy: {verdict_line(row)}"
    for path, explained in story.met:
        if standing is None or path != standing.keeper_now:
            yield f"  met {display_path(path)}: {_outcome(explained)}"
    for row in story.verdicts:
        if not row.current:
            yield f"  earlier: {verdict_line(row)}; {row.closed_reason}"


def _verdict_lines(row: VerdictRow, story: FileStory) -> Iterator[str]:
    from deepdupe_daemon.model import display_path

    verdict = row.verdict
    keeper = display_path(row.keeper_now or verdict.keeper.path)
    met = next((explained for path, explained in story.met if path == row.keeper_now), None)
    yield f"  {row.label} {verdict.verdict_class}: {relation_text(verdict.verdict_class)} {keeper}"
    yield f"    decided {local_moment(verdict.decided_at_ns)}; that one is kept by the rule `{verdict.keeper_rule}`"
    thresholds = met.thresholds if met is not None else {}
    normalised = met.evidence.normalised if met is not None else {}
    for line in similarity_lines(verdict.similarities, normalised, thresholds):
        yield f"    {line}"
    if verdict.comparison is not None:
        for line in comparison_lines(verdict.comparison):
            yield f"    {line}"
    for veto in verdict.vetoes:
        yield f"    veto: {veto}"
    yield f"    action: {_action_text(story.action)}"


def _action_text(action: ActionRow | None) -> str:
    if action is None:
        return "observed; nothing was moved"
    return f"{action.label} {action.state}" + (f"; {action.reason}" if action.reason else "")


def _outcome(explained: Explanation) -> str:
    """`series (pdq.hash 0.912, verifier 0.310, veto: different capture time); a tile differs`"""
    evidence, ruling = explained.evidence, explained.ruling
    comparison = evidence.comparison
    text = evidence_text(
        evidence.similarities,
        comparison.score if comparison is not None else None,
        comparison.transform if comparison is not None else "",
        ruling.vetoes,
    )
    if not explained.compared:
        return f"alike ({text}), not compared: one of the two is a copy of what was"
    return f"{ruling.verdict_class or 'nothing to tell'} ({text}); {ruling.reason}"


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
        "met": [
            {
                **path_fields("path", path),
                "compared": each.compared,
                "class": str(each.ruling.verdict_class) if each.ruling.verdict_class is not None else None,
                "vetoes": list(each.ruling.vetoes),
                "reason": each.ruling.reason,
                "similarities": dict(each.evidence.similarities),
                "normalised": dict(each.evidence.normalised),
                "comparison": comparison_json(each.evidence.comparison),
            }
            for path, each in story.met
        ],
        "bundle": [os.fsdecode(path).encode("utf-8", "backslashreplace").decode() for path in story.beside],
        "action": {"action_id": story.action.label, "state": str(story.action.state)} if story.action else None,
    }
