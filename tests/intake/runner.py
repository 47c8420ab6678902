"""Intake in a process of its own, for tests that stop it, limit it or kill it.

`python -m tests.intake.runner ROOT STATE` prints `ready` after the first walk, then each notice as one line of JSON; it
ends when its standard input does.
"""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path

from deepdupe_daemon.clock import SystemClock
from deepdupe_daemon.config import IntakeConfig, RootConfig
from deepdupe_daemon.intake import Intake, Notice
from deepdupe_daemon.ledger import Ledger


def main(root: Path, state: Path) -> None:
    clock = SystemClock()

    def tell(notice: Notice) -> None:
        print(json.dumps({"kind": notice.kind, "text": notice.text, "counts": dict(notice.counts)}), flush=True)

    intake = Intake(
        [RootConfig(path=root)],
        IntakeConfig(settle_s=0.4, close_settle_s=0.05),
        lambda: Ledger.open(state, clock),
        clock,
        lambda: None,
        tell,
        poll_floor_s=0.5,
        check_s=0.2,
    )
    intake.start()
    never = threading.Event()
    while not (intake.status().first_walk_done and intake.status().armed):
        clock.wait(never, 0.02)
    print("ready", flush=True)
    sys.stdin.read()
    if not intake.stop(20):
        sys.exit("intake did not stop")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
