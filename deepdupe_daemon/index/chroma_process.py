"""The process that holds Chroma: the only one that opens the store, and the only module that imports chromadb.

Started by `ChromaChild` with a socket as standard input, a clean environment and a working directory of its own, for
chromadb reads unprefixed environment variables and a `.env` in the working directory. It answers one message after the
other and ends when the socket closes, never in the middle of a write: a kill inside a write can destroy the store.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import resource
import select
import signal
import socket
from collections.abc import Callable
from types import FrameType
from typing import Any

import numpy as np

from deepdupe_daemon.index.collection import differences
from deepdupe_daemon.index.halfrows import unit_rows
from deepdupe_daemon.index.segments import check_store
from deepdupe_daemon.index.wire import Message, receive, send
from deepdupe_daemon.model import F32Array

__all__ = ["main"]

_PR_SET_PDEATHSIG = 1  # prctl(2)
_NICE = 10  # behind the decoders and the forward thread: nothing waits for a stored row
_OOM_SCORE = 500  # when memory runs out this process goes first: what it holds can be made again
_LEAST_FILE_BYTES = 1 << 30
_LOCK_POLL_S = 0.2
_PROBES = 8
_IDS_AT_ONCE = 50_000  # 2 MB of JSON
#: a stored vector must find itself at this cosine distance or nearer
_SELF_DISTANCE = 1e-3

# What Chroma, SQLite and the kernel say when the disk or the permissions are at fault, not the store.
_FULL = ("disk is full", "no space left", "quota exceeded")
_NOT_NOW = ("readonly", "read-only", "permission denied", "unable to open database", "database is locked", "disk i/o")


class _RefusedError(Exception):
    """`kind` is for the writer, the text for people."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


class _Host:
    """The open client and what it is asked. Lives in the one thread of this process."""

    def __init__(self) -> None:
        self._client: Any = None
        self._collections: dict[str, Any] = {}
        self._lock_fd = -1
        self._rows = 0
        self._embedded = False

    def open(self, ask: Message, _payload: bytes) -> tuple[Message, bytes]:
        """Embedded: lock, check the files, open, let every collection answer. Server: connect."""
        self._embedded = ask["mode"] == "embedded"
        if not self._embedded:
            self._client = _connect(ask)
            return {"counts": {}}, b""
        os.makedirs(ask["path"], mode=0o700, exist_ok=True)
        was_clean = self._lock(ask["lock"])
        torn = check_store(ask["path"])
        if torn:
            raise _RefusedError("torn", "; ".join(torn))
        chromadb = _chromadb()
        _cap_files(_largest_file(ask["path"]))
        try:
            self._client = chromadb.PersistentClient(ask["path"], settings=_settings(chromadb))
            counts = {each.name: self._probe(each.name) for each in self._client.list_collections()}
        except BaseException as error:  # its Rust core panics with a BaseException
            kind = _kind(error)
            raise _RefusedError(kind if kind in ("full", "unavailable") else "torn", _text(error)) from error
        self._rows = sum(counts.values())
        return {"counts": counts, "was_clean": was_clean}, b""

    def collection(self, ask: Message, _payload: bytes) -> tuple[Message, bytes]:
        """Get or create one; it must say of itself what `metadata` says."""
        name, wanted = ask["name"], ask["metadata"]
        from chromadb.errors import NotFoundError

        try:
            found = self._client.get_collection(name, embedding_function=None)
            created = False
        except NotFoundError:
            # get_or_create, because on a server another daemon may have been quicker; it then ignores our metadata
            found = self._client.get_or_create_collection(
                name, embedding_function=None, configuration={"hnsw": ask["hnsw"]}, metadata=wanted
            )
            created = True
        wrong = differences(found.metadata or {}, wanted)
        hnsw = (found.configuration_json or {}).get("hnsw") or {}
        if hnsw.get("space", "cosine") != "cosine":
            wrong.append(f"its distance is {hnsw.get('space')!r}, not 'cosine'")
        if wrong:
            raise _RefusedError("mismatch", "; ".join(wrong))
        self._collections[name] = found
        return {"created": created, "count": found.count()}, b""

    def upsert(self, ask: Message, payload: bytes) -> tuple[Message, bytes]:
        """`payload`: float16 rows (n, dim). They are stored as float32 of unit length."""
        rows = unit_rows(np.frombuffer(payload, dtype="<f2").reshape(len(ask["ids"]), ask["dim"]))
        self._rows += len(rows)
        if self._embedded:
            # the capacity of data_level0.bin doubles; SQLite keeps some 600 bytes a row
            _cap_files(2 * self._rows * (4 * ask["dim"] + 1024))
        self._collections[ask["name"]].upsert(ids=ask["ids"], embeddings=rows, metadatas=ask["metadatas"])
        return {}, b""

    def delete(self, ask: Message, _payload: bytes) -> tuple[Message, bytes]:
        self._collections[ask["name"]].delete(ids=ask["ids"])
        return {}, b""

    def forget(self, ask: Message, _payload: bytes) -> tuple[Message, bytes]:
        """Delete a whole collection, or one node's rows of it; one that is not there is no error.

        Chroma leaves a collection's folder on the disk.
        """
        there = ask["name"] in {each.name for each in self._client.list_collections()}
        if there and "node" in ask:
            self._client.get_collection(ask["name"], embedding_function=None).delete(where={"node": ask["node"]})
        elif there:
            self._client.delete_collection(ask["name"])
        return {"there": there}, b""

    def count(self, ask: Message, _payload: bytes) -> tuple[Message, bytes]:
        """Rows of a collection, or of one node in it: Chroma counts those only by listing them."""
        collection, count = self._collections[ask["name"]], 0
        if "node" not in ask:
            return {"count": collection.count()}, b""
        while True:
            page = collection.get(where={"node": ask["node"]}, include=[], limit=_IDS_AT_ONCE, offset=count)["ids"]
            count += len(page)
            if len(page) < _IDS_AT_ONCE:
                return {"count": count}, b""

    def query(self, ask: Message, payload: bytes) -> tuple[Message, bytes]:
        """`payload`: float32 rows (q, dim). Approximate: Chroma's graph search."""
        rows = np.frombuffer(payload, dtype="<f4").reshape(-1, ask["dim"])
        found = self._collections[ask["name"]].query(
            query_embeddings=rows, n_results=ask["limit"], include=["distances", "metadatas"]
        )
        return {key: found[key] for key in ("ids", "distances", "metadatas")}, b""

    def read(self, ask: Message, _payload: bytes) -> tuple[Message, bytes]:
        """What the collection holds, as float32 rows (n, dim), in Chroma's order."""
        got = self._collections[ask["name"]].get(
            limit=ask["limit"], offset=ask["offset"], include=["embeddings", "metadatas"]
        )
        rows = np.asarray(got["embeddings"], dtype="<f4")
        return {"ids": got["ids"], "metadatas": got["metadatas"]}, rows.tobytes()

    def close(self) -> None:
        """Say in the lock file that nothing was left open."""
        if self._client is not None:
            self._client.close()
            self._client = None
            if self._embedded:
                self._mark("closed")

    def _lock(self, path: str) -> bool:
        """Wait until no other process has the store. Says whether the last one closed it."""
        self._lock_fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        while not _locked(self._lock_fd):
            if select.select([0], [], [], _LOCK_POLL_S)[0]:
                raise EOFError("the writer is gone")  # it sends nothing more before it has an answer
        was_clean = not os.pread(self._lock_fd, 64, 0).startswith(b"open")
        self._mark(f"open {os.getpid()}")
        return was_clean

    def _mark(self, text: str) -> None:
        os.ftruncate(self._lock_fd, 0)
        os.pwrite(self._lock_fd, f"{text}\n".encode(), 0)

    def _probe(self, name: str) -> int:
        """Let a collection load, replay its log and find some of its own rows. Gives its number of rows."""
        collection = self._client.get_collection(name, embedding_function=None)
        oldest = collection.get(limit=_PROBES, include=["embeddings"])  # replays the log; count() would too, slower
        count: int = collection.count()
        newest = collection.get(limit=_PROBES, offset=max(0, count - _PROBES), include=["embeddings"])
        for got in (oldest, newest):
            if not got["ids"]:
                continue
            rows: F32Array = np.asarray(got["embeddings"], dtype=np.float32)
            if rows.ndim != 2 or not np.isfinite(rows).all():
                raise _RefusedError("torn", f"{name}: vectors are missing")
            found = collection.query(query_embeddings=rows, n_results=1, include=["distances"])
            lost = sum(not near or near[0] > _SELF_DISTANCE for near in found["distances"])
            if lost > len(rows) // 2:  # among near-equals the graph search may miss one; it never misses most
                raise _RefusedError("torn", f"{name}: {lost} of {len(rows)} vectors do not find themselves")
        return count


def _locked(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _cap_files(honest_bytes: int) -> None:
    """A torn link list makes a file grow without bound, 41 GB in one short run: allow four times the honest size."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    cap = max(_LEAST_FILE_BYTES, 4 * honest_bytes)
    if hard != resource.RLIM_INFINITY:
        cap = min(cap, hard)
    if soft == resource.RLIM_INFINITY or cap > soft:
        resource.setrlimit(resource.RLIMIT_FSIZE, (cap, hard))


def _largest_file(folder: str) -> int:
    return max(
        (os.path.getsize(os.path.join(at, name)) for at, _, names in os.walk(folder) for name in names), default=0
    )


def _chromadb() -> Any:
    try:
        import chromadb
    except Exception as error:  # a broken installation is not the store's fault
        raise _RefusedError("unavailable", f"chromadb cannot be imported: {_text(error)}") from error
    return chromadb


def _settings(chromadb: Any) -> Any:
    return chromadb.config.Settings(_env_file=None, anonymized_telemetry=False)


def _connect(ask: Message) -> Any:
    chromadb = _chromadb()
    try:
        client = chromadb.HttpClient(
            host=ask["url"],
            ssl=ask["url"].startswith("https"),
            headers=ask["headers"] or None,
            settings=_settings(chromadb),
            tenant=ask["tenant"],
            database=ask["database"],
        )
        client.heartbeat()
    except Exception as error:
        raise _RefusedError("unavailable", _text(error)) from error
    return client


def _kind(error: BaseException) -> str:
    """What an error means: `full`, `unavailable`, `missing`, `refused` (our message was bad), `torn` or `failed`."""
    if isinstance(error, _RefusedError):
        return error.kind
    text = str(error).lower()
    if any(words in text for words in _FULL):
        return "full"
    if any(words in text for words in _NOT_NOW) or isinstance(error, PermissionError):
        return "unavailable"
    kinds = {each.__name__ for each in type(error).__mro__}
    if "NotFoundError" in kinds:
        return "missing"
    if kinds & {"HTTPError", "ConnectionError", "RateLimitError"}:
        return "unavailable"
    if kinds & {"InvalidArgumentError", "InvalidDimensionException", "DuplicateIDError", "ValueError", "TypeError"}:
        return "refused"
    return "failed"


def _text(error: BaseException) -> str:
    return str(error) if isinstance(error, _RefusedError) else f"{type(error).__name__}: {error}"[:2000]


def _leave(_number: int, _frame: FrameType | None) -> None:
    """SIGHUP: end after the message in hand. The writer's end of the socket closing means the same."""
    # wakes the receive, and is no error for an answer that is still to be sent
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(0)) as peer:
        peer.shutdown(socket.SHUT_RD)


def _settle_in() -> None:
    """The kernel's side: umask, priority, who goes first, and a signal when the parent dies."""
    os.umask(0o077)
    os.nice(_NICE)
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
        file.write(str(_OOM_SCORE))  # not everywhere allowed, and only a preference
    # systemd sends SIGTERM to every process of the service when it stops; the writer still needs this one then
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, _leave)
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGHUP)


def main() -> int:
    _settle_in()
    host = _Host()
    answers: dict[str, Callable[[Message, bytes], tuple[Message, bytes]]] = {
        "open": host.open,
        "collection": host.collection,
        "upsert": host.upsert,
        "delete": host.delete,
        "forget": host.forget,
        "count": host.count,
        "query": host.query,
        "read": host.read,
    }
    with socket.socket(fileno=os.dup(0)) as peer, contextlib.suppress(EOFError, BrokenPipeError):
        while True:
            ask, payload = receive(peer)
            if ask["op"] == "close":
                break
            try:
                answer, rows = answers[ask["op"]](ask, payload)
            except EOFError:
                raise
            except BaseException as error:  # noqa: BLE001 - a panic of its Rust core too is an answer; the writer decides
                send(peer, {"error": _kind(error), "text": _text(error)})
            else:
                send(peer, answer, rows)
    host.close()
    return 0


if __name__ == "__main__":
    os._exit(main())  # the store is closed; taking chromadb apart would only make the daemon wait
