"""Two pictures held side by side on a person's demand: compared, and drawn. In a decoding worker, as always."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

from deepdupe_daemon.clock import Clock
from deepdupe_daemon.config import Config
from deepdupe_daemon.errors import ControlError, FileFailed
from deepdupe_daemon.judge import PICTURE_SIDE_PX, compare_pictures, draw_pair
from deepdupe_daemon.model import Comparison
from deepdupe_daemon.service.control_client import ControlClient
from deepdupe_daemon.service.protocol import decode_path, encode_path
from deepdupe_daemon.vision import DecoderPool

__all__ = ["Viewer", "answer_view", "viewer"]

STOP_S = 5.0

#: a file and the SHA-256 that its bytes must have
Named = tuple[bytes, bytes]


class Viewer(Protocol):
    """Both methods raise FileFailed for a file that cannot be read, or holds other bytes than named."""

    def compare(self, a: Named, b: Named) -> Comparison:
        """What the verifier says, told from a to b."""

    def draw(self, a: Named, b: Named) -> bytes:
        """A PNG: a, b laid over it, and where they differ as a heat map."""


class PoolViewer:
    """In the workers of a pool of this process. Any thread."""

    def __init__(self, pool: DecoderPool) -> None:
        self._pool = pool

    def compare(self, a: Named, b: Named) -> Comparison:
        return self._pool.compare(a, b, compare_pictures, PICTURE_SIDE_PX).result()

    def draw(self, a: Named, b: Named) -> bytes:
        return self._pool.render([a, b], draw_pair, PICTURE_SIDE_PX, kind="PNG").result()


class _DaemonViewer:
    """In the workers of the running daemon."""

    def __init__(self, client: ControlClient) -> None:
        self._client = client

    def compare(self, a: Named, b: Named) -> Comparison:
        return Comparison.from_dict(self._ask(a, b, draw=False)["comparison"])

    def draw(self, a: Named, b: Named) -> bytes:
        return base64.b64decode(self._ask(a, b, draw=True)["png_b64"])

    def _ask(self, a: Named, b: Named, *, draw: bool) -> dict[str, Any]:
        files = [{"path_b64": encode_path(path), "digest": digest.hex()} for path, digest in (a, b)]
        answer = self._client.request("view", files=files, draw=draw)
        if "failed" in answer:
            raise FileFailed(answer["failed"], kind=answer["kind"], where=answer["where"])
        return answer


@contextmanager
def viewer(config: Config, clock: Clock) -> Iterator[Viewer]:
    """The running daemon's workers, or one of our own where none runs."""
    client = ControlClient.find(config)
    if client is not None:
        yield _DaemonViewer(client)
        return
    one = config.decoder.model_copy(update={"workers": 1})
    pool = DecoderPool(one, [], clock=clock, claim=lambda *_: True, max_file_bytes=config.intake.max_file_bytes)
    pool.start()
    try:
        yield PoolViewer(pool)
    finally:
        pool.stop(STOP_S)


def answer_view(pool: DecoderPool, request: Mapping[str, Any]) -> dict[str, Any]:
    """The daemon's side of `view`. Raises ControlError for what is no request."""
    try:
        a, b = ((decode_path(each["path_b64"]), bytes.fromhex(each["digest"])) for each in request["files"])
    except (KeyError, TypeError, ValueError, binascii.Error) as wrong:
        raise ControlError("name two files, each with its digest") from wrong
    workers = PoolViewer(pool)
    try:
        if request.get("draw"):
            return {"png_b64": base64.b64encode(workers.draw(a, b)).decode("ascii")}
        return {"comparison": workers.compare(a, b).to_dict()}
    except FileFailed as failed:
        return {"failed": failed.what, "kind": failed.kind, "where": failed.where}
