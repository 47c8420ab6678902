"""What the keeper rules look at of a file."""

from __future__ import annotations

import json
import os

from deepdupe_daemon.config import Config
from deepdupe_daemon.config.patterns import PathFilter
from deepdupe_daemon.judge import Member, keeper_rules
from deepdupe_daemon.ledger import FileRow
from deepdupe_daemon.model import ImageFacts

__all__ = ["Membership"]


class Membership:
    """Makes the judge's member of a file's row. Stateless once made, so any thread may use it.

    `described`: all that the choice of keepers depends on, so that another configuration can be told from this one.
    """

    def __init__(self, config: Config) -> None:
        self._protected = frozenset(root.path_bytes for root in config.roots if root.action == "protected")
        self._preferred = tuple(PathFilter((glob,), ()) for glob in config.judge.prefer_paths)

        self.rules = keeper_rules(config.judge.keeper, by_path=bool(self._preferred))
        self.described = json.dumps(
            {
                "rules": self.rules,
                "prefer_paths": config.judge.prefer_paths,
                "protected": sorted(root.decode("latin-1") for root in self._protected),
            }
        )

    def __call__(self, row: FileRow, facts: ImageFacts | None) -> Member:
        identity = row.key.identity
        return Member(
            path=row.key.path,
            file_id=row.file_id,
            facts=facts,
            file_bytes=identity.size,
            protected=row.root in self._protected,
            path_rank=self._path_rank(row),
            digest=row.digest or b"",
            inode=(identity.dev, identity.ino),
        )

    def _path_rank(self, row: FileRow) -> int:
        if not self._preferred:
            return 0
        below = os.path.relpath(row.key.path, row.root)
        ranks = (rank for rank, glob in enumerate(self._preferred) if glob.matches_file(below))
        return next(ranks, len(self._preferred))
