"""A process that writes to a ledger as fast as it can and says what was committed, until it is killed.

    python -m tests.ledger.crash_writer STATE_DIR SEED

Each line on stdout follows the commit that it speaks of: `seen NAME...`, `gone NAME`, `judged NAME KEEPER`.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

from deepdupe_daemon.clock import SystemClock
from deepdupe_daemon.ledger import Ledger
from tests.ledger.build import OTHER, ROOT, SPACE, arrival, ino_of, seen, verdict


def content_of(name: str) -> str:
    """Every tenth file has the bytes of the one before."""
    round_, number = name.split("-")
    return f"{round_}-{int(number) - (int(number) % 10 == 9)}"


def say(*words: str) -> None:
    sys.stdout.write(" ".join(words) + "\n")
    sys.stdout.flush()


def main(state_dir: str, seed: str) -> None:
    choose = random.Random(seed)
    with Ledger.open(Path(state_dir), SystemClock()) as ledger:
        ledger.ensure_space(SPACE)
        ledger.ensure_space(OTHER)
        say("open")
        made = 0
        while True:
            count = choose.randint(1, 60)
            names = [f"{seed}-{n}" for n in range(made, made + count)]
            made += count
            ledger.note_arrivals([arrival(name, ino_of(name), live=choose.random() < 0.5) for name in names])
            rows = ledger.take_pending(1000)
            told = [row.key.path.removeprefix(ROOT + b"/").decode() for row in rows]
            records = [seen(row, content_of(name), SPACE, OTHER) for row, name in zip(rows, told, strict=True)]
            ledger.record_seen(records)
            say("seen", *told)
            files = [ledger.file_by_path(row.key.path) for row in rows]
            for row in files:
                keeper = row and ledger.living_files(row.image_id or 0)[0]
                if row and keeper and keeper.file_id != row.file_id:
                    ledger.record_judged([row.file_id], [verdict(row, keeper)])
                    say("judged", row.key.path.decode(), keeper.key.path.decode())
            ledger.mark_stored(SPACE.name, ledger.unstored(SPACE.name, 20)[0])
            if choose.random() < 0.2:
                gone = choose.choice(told)
                ledger.note_gone(ROOT + b"/" + gone.encode())
                say("gone", gone)


if __name__ == "__main__":
    main(*sys.argv[1:])
