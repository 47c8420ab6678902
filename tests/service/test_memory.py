"""What a person said of two pictures is remembered by their contents: in every space, after renames and reindexing."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from deepdupe_daemon.clock import SystemClock
from deepdupe_daemon.config import Config
from deepdupe_daemon.ledger import Ledger
from deepdupe_daemon.service import run_scan
from tests.service.test_pipeline import said, verdicts
from tests.service.test_reindex import config, rebuild, weights, write_weights  # noqa: F401

COPY = ("re-encoded", "copy.jpg", "0.png")


def mark(config: Config, *names: str) -> None:  # noqa: F811
    folder = config.roots[0].path_bytes
    with Ledger.open(config.state_dir, SystemClock()) as ledger:
        rows = [ledger.file_by_path(os.path.join(folder, name.encode())) for name in names]
        one, other = (row.digest for row in rows if row is not None)
        assert one is not None
        assert other is not None
        ledger.mark_not_duplicate(one, other, "test")


def test_a_mark_holds_in_every_space_after_renames_and_reindexing(config: Config, weights: Path) -> None:  # noqa: F811
    photos = config.roots[0].path
    run_scan(config)
    [row] = [row for row in verdicts(config) if row.verdict.verdict_class.proven]
    assert said([row]) in ({COPY}, {("re-encoded", "0.png", "copy.jpg")})
    assert set(row.verdict.similarities) == {"pdq.hash", "small.final"}, "both spaces proposed the pair"
    mark(config, "0.png", "copy.jpg")
    assert said(verdicts(config)) == set()

    (photos / "0.png").rename(photos / "renamed.png")
    (photos / "copy.jpg").rename(photos / "sub.jpg")
    run_scan(config)
    assert said(verdicts(config)) == set()

    write_weights(weights, seed=2)
    assert rebuild(config).switched
    os.utime(photos / "sub.jpg", (1_500_000_000, 1_500_000_000))  # to be read and judged afresh
    shutil.copy2(photos / "sub.jpg", photos / "third.jpg")
    run_scan(config)
    ((verdict_class, *pair),) = said(verdicts(config))
    assert (verdict_class, set(pair)) == ("identical-bytes", {"third.jpg", "sub.jpg"}), "the mark speaks of contents"
