"""`python -m deepdupe_daemon`: the same as the command `deepdupe-daemon`."""

from __future__ import annotations

import sys

from deepdupe_daemon.cli import main

if __name__ == "__main__":
    sys.exit(main())
