"""The control socket: the daemon's side."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from deepdupe_daemon.clock import Clock, SystemClock
from deepdupe_daemon.errors import ControlError, DeepDupeError
from deepdupe_daemon.service import protocol
from deepdupe_daemon.service.allowance import Allowance
from deepdupe_daemon.service.peer import check_peer, own_group, peer_of

__all__ = ["ControlServer", "Operation"]

#: takes the request's arguments, returns the answer's fields; may raise DeepDupeError
Operation = Callable[[Mapping[str, Any]], dict[str, Any]]

#: how many requests are answered at once; more wait
ANSWERING_THREADS = 4

#: connections that are open at once; more wait in the listen queue, and then in connect(2), where they cost nothing
MOST_CONNECTIONS = 64

#: connections that are taken in a second, and how many at once after a pause: whoever asks more often waits. A status
#: costs 1.6 ms of processor time (measured on a loaded machine: 0.75 ms here, 0.65 ms to gather it, 0.25 ms in the
#: ledger), so that a flood takes 3 % of a core.
RATE_PER_S = 20.0
BURST = 40.0

#: bytes of a request that count as one more connection: to parse 4 MiB keeps the interpreter for 40 to 130 ms
BYTES_AS_ONE = 32 * 1024

_LISTEN = 128
_PART_BYTES = 65536


class ControlServer:
    """Answers requests on a Unix socket. One thread of its own reads and writes, a few answer; never the pipeline's.

    Root, the daemon's own user and the members of that user's own group are answered: the kernel says who asks, before
    a byte is read. A request has `read_timeout_s` to arrive as a whole, and an answer as long to be taken.
    """

    def __init__(
        self,
        path: Path,
        operations: Mapping[str, Operation],
        *,
        clock: Clock | None = None,
        read_timeout_s: float = 5.0,
        rate_per_s: float = RATE_PER_S,
    ) -> None:
        self._path = path
        self._operations = dict(operations)
        self._clock = clock or SystemClock()
        self._read_timeout_s = read_timeout_s
        self._allowance = Allowance(rate_per_s, BURST, self._clock.monotonic_s())  # the control thread's
        self._group = own_group()
        self._uid = os.geteuid()
        self._listener: socket.socket | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="control", daemon=True)
        self._pool = ThreadPoolExecutor(max_workers=ANSWERING_THREADS, thread_name_prefix="control-answer")
        # a check may take a minute: however many run, a status is answered at once
        self._quick = ThreadPoolExecutor(max_workers=1, thread_name_prefix="control-status")

    def start(self) -> None:
        """Binds the socket. The state lock is held by now, so a socket file in the way is a dead daemon's."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        before = os.umask(0o177)  # nobody may connect between bind and chmod
        try:
            listener.bind(os.fsencode(self._path))
        except OSError as failed:
            listener.close()
            raise ControlError(
                f"the control socket cannot be made: {failed.strerror or failed}",
                where=str(self._path),
                hint="a socket's path may hold 107 bytes; set `runtime_dir` to a shorter one",
            ) from failed
        finally:
            os.umask(before)
        os.chmod(self._path, 0o600 if self._group is None else 0o660)
        listener.listen(_LISTEN)
        listener.setblocking(False)
        self._listener = listener
        self._thread.start()

    def stop(self) -> None:
        if self._listener is not None:
            self._path.unlink(missing_ok=True)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._listener.close()
            self._listener = None
        else:
            self._loop.close()
        for pool in (self._pool, self._quick):
            pool.shutdown(wait=False, cancel_futures=True)

    # -- the control thread --------------------------------------------------------------------------------------------

    def _run(self) -> None:
        loop = self._loop
        accepting = loop.create_task(self._accept())
        try:
            loop.run_forever()
        finally:
            tasks = asyncio.all_tasks(loop) | {accepting}
            for task in tasks:
                task.cancel()
            loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
            loop.close()

    async def _accept(self) -> None:
        """Take connections no faster than the rate, and no more than so many: who asks too much waits for itself."""
        listener = self._listener
        assert listener is not None
        room = asyncio.Semaphore(MOST_CONNECTIONS)
        serving: set[asyncio.Task[None]] = set()
        while True:
            await room.acquire()
            while (wait_s := self._allowance.wait_s(self._clock.monotonic_s())) > 0:
                await asyncio.sleep(wait_s)
            self._allowance.spend(1.0)
            try:
                connection, _ = await self._loop.sock_accept(listener)
            except OSError:  # out of descriptors, or the asker is gone already: the next one may be luckier
                room.release()
                await asyncio.sleep(0.1)
                continue
            task = self._loop.create_task(self._serve(connection))
            serving.add(task)
            task.add_done_callback(serving.discard)
            task.add_done_callback(lambda _done: room.release())

    async def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError, ControlError, TimeoutError):
            # whoever went away, stayed silent or spoke nonsense is not told: nobody is left to listen
            answer = await self._request(connection)
            if answer is not None:
                async with asyncio.timeout(self._read_timeout_s):
                    await self._loop.sock_sendall(connection, protocol.line_of(answer))

    async def _request(self, connection: socket.socket) -> dict[str, Any] | None:
        connection.setblocking(False)
        try:
            check_peer(peer_of(connection), self._uid, self._group)
            line = bytearray()
            async with asyncio.timeout(self._read_timeout_s):
                while not protocol.complete(line):
                    part = await self._loop.sock_recv(connection, _PART_BYTES)
                    if not part:
                        return None
                    line += part
        except ControlError as refused:
            return _refusal(refused)
        self._allowance.spend(len(line) / BYTES_AS_ONE)
        request = protocol.parse(line)
        pool = self._quick if request.get("op") == "status" else self._pool
        return await self._loop.run_in_executor(pool, self._answer, request)

    # -- an answering thread -------------------------------------------------------------------------------------------

    def _answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        try:
            return {"ok": True, **self._operation(request)(request)}
        except DeepDupeError as refused:
            return _refusal(refused)
        except Exception as wrong:  # noqa: BLE001 - a request that nobody foresaw must not end the thread; its asker is told
            return _refusal(ControlError(f"the request cannot be answered: {type(wrong).__name__}: {wrong}"))

    def _operation(self, request: Mapping[str, Any]) -> Operation:
        if request.get("v") != protocol.VERSION:
            raise ControlError(
                f"this daemon speaks version {protocol.VERSION} of the control protocol",
                hint="use the command of the same installation as the daemon",
            )
        operation = self._operations.get(str(request.get("op")))
        if operation is None:
            raise ControlError(f"unknown operation {request.get('op')!r}")
        return operation


def _refusal(refused: DeepDupeError) -> dict[str, Any]:
    return {"ok": False, "error": refused.what, "where": refused.where, "hint": refused.hint}
