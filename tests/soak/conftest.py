"""The storms run over the same ground as intake's own tests."""

from tests.intake.conftest import ground

__all__ = ["ground"]
