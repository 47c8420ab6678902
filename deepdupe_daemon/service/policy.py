"""The judge's policy that a configuration asks for."""

from __future__ import annotations

from deepdupe_daemon.config import Config
from deepdupe_daemon.judge import JudgePolicy

__all__ = ["policy_of"]


def policy_of(config: Config) -> JudgePolicy:
    return JudgePolicy(
        match=config.match,
        pdq_max_distance=config.judge.pdq_max_distance,
        pdq_min_quality=config.judge.pdq_min_quality,
    )
