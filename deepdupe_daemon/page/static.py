"""The page as a folder: `index.html`, thumbnails and heat maps. Written again into the same folder, it makes only what
is not there yet."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deepdupe_daemon.clock import Clock
from deepdupe_daemon.config import DecoderConfig
from deepdupe_daemon.errors import DeepDupeError, FileFailed
from deepdupe_daemon.model import display_path
from deepdupe_daemon.page.document import MARK, document
from deepdupe_daemon.page.drawing import HEAT_SIDE_PX, THUMB_SIDE_PX, as_it_is, heat_map
from deepdupe_daemon.page.group import Group
from deepdupe_daemon.vision import PDQ_INPUT, DecoderPool

__all__ = ["PageStep", "write_page"]

THUMBS, HEAT = "thumbs", "heat"
_STOP_S = 5.0
#: pictures asked of the workers at once, so that a page of thousands does not hold thousands of them
_AT_ONCE = 32
#: enough of a page for its `MARK`
_HEAD_BYTES = 4096

Ask = Callable[[DecoderPool], "Future[bytes]"]


@dataclass(frozen=True, slots=True)
class PageStep:
    """How many of the page's pictures are made."""

    done: int
    total: int


def write_page(
    folder: Path,
    groups: Sequence[Group],
    *,
    facts: Mapping[str, Any],
    heat: bool,
    decoder: DecoderConfig,
    clock: Clock,
    on_step: Callable[[PageStep], None] = lambda _step: None,
) -> int:
    """Write the page; says how many pictures could not be made (the page says so in their place).

    Raises DeepDupeError where the folder cannot be written to, or holds somebody else's page.
    """
    try:
        _refuse_other_page(folder / "index.html")
        for each in (folder, folder / THUMBS, folder / HEAT):
            each.mkdir(parents=True, exist_ok=True)
        wanted = [(path, ask) for path, ask in _pictures(folder, groups, heat=heat) if not path.exists()]
        failed = _make(wanted, decoder, clock, on_step) if wanted else 0
        page = document(groups, facts=facts, pictures={"thumb": THUMBS, "heat": HEAT if heat else ""})
        _write(folder / "index.html", page.encode())
    except OSError as error:
        where = display_path(os.fsencode(error.filename or folder))
        raise DeepDupeError(f"cannot be written: {error.strerror}", where=where) from error
    return failed


def ask_thumbnail(path: bytes, digest: bytes) -> Ask:
    return lambda pool: pool.render([(path, digest)], as_it_is, THUMB_SIDE_PX)


def ask_heat(copy: tuple[bytes, bytes], keeper: tuple[bytes, bytes], comparison: Mapping[str, Any]) -> Ask:
    return lambda pool: pool.render([copy, keeper], heat_map, HEAT_SIDE_PX, arguments={"comparison": comparison})


def _pictures(folder: Path, groups: Sequence[Group], *, heat: bool) -> Iterator[tuple[Path, Ask]]:
    known: set[str] = set()
    for group in groups:
        for file in (group.keeper, *(copy.file for copy in group.copies)):
            if file.thumbnail not in known:
                known.add(file.thumbnail)
                yield folder / THUMBS / file.thumbnail, ask_thumbnail(file.held, file.digest)
        for copy in group.copies:
            if heat and copy.has_drawing and copy.comparison is not None:
                ends = ((copy.file.held, copy.file.digest), (group.keeper.held, group.keeper.digest))
                yield folder / HEAT / copy.drawing(group.keeper), ask_heat(*ends, copy.comparison.to_dict())


def _refuse_other_page(page: Path) -> None:
    """Only a page that this program wrote is written over."""
    try:
        with open(page, "rb") as file:
            begin = file.read(_HEAD_BYTES)
    except FileNotFoundError:
        return
    if MARK.encode() not in begin:
        where = display_path(os.fsencode(page))
        raise DeepDupeError("this page is not one of ours", where=where, hint="--html names another folder")


def _make(
    wanted: Sequence[tuple[Path, Ask]], decoder: DecoderConfig, clock: Clock, on_step: Callable[[PageStep], None]
) -> int:
    pool = DecoderPool(decoder, [PDQ_INPUT], clock=clock, claim=lambda *_: True)
    pool.start()
    failed = done = 0
    try:
        running: dict[Future[bytes], Path] = {}
        for path, ask in wanted:
            running[ask(pool)] = path
            if len(running) >= _AT_ONCE:
                failed += _take(running)
                done = len(wanted) - len(running)
                on_step(PageStep(min(done, len(wanted)), len(wanted)))
        while running:
            failed += _take(running)
            on_step(PageStep(len(wanted) - len(running), len(wanted)))
    finally:
        pool.stop(_STOP_S)
    return failed


def _take(running: dict[Future[bytes], Path]) -> int:
    """Write what is ready; how many of these failed."""
    failed = 0
    for future in wait(running, return_when=FIRST_COMPLETED).done:
        path = running.pop(future)
        try:
            _write(path, future.result())
        except FileFailed:
            failed += 1  # gone meanwhile, or cannot be drawn: the page shows its name alone
    return failed


def _write(path: Path, data: bytes) -> None:
    partial = path.with_name(f".{path.name}.part")
    partial.write_bytes(data)
    os.replace(partial, path)
