"""Benched: how fast this machine does what the daemon does, stage by stage and as a whole, and what holds it up.

The room promises

- that photos are only read, into a temporary folder; whatever else is made (ledger, vectors, Chroma) lies in that
  folder too and is gone with it: no state dir is opened, no daemon is asked;
- that every figure comes from the rooms that the daemon consists of: their workers, threads, index, ledger and store;
- that what is called the bottleneck follows from the figures that are shown, by the rule in `bottleneck`.

Nothing else imports it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepdupe_daemon.face import on_first_use

if TYPE_CHECKING:
    from deepdupe_daemon.bench.bottleneck import Bottleneck, find_bottleneck, room_rates
    from deepdupe_daemon.bench.plot import write_bench_plot
    from deepdupe_daemon.bench.run import BenchResult, BenchStep, bench
    from deepdupe_daemon.bench.stage import Room, Stage, percentile

#: public name -> the module that has it
_HOMES = {
    "BenchResult": "run",
    "BenchStep": "run",
    "Bottleneck": "bottleneck",
    "Room": "stage",
    "Stage": "stage",
    "bench": "run",
    "find_bottleneck": "bottleneck",
    "percentile": "stage",
    "room_rates": "bottleneck",
    "write_bench_plot": "plot",
}

__all__ = [
    "BenchResult",
    "BenchStep",
    "Bottleneck",
    "Room",
    "Stage",
    "bench",
    "find_bottleneck",
    "percentile",
    "room_rates",
    "write_bench_plot",
]

__getattr__ = on_first_use(__name__, _HOMES)
