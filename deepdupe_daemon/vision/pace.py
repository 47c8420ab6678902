"""How many images of a backfill may go into one batch, so that an arrival behind it does not wait long."""

from __future__ import annotations

__all__ = ["Pace"]


class Pace:
    """Learns the rate from the batches as they land. Owned by the forward thread.

    A slow device with a large ceiling (a ViT-L at 2 images a second, or a small card at batch 400) would hold an
    arrival for seconds; above a batch of about 8 a processor gains nothing, and a card nothing after a second's work.
    """

    def __init__(self, patience_s: float) -> None:
        if patience_s <= 0:
            raise ValueError("patience_s must be above 0")
        self._patience_s = patience_s
        self._landed_s: float | None = None
        self._allowed: int | None = None

    def landed(self, count: int, taken_s: float, now_s: float) -> None:
        """A batch of `count` images, taken at `taken_s`, has its results at `now_s` (monotonic seconds)."""
        begun_s = taken_s if self._landed_s is None else max(taken_s, self._landed_s)  # it waited for the one before it
        self._landed_s = now_s
        spent_s = now_s - begun_s
        self._allowed = max(1, int(count * self._patience_s / spent_s)) if spent_s > 0 else None

    def allowed(self, ceiling: int) -> int:
        """The most images of the backfill in the next batch, 1 to `ceiling`."""
        return ceiling if self._allowed is None else min(ceiling, self._allowed)
