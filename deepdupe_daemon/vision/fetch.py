"""Downloads of weights: with progress, resumed where they broke off, checked against the digest that their host states.

Tokens are handed to the client and shown nowhere. Nothing here imports torch.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deepdupe_daemon.errors import ModelError, ModelUnavailable
from deepdupe_daemon.vision.hub_cache import HubCache, Snapshot

__all__ = ["Progress", "fetch_snapshot", "fetch_url"]

#: called with (what, bytes done, bytes in all or 0 where unknown), from the thread that downloads
Progress = Callable[[str, int, int], None]

_CHUNK_BYTES = 1 << 20
_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class _Wanted:
    name: str
    size: int
    sha256: str | None  # large files only


def fetch_snapshot(
    repo: str,
    names: Sequence[str],
    cache: HubCache,
    *,
    revision: str | None = None,
    gated: bool = False,
    on_progress: Progress | None = None,
) -> Snapshot:
    """Those of `names` that `repo` holds, at the commit that `revision` (default `main`) names now, into `cache`.

    A weights file that is there in a preferred form keeps the others from being fetched; the shards of an index come
    with it. Raises ModelUnavailable (network, gate, disk) and ModelError (no such repository, revision or file, wrong
    digest).
    """
    import huggingface_hub

    token = cache.read_token()
    target = cache.folders[0]
    try:
        info = huggingface_hub.HfApi(endpoint=cache.endpoint, token=token or False).model_info(
            repo, revision=revision, files_metadata=True, timeout=_TIMEOUT_S
        )
        wanted = _choose(info.siblings or [], names)
        if not wanted:
            raise ModelError(f"holds none of {', '.join(names)}", where=repo)  # noqa: TRY301 - passes through below
        total = sum(file.size for file in wanted)
        present = sum(file.size for file in wanted if _in_cache(target, repo, str(info.sha), file.name))
        _check_space(target, total - present)
        folder = huggingface_hub.snapshot_download(
            repo,
            revision=revision or "main",
            cache_dir=target,
            endpoint=cache.endpoint,
            token=token or False,
            allow_patterns=[file.name for file in wanted],
            tqdm_class=_bar_class(repo, total, present, on_progress),
        )
    except (ModelError, KeyboardInterrupt):
        raise
    except Exception as problem:  # noqa: BLE001 - the client's own kinds differ between its versions
        raise _explained(problem, repo, revision, gated=gated, token=token) from None
    snapshot = Snapshot(repo, Path(folder))
    for file in wanted:
        _check_digest(snapshot.folder / file.name, file.sha256)
    return snapshot


def fetch_url(url: str, target: Path, *, sha256: str | None = None, on_progress: Progress | None = None) -> None:
    """One file over HTTP(S) into `target`, resuming `target`.part; whole and renamed into place at the end.

    Raises ModelUnavailable (network, disk) and ModelError (wrong digest, no such file).
    """
    part = target.with_name(target.name + ".part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        done = part.stat().st_size if part.is_file() else 0
        request = urllib.request.Request(url)  # noqa: S310 - a preset's own https address
        if done:
            request.add_header("Range", f"bytes={done}-")
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:  # noqa: S310 - as above
            if answer.status != 206:
                done = 0
            total = done + int(answer.headers.get("Content-Length") or 0)
            _check_space(target.parent, total - done)
            with part.open("ab" if done else "wb") as file:
                while chunk := answer.read(_CHUNK_BYTES):
                    file.write(chunk)
                    done += len(chunk)
                    if on_progress is not None:
                        on_progress(target.name, done, total)
                file.flush()
                os.fsync(file.fileno())
        if total and done != total:
            raise ModelUnavailable(
                f"broke off after {done} of {total} bytes", where=url, hint="run the same again: it goes on from there"
            )
        _check_digest(part, sha256)
        part.replace(target)
    except urllib.error.HTTPError as problem:
        if problem.code == 416 and part.is_file():  # a part longer than the file: start over next time
            part.unlink()
        kind = ModelError if problem.code in (404, 410) else ModelUnavailable
        raise kind(f"the server answered {problem.code} {problem.reason}", where=url) from None
    except OSError as problem:
        raise _explained(problem, url, None, gated=False, token=None) from None


def _choose(siblings: Sequence[Any], names: Sequence[str]) -> list[_Wanted]:
    """Files to fetch: the small ones named, and of the weights only the first form that is there."""
    there = {
        sibling.rfilename: _Wanted(
            sibling.rfilename, int(sibling.size or 0), sibling.lfs.sha256 if sibling.lfs is not None else None
        )
        for sibling in siblings
    }
    weights = [name for name in names if not name.endswith("config.json") and name in there]
    chosen = [there[name] for name in names if name.endswith("config.json") and name in there]
    if weights:
        first = weights[0]
        chosen.append(there[first])
        if first.endswith(".index.json"):
            stem, suffix = first.removesuffix(".index.json").rsplit(".", 1)
            chosen += [file for name, file in there.items() if name.startswith(f"{stem}-") and name.endswith(suffix)]
    return chosen


def _in_cache(folder: Path, repo: str, commit: str, name: str) -> bool:
    return (folder / f"models--{repo.replace('/', '--')}" / "snapshots" / commit / name).is_file()


def _check_space(folder: Path, needed: int) -> None:
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise ModelUnavailable(
            f"no space: {needed / 1e9:.2f} GB to fetch, {free / 1e9:.2f} GB free",
            where=str(folder),
            hint="free some, or set cache_dir to a larger disk",
        )


def _check_digest(path: Path, sha256: str | None) -> None:
    if sha256 is None:
        return
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        raise ModelError(
            f"has SHA-256 {found}, its host states {sha256}", where=str(path), hint="remove it and fetch again"
        )


def _bar_class(repo: str, total: int, present: int, on_progress: Progress | None) -> type[Any]:
    """A bar that draws nothing and reports bytes; the client makes one for files too, which is left silent."""
    from tqdm import tqdm  # type: ignore[import-untyped] # a package without types

    class Bar(tqdm):  # type: ignore[misc] # as above
        monitor_interval = 0

        def __init__(self, *args: Any, **options: Any) -> None:
            options.pop("name", None)
            self._bytes = options.get("unit") == "B" and "Reconstruct" not in str(options.get("desc"))
            self._reported = present
            super().__init__(*args, **{**options, "file": io.StringIO()})

        def update(self, n: float | None = 1) -> bool | None:
            if self._bytes and n and on_progress is not None:
                self._reported = min(total, self._reported + int(n))
                on_progress(repo, self._reported, total)
            drawn: bool | None = super().update(n)
            return drawn

    return Bar


def _explained(problem: Exception, what: str, revision: str | None, *, gated: bool, token: str | None) -> ModelError:
    """The client's failure as ours, without the token."""
    status = getattr(getattr(problem, "response", None), "status_code", None)
    kind = type(problem).__name__
    if isinstance(problem, OSError) and problem.errno in (errno.ENOSPC, errno.EDQUOT):
        return ModelUnavailable("no space left on the disk", where=what, hint="free some, or set cache_dir")
    if kind == "GatedRepoError" or (gated and status in (401, 403)):
        refused = "refused the token" if token else "is gated and no token was given"
        return ModelUnavailable(
            refused,
            where=what,
            hint=f"accept the licence at https://huggingface.co/{what}, then hand over a token: "
            "LoadCredential=hf-token:FILE in the unit, HF_TOKEN, or `hf auth login`",
        )
    if kind == "RevisionNotFoundError":
        return ModelError(f"has no revision {revision!r}", where=what)
    if kind == "RepositoryNotFoundError" or status == 404:
        return ModelError("there is no such repository, or it is private", where=what)
    text = f"{kind}: {problem}".splitlines()[0]
    if token:
        text = text.replace(token, "***")
    return ModelUnavailable(
        f"could not be fetched: {text}", where=what, hint="check the network, or name local `weights`"
    )
