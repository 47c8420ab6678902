"""`check`: is this file a duplicate of anything known? Judged like an arrival, and nothing is written."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from deepdupe_daemon.errors import FileFailed
from deepdupe_daemon.model import F32Array, FileIdentity, FileKey, Sighting, VerdictClass
from deepdupe_daemon.service.examiner import Examiner, Subject
from deepdupe_daemon.service.proofs import Picture

__all__ = ["CheckMatch", "CheckResult", "check_paths", "file_key"]


@dataclass(frozen=True, slots=True)
class CheckMatch:
    """One known file that the checked one is a copy of, or resembles."""

    verdict_class: VerdictClass
    path: bytes
    similarities: Mapping[str, float]
    verifier: float | None
    transform: str
    vetoes: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What is known of one checked file: its matches, strongest first; or why it could not be looked at."""

    path: bytes
    digest: bytes | None
    matches: tuple[CheckMatch, ...]
    failure: str = ""  # the stable slug of FileFailed, or ""
    reason: str = ""

    @property
    def is_duplicate(self) -> bool:
        return any(match.verdict_class.proven for match in self.matches)

    def to_dict(self) -> dict[str, Any]:
        """JSON-safe; paths as latin-1 text of their bytes under `path_latin1`, exactly reversible."""
        return {
            "path_latin1": self.path.decode("latin-1"),
            "digest": self.digest.hex() if self.digest else None,
            "failure": self.failure,
            "reason": self.reason,
            "matches": [
                {
                    "verdict": str(match.verdict_class),
                    "path_latin1": match.path.decode("latin-1"),
                    "similarities": dict(match.similarities),
                    "verifier": match.verifier,
                    "transform": match.transform,
                    "vetoes": list(match.vetoes),
                    "reason": match.reason,
                }
                for match in self.matches
            ],
        }

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> CheckResult:
        return cls(
            path=raw["path_latin1"].encode("latin-1"),
            digest=bytes.fromhex(raw["digest"]) if raw["digest"] else None,
            failure=raw["failure"],
            reason=raw["reason"],
            matches=tuple(
                CheckMatch(
                    verdict_class=VerdictClass(match["verdict"]),
                    path=match["path_latin1"].encode("latin-1"),
                    similarities=match["similarities"],
                    verifier=match["verifier"],
                    transform=match["transform"],
                    vetoes=tuple(match["vetoes"]),
                    reason=match["reason"],
                )
                for match in raw["matches"]
            ),
        )


def file_key(path: bytes) -> FileKey:
    """The name with what rests there now. Raises FileFailed for what is no regular file, or is not there."""
    try:
        found = os.lstat(path)
    except FileNotFoundError as missing:
        raise FileFailed("no such file", kind="vanished") from missing
    except OSError as failed:
        raise FileFailed(failed.strerror or str(failed), kind="unreadable") from failed
    if not stat.S_ISREG(found.st_mode):
        raise FileFailed("not a regular file", kind="not-a-file")
    return FileKey(path, FileIdentity(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns))


def check_paths(
    paths: Sequence[bytes],
    *,
    see: Callable[[FileKey], Sighting],
    embed: Callable[[Sighting], dict[str, F32Array]],
    examine: Callable[[Callable[[Examiner], CheckResult]], CheckResult],
) -> list[CheckResult]:
    """Check files one after another. `examine(ask)` runs `ask` where the examiner lives."""
    results = []
    for path in paths:
        try:
            sighting = see(file_key(path))
            vectors = embed(sighting)
            results.append(examine(lambda examiner, s=sighting, v=vectors: _check(examiner, s, v)))  # type: ignore[misc]  # bound now
        except FileFailed as failed:
            results.append(CheckResult(path, None, (), failed.kind, failed.what))
    return results


def _check(examiner: Examiner, sighting: Sighting, vectors: Mapping[str, F32Array]) -> CheckResult:
    # float16 and back, as the ledger would hold them: so that `check` and the arrival itself find the same similarities
    rounded = {space: row.astype(np.float16).astype(np.float32) for space, row in vectors.items()}
    picture = Picture(
        image_id=None,
        digest=sighting.digest,
        path=sighting.key.path,
        facts=sighting.facts,
        pdq=sighting.pdq,
        pdq_variants=sighting.pdq_variants,
    )
    matches = [
        CheckMatch(VerdictClass.IDENTICAL_BYTES, file.key.path, {}, None, "", (), "same bytes")
        for file in examiner.same_bytes(sighting.digest, sighting.key.path)
    ]
    for finding in examiner.examine(Subject(picture, rounded)):
        if finding.ruling.verdict_class is None:
            continue
        comparison = finding.evidence.comparison
        matches.append(
            CheckMatch(
                verdict_class=finding.ruling.verdict_class,
                path=finding.files[0].key.path,
                similarities=finding.evidence.similarities,
                verifier=comparison.score if comparison is not None else None,
                transform=comparison.transform if comparison is not None else "",
                vetoes=finding.ruling.vetoes,
                reason=finding.ruling.reason,
            )
        )
    strength = list(VerdictClass)
    matches.sort(key=lambda match: strength.index(match.verdict_class))
    return CheckResult(sighting.key.path, sighting.digest, tuple(matches))
