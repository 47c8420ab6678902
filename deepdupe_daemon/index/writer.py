"""The thread that keeps the collections behind the ledger, and never far."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple, TypeVar

from deepdupe_daemon.clock import Clock
from deepdupe_daemon.config import ChromaConfig
from deepdupe_daemon.errors import DeepDupeError, StateError, StoreError
from deepdupe_daemon.index.aside import set_aside
from deepdupe_daemon.index.chroma_child import ChildLost, StoreRefused
from deepdupe_daemon.index.collection import Scalar
from deepdupe_daemon.index.following import Follower
from deepdupe_daemon.index.shard import WHOLE, Shard
from deepdupe_daemon.index.standing import Board, StoreNotice, WriterState, WriterStatus
from deepdupe_daemon.index.store import Store
from deepdupe_daemon.index.worn import is_worn, remove_store
from deepdupe_daemon.ledger import Ledger
from deepdupe_daemon.model import F32Array

__all__ = ["CollectionWriter"]

T = TypeVar("T")

_FLUSH_S = 1.0  # how long rows gather before they are written: a call costs 10 ms, however few rows it has
_LINGER_S = 300.0  # an open store without work holds its rows in memory (0.5 GB per 100,000 x 1,024): let it go
_FOREVER_S = 86_400.0
_FIRST_RETRY_S, _LAST_RETRY_S = 1.0, 60.0
_COUNT_EVERY_S = 5.0
_TELL_EVERY = 60  # attempts: an outage is told of once, then about hourly
_PATIENCE = 3  # failures in a row without a row written, before a store that passes its checks is taken for a torn one
_CRASHES = (signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGILL, signal.SIGFPE)


class _Question(NamedTuple):
    space: str
    ask: Callable[[Store], Any]
    answer: Future[Any]


class CollectionWriter:
    """Feeds every space's unstored vectors to its collection, and takes out what no file holds any longer.

    One thread owns the ledger connection, the store and its process. The ledger is the truth: a row is marked as stored
    after Chroma has acknowledged it, so whatever is killed when, the worst is that a batch is written twice. A store
    that is torn is set aside and filled again as a new generation; so is one that is worn out, which is removed. Public
    methods may be called from any thread.
    """

    def __init__(
        self,
        state_dir: Path,
        config: ChromaConfig,
        open_ledger: Callable[[], Ledger],
        clock: Clock,
        on_notice: Callable[[StoreNotice], None],
        *,
        environ: Mapping[str, str] | None = None,
        shard: Shard = WHOLE,
    ) -> None:
        self._state_dir = state_dir
        self._config = config
        self._open_ledger = open_ledger
        self._clock = clock
        self._on_notice = on_notice
        self._environ = environ
        self._shard = shard
        self._thread = threading.Thread(target=self._run, name=f"collection-writer{shard.suffix}", daemon=True)
        self._stopping = threading.Event()
        self._wake = threading.Event()
        self._urgent = threading.Event()  # a question or the end: do not wait for rows to gather
        self._questions: SimpleQueue[_Question] = SimpleQueue()
        self._pokes = 0
        self._pokes_heard = 0
        self._board = Board(WriterState.OFF if config.mode == "off" else WriterState.CLOSED)
        self._failures = 0
        self._outage_told = False

    # -- for any thread --------------------------------------------------------------------------------------------

    def start(self) -> None:
        if self._config.mode == "off":
            return
        self._thread.start()
        self.poke()

    def poke(self) -> None:
        """The ledger has something to store or to take out. Returns at once."""
        self._pokes += 1
        self._wake.set()

    def stop(self, timeout_s: float) -> None:
        """End after the batch in hand; the rest waits in the ledger. A process that still writes ends by itself."""
        self.ask_to_stop()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def ask_to_stop(self) -> None:
        """As `stop`, but returns at once."""
        self._stopping.set()
        self._wake.set()
        self._urgent.set()

    def status(self) -> WriterStatus:
        return self._board.status

    def lag_rows(self) -> int:
        """How many vectors the collections lack; at least 1 after a poke that was not heard yet.

        0 where Chroma is off or in trouble, since nothing is gained by waiting then.
        """
        status = self._board.status
        if status.state in (WriterState.OFF, WriterState.FAILED, WriterState.WAITING):
            return 0
        return max(status.lag_rows, int(self._pokes != self._pokes_heard))

    def query(
        self, space: str, queries: F32Array, limit: int, timeout_s: float = 60.0
    ) -> list[list[tuple[str, float, Mapping[str, Scalar]]]]:
        """Chroma's approximate answer for each query row: (row id, cosine, row metadata). For comparison and fallback.

        Raises StoreError when the store cannot be used now, TimeoutError.
        """
        return self._ask(space, lambda store: store.query(space, queries, limit)).result(timeout_s)

    def read_back(self, space: str, timeout_s: float = 60.0) -> tuple[list[str], list[Mapping[str, Scalar]], F32Array]:
        """All that the space's collection holds: ids, metadata, float32 rows. Raises as `query`."""
        return self._ask(space, lambda store: store.read(space)).result(timeout_s)

    def _ask(self, space: str, ask: Callable[[Store], T]) -> Future[T]:
        answer: Future[T] = Future()
        self._questions.put(_Question(space, ask, answer))
        self._urgent.set()
        self._wake.set()
        if not self._thread.is_alive():
            self._refuse_questions("the writer of the collections is not running")
        return answer

    # -- the thread ------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        environ = os.environ if self._environ is None else self._environ
        store = Store(self._state_dir, self._config, environ, shard=self._shard)
        try:
            with self._open_ledger() as ledger:
                follower = Follower(ledger, store, self._config, self._board, self._on_notice)
                if store.embedded and store.is_missing():
                    follower.begin_again(new_generation=False)
                must_open = store.embedded and store.was_left_open()
                while not self._stopping.is_set():
                    must_open = not self._turn(follower, store, must_open=must_open) and must_open
        except BaseException as error:
            self._board.put(WriterState.FAILED, str(error))
            self._tell("store-unavailable", f"the writer of the collections ended: {error}")
            raise
        finally:
            store.end(timeout_s=5.0)
            self._refuse_questions("the writer of the collections has stopped")
        self._board.put(WriterState.CLOSED)

    def _turn(self, follower: Follower, store: Store, *, must_open: bool) -> bool:
        """Do what there is to do, then wait for more. Says whether all went well."""
        try:
            if must_open:
                follower.work()
                follower.open()
            self._follow(follower, store)
        except (StoreError, StateError, OSError) as error:
            self._trouble(follower, store, error)
            return False
        self._well()
        self._board.put(WriterState.OPEN if store.is_open else WriterState.CLOSED)
        if not self._clock.wait(self._wake, _LINGER_S if store.is_open else _FOREVER_S):
            store.end(timeout_s=30.0)
            return True
        self._wake.clear()
        self._clock.wait(self._urgent, _FLUSH_S)
        if not self._stopping.is_set():
            self._urgent.clear()
        return True

    def _follow(self, follower: Follower, store: Store) -> None:
        """Answer the questions and write round by round, until no batch is full: what comes then may gather again."""
        more = True
        while more and not self._stopping.is_set():
            self._pokes_heard, work = self._pokes, follower.work()
            self._answer_questions(follower, store)
            more = bool(work) and follower.one_round(work)
            if work:
                self._well()
            if self._is_worn(follower, store):
                more = self._renew(follower, store) or more
        follower.count()
        follower.work()

    def _well(self) -> None:
        self._failures = 0
        if self._outage_told:
            self._outage_told = False
            self._tell("store-back", "the collections are written again")

    def _trouble(self, follower: Follower, store: Store, error: DeepDupeError | OSError) -> None:
        """Say so once, set a torn store aside, and wait before the next attempt."""
        self._failures += 1
        ended = store.end(timeout_s=30.0)
        follower.forget()
        if self._stopping.is_set():
            return
        self._refuse_questions(str(error))
        if ended and store.embedded and self._is_torn(error):
            try:
                self._set_aside(follower, store, str(error))
            except (StateError, OSError) as obstacle:
                error = obstacle
            else:
                if self._failures == 1:
                    return  # go on at once: the new store is empty and sound
        if (self._failures - 1) % _TELL_EVERY == 0:
            self._outage_told = True
            self._tell("store-unavailable", f"Chroma cannot be used now, the ledger keeps the vectors: {error}")
        self._board.put(WriterState.WAITING, str(error))
        self._wait_out(follower, min(_LAST_RETRY_S, _FIRST_RETRY_S * 2 ** min(self._failures - 1, 10)))
        if not self._stopping.is_set():
            self._urgent.clear()

    def _wait_out(self, follower: Follower, pause_s: float) -> None:
        """Until the next attempt or an urgent matter. How far behind the collections are is said meanwhile."""
        while True:
            with contextlib.suppress(StateError):  # a ledger that is busy says it at the attempt
                follower.work()
            if self._clock.wait(self._urgent, min(pause_s, _COUNT_EVERY_S)) or pause_s <= _COUNT_EVERY_S:
                return
            pause_s -= _COUNT_EVERY_S

    def _is_torn(self, error: DeepDupeError | OSError) -> bool:
        if isinstance(error, StoreRefused):
            return error.kind == "torn" or (error.kind == "failed" and self._failures >= _PATIENCE)
        return isinstance(error, ChildLost) and (error.died_of in _CRASHES or self._failures >= _PATIENCE)

    def _is_worn(self, follower: Follower, store: Store) -> bool:
        """Asked after each round, since under steady arrivals and deletions there is no last one."""
        if not (store.embedded and store.is_open) or self._stopping.is_set():
            return False
        rows = self._board.rows
        if rows is None or not is_worn(store.path, rows):
            return False
        follower.count()  # what the board says may be of an hour ago
        rows = self._board.rows
        return rows is not None and is_worn(store.path, rows)

    def _renew(self, follower: Follower, store: Store) -> bool:
        """Fill the store anew: it is full of places of deleted rows. False where its process does not end yet."""
        if not store.end(timeout_s=30.0):
            return False
        follower.forget()
        remove_store(store.path)
        rows = follower.begin_again(new_generation=True)
        self._tell("store-renewed", f"Chroma's store was worn by deletions and is filled anew: {rows} rows")
        return True

    def _set_aside(self, follower: Follower, store: Store, reason: str) -> None:
        moved, removed = set_aside(store.path, self._clock.now_ns())
        rows = follower.begin_again(new_generation=True)
        self._board.count_set_aside()
        also = f"; removed {', '.join(path.name for path in removed)} of earlier times" if removed else ""
        self._tell(
            "store-set-aside",
            f"Chroma's store is damaged and was set aside ({reason}); {rows} rows are written anew from the ledger, "
            f"no verdict depends on it{also}",
            path=os.fsencode(moved) if moved else None,
            counts={"rows": rows},
        )

    # -- questions -------------------------------------------------------------------------------------------------

    def _answer_questions(self, follower: Follower, store: Store) -> None:
        while not self._stopping.is_set():
            try:
                question = self._questions.get_nowait()
            except Empty:
                return
            try:
                question.answer.set_result(self._answer(question, follower, store))
            except StoreError as error:
                question.answer.set_exception(error)
                if isinstance(error, ChildLost) or (isinstance(error, StoreRefused) and error.kind != "refused"):
                    raise

    def _answer(self, question: _Question, follower: Follower, store: Store) -> Any:
        key = follower.key_of(question.space)
        follower.open()
        if not follower.ensure(key):
            raise StoreError(self._board.status.spaces[key.name].refused)
        return question.ask(store)

    def _refuse_questions(self, why: str) -> None:
        while True:
            try:
                self._questions.get_nowait().answer.set_exception(StoreError(why))
            except Empty:
                return

    def _tell(self, kind: str, text: str, path: bytes | None = None, counts: Mapping[str, int] | None = None) -> None:
        self._on_notice(StoreNotice(kind, text, path, counts or {}))
