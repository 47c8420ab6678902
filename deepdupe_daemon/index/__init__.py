"""Recalled: which known images are near to a new one.

This room promises: `ExactIndex` misses nothing (recall 1.0, at any batch size, on any device), and gives the same
similarity for a pair whatever the order, batch or restart.
"""

from deepdupe_daemon.index.exact import ExactIndex
from deepdupe_daemon.index.halfrows import HalfRows
from deepdupe_daemon.index.scorer import HostScorer, Scorer, Shelf

__all__ = ["ExactIndex", "HalfRows", "HostScorer", "Scorer", "Shelf"]
