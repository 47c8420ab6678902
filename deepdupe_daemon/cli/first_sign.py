"""What is done at the first sign of life of the service."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deepdupe_daemon.config import Config
    from deepdupe_daemon.service import Progress

__all__ = ["remembering"]


def remembering(config: Config, then: Callable[[Progress], None] | None = None) -> Callable[[Progress], None]:
    """A progress callback that remembers `config` in its state dir when it is first called, then calls `then`.

    The first progress is told by a service that has locked the state dir: from then on, and not before, it is ours.
    """
    waiting = [config]

    def take(progress: Progress) -> None:
        from deepdupe_daemon.config import remember

        if waiting:
            remember(waiting.pop())
        if then is not None:
            then(progress)

    return take
