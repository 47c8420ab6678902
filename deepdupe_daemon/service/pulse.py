"""A stage's sign of life."""

from __future__ import annotations

__all__ = ["Pulse"]


class Pulse:
    """Beaten by the stage's own thread at every step, with a word on whether it waits for work; read by any.

    A thread that is alive proves nothing: one that waits for a lock for ever is alive too. What counts is that `beats`
    grows, or that the stage rests because nothing is there to be done.
    """

    __slots__ = ("beats", "resting")

    def __init__(self) -> None:
        self.beats = 0
        self.resting = True

    def beat(self) -> None:
        """A step was made, and there is more to do."""
        self.beats += 1
        self.resting = False

    def rest(self) -> None:
        """Nothing is to be done until something comes."""
        self.beats += 1
        self.resting = True
