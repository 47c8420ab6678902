"""Which bytes are being seen right now, so that equal bytes are never decoded twice."""

from __future__ import annotations

import threading
from collections.abc import Callable

from deepdupe_daemon.model import FileKey

__all__ = ["Claims", "Follower"]

#: (file id, key, digest) of a file whose bytes need no decode of their own
Follower = tuple[int, FileKey, bytes]


class Claims:
    """Digests in flight, and who waits for each.

    Called by the decoder's threads and by the judging thread; the lock is its own. The order that makes it whole: the
    leader's vectors are committed first, its claim is released second; so a digest is always either known or claimed.
    """

    def __init__(self, is_known: Callable[[bytes], bool], on_known: Callable[[Follower], None]) -> None:
        """`is_known(digest)`: whether every active space holds a vector of these bytes; called in any thread.

        `on_known(follower)`: told of each file whose bytes are known already.
        """
        self._is_known = is_known
        self._on_known = on_known
        self._lock = threading.Lock()
        self._followers: dict[bytes, list[Follower]] = {}
        self._digest_of_leader: dict[int, bytes] = {}

    def claim(self, file_id: int, key: FileKey, digest: bytes) -> bool:
        """True: decode it, it is yours. False: the bytes are known, or the file waits for another that has them."""
        with self._lock:
            waiting = self._followers.get(digest)
            if waiting is not None:
                if self._digest_of_leader.get(file_id) == digest:  # the same file again, after its worker crashed
                    return True
                waiting.append((file_id, key, digest))
                return False
            known = self._is_known(digest)
            if not known:
                self._followers[digest] = []
                self._digest_of_leader[file_id] = digest
        if known:
            self._on_known((file_id, key, digest))
        return not known

    def release(self, file_id: int) -> tuple[Follower, ...]:
        """The file was seen, or failed: give back its claim; returns those who waited for it, in order of arrival."""
        with self._lock:
            digest = self._digest_of_leader.pop(file_id, None)
            return tuple(self._followers.pop(digest, ())) if digest is not None else ()
