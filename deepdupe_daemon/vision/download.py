"""One file over HTTP(S): resumed where it broke off, checked, and whole when it gets its name. Imports no torch."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from deepdupe_daemon.errors import ModelError, ModelUnavailable

__all__ = ["Progress", "check_digest", "check_space", "download_explained", "fetch_url"]

#: called with (what, bytes done, bytes in all or 0 where unknown), from the thread that downloads
Progress = Callable[[str, int, int], None]

_CHUNK_BYTES = 1 << 20
_TIMEOUT_S = 30.0
_NETWORK_HINT = "check the network, or name local `weights`"


def fetch_url(
    url: str,
    target: Path,
    *,
    sha256: str | None = None,
    token: str | None = None,
    what: str = "",
    on_progress: Progress | None = None,
) -> None:
    """One file into `target`, resuming `target`.part, also after a kill; whole and renamed into place at the end.

    `token` goes to the host of `url` and to no other. `what` names the file in messages, for addresses that carry a
    signature; the address itself where it is empty. Raises ModelUnavailable (network, disk, another process at it) and
    ModelError (wrong digest, no such file).
    """
    what = what or url
    part = target.with_name(target.name + ".part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with part.open("ab") as file:
            _claim(file, what)
            _append(url, file, what, target.name, token, on_progress)
        if sha256 is not None:
            try:
                check_digest(part, sha256)
            except ModelError:
                part.unlink()  # it would be resumed at its end for ever
                raise
        part.replace(target)
    except urllib.error.HTTPError as problem:
        problem.close()
        if problem.code == 416 and part.is_file():  # a part longer than the file: start over next time
            part.unlink()
        kind = ModelError if problem.code in (404, 410) else ModelUnavailable
        raise kind(f"the server answered {problem.code} {problem.reason}", where=what) from None
    except OSError as problem:
        raise download_explained(problem, what, token) from None


def check_space(folder: Path, needed: int) -> None:
    """Raises ModelUnavailable where the disk of `folder` has fewer than `needed` bytes free."""
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise ModelUnavailable(
            f"no space: {needed / 1e9:.2f} GB to fetch, {free / 1e9:.2f} GB free",
            where=str(folder),
            hint="free some, or set cache_dir to a larger disk",
        )


def check_digest(path: Path, sha256: str) -> None:
    """Raises ModelError where the bytes have another SHA-256 (hex) than their host states."""
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        raise ModelError(
            f"has SHA-256 {found}, its host states {sha256}", where=str(path), hint="remove it and fetch again"
        )


def download_explained(problem: Exception, what: str, token: str | None) -> ModelUnavailable:
    """A failure of network or disk as ours, without the token."""
    if isinstance(problem, OSError) and problem.errno in (errno.ENOSPC, errno.EDQUOT):
        return ModelUnavailable("no space left on the disk", where=what, hint="free some, or set cache_dir")
    text = f"{type(problem).__name__}: {problem}".splitlines()[0]
    if token:
        text = text.replace(token, "***")
    return ModelUnavailable(f"could not be fetched: {text}", where=what, hint=_NETWORK_HINT)


class _TokenStaysHere(urllib.request.HTTPRedirectHandler):
    """Follows a redirect to another host without the Authorization header, which urllib would send along."""

    def redirect_request(
        self, req: urllib.request.Request, fp: object, code: int, msg: str, headers: object, newurl: str
    ) -> urllib.request.Request | None:
        request = super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type] # as they came
        if request is not None and request.host != req.host:
            request.remove_header("Authorization")
        return request


def _claim(file: BinaryIO, what: str) -> None:
    """Two processes must not append to one part."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ModelUnavailable("another process is fetching it", where=what, hint="wait until it is done") from None


def _append(url: str, file: BinaryIO, what: str, name: str, token: str | None, on_progress: Progress | None) -> None:
    """What `file` lacks of the bytes at `url`, synced to the disk."""
    done = os.fstat(file.fileno()).st_size
    request = urllib.request.Request(url)  # noqa: S310 - the preset's own address, or what the hub answered
    if done:
        request.add_header("Range", f"bytes={done}-")
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    opener = urllib.request.build_opener(_TokenStaysHere)
    with opener.open(request, timeout=_TIMEOUT_S) as answer:
        if done and answer.status != 206:
            file.truncate(0)
            done = 0
        total = done + int(answer.headers.get("Content-Length") or 0)
        check_space(Path(os.fsdecode(file.name)).parent, total - done)
        while chunk := answer.read1(_CHUNK_BYTES):  # what has come, so that a kill costs no more than is on its way
            file.write(chunk)
            file.flush()
            done += len(chunk)
            if on_progress is not None:
                on_progress(name, done, total)
    file.flush()
    os.fsync(file.fileno())
    if total and done != total:
        hint = "run the same again: it goes on from there"
        raise ModelUnavailable(f"broke off after {done} of {total} bytes", where=what, hint=hint)
