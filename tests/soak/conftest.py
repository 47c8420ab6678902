"""The storms over intake alone run over the same ground as its own tests."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.intake.conftest import ground

__all__ = ["ground", "seed"]


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> Iterator[int]:
    chosen = int(os.environ.get("DEEPDUPE_SOAK_SEED", "20260417"))
    yield chosen
    print(f"seed {chosen}: DEEPDUPE_SOAK_SEED={chosen} repeats it")
