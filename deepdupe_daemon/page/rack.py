"""The pictures of a served page: made when they are asked for, the last ones kept."""

from __future__ import annotations

import threading
from collections import OrderedDict
from types import TracebackType
from typing import Self

from deepdupe_daemon.clock import Clock
from deepdupe_daemon.config import DecoderConfig
from deepdupe_daemon.page.drawing import LARGE_SIDE_PX, as_it_is
from deepdupe_daemon.page.group import Group
from deepdupe_daemon.page.static import Ask, ask_heat, ask_thumbnail
from deepdupe_daemon.vision import PDQ_INPUT, DecoderPool

__all__ = ["Rack"]

_BUDGET_BYTES = 64 * 1024 * 1024
_STOP_S = 5.0
_LARGE = "large-"


class Rack:
    """Any thread may ask; each waits for its own picture. Only files of the groups that were shown last are drawn."""

    def __init__(self, decoder: DecoderConfig, clock: Clock, *, budget_bytes: int = _BUDGET_BYTES) -> None:
        self._pool = DecoderPool(decoder, [PDQ_INPUT], clock=clock, claim=lambda *_: True)
        self._budget_bytes = budget_bytes
        self._lock = threading.Lock()  # over what follows
        self._asks: dict[str, Ask] = {}
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._kept_bytes = 0

    def __enter__(self) -> Self:
        self._pool.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._pool.stop(_STOP_S)

    def show(self, groups: list[Group]) -> None:
        """From now on these groups' pictures may be asked for, and no others."""
        asks: dict[str, Ask] = {}
        for group in groups:
            for file in (group.keeper, *(copy.file for copy in group.copies)):
                asks[f"thumb/{file.thumbnail}"] = ask_thumbnail(file.held, file.digest)
                asks[f"thumb/{_LARGE}{file.thumbnail}"] = _ask_large(file.held, file.digest)
            for copy in group.copies:
                if copy.has_drawing and copy.comparison is not None:
                    ends = ((copy.file.held, copy.file.digest), (group.keeper.held, group.keeper.digest))
                    asks[f"heat/{copy.drawing(group.keeper)}"] = ask_heat(*ends, copy.comparison.to_dict())
        with self._lock:
            self._asks = asks

    def picture(self, name: str) -> bytes | None:
        """JPEG bytes; None for a name that is not shown. Raises FileFailed where it cannot be drawn."""
        with self._lock:
            ask = self._asks.get(name)
            kept = self._kept.get(name)
            if kept is not None:
                self._kept.move_to_end(name)
        if ask is None:
            return None
        return kept if kept is not None else self._draw(name, ask)

    def _draw(self, name: str, ask: Ask) -> bytes:
        drawn = ask(self._pool).result()
        with self._lock:
            if name not in self._kept:
                self._kept[name] = drawn
                self._kept_bytes += len(drawn)
            while self._kept_bytes > self._budget_bytes:
                _, dropped = self._kept.popitem(last=False)
                self._kept_bytes -= len(dropped)
        return drawn


def _ask_large(path: bytes, digest: bytes) -> Ask:
    return lambda pool: pool.render([(path, digest)], as_it_is, LARGE_SIDE_PX)
