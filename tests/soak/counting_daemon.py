"""The service over one folder, noting what it embeds: `python -m tests.soak.counting_daemon ROOT STATE LOG`.

Each digest whose vectors were committed is added to LOG as a line of hex, after the commit: bytes that stand there
twice were embedded twice. Records go to standard output, a line of JSON each.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from deepdupe_daemon.act import Record
from deepdupe_daemon.config import config_for_folders
from deepdupe_daemon.ledger import Ledger, SeenRecord
from deepdupe_daemon.service import run_daemon


def main(root: Path, state: Path, log: Path) -> int:
    fd = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    record_seen = Ledger.record_seen

    def noting(ledger: Ledger, batch: Sequence[SeenRecord]) -> list[int | None]:
        ids = record_seen(ledger, batch)
        seen = [record.digest.hex() + "\n" for record, image_id in zip(batch, ids, strict=True) if image_id is not None]
        os.write(fd, "".join(seen).encode())  # one write: a kill tears no line
        return ids

    Ledger.record_seen = noting  # type: ignore[method-assign] # what the soak counts

    def tell(record: Record) -> None:
        print(json.dumps(record.to_json()), flush=True)

    return run_daemon(config_for_folders([root], state_dir=state, environ={}), on_record=tell)


if __name__ == "__main__":
    sys.exit(main(*(Path(argument) for argument in sys.argv[1:])))
