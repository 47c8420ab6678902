"""Snapshots of Hugging Face repositories: with progress, resumed where they broke off, checked against their digests.

The client lists, and makes the cache's layout; the large files are brought by ourselves, because the client (2.x)
throws a part away when it ends: a model of 26 GB would begin again at every interruption. Tokens are handed to the
client and to the hub's own host, and shown nowhere. Nothing here imports torch.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from deepdupe_daemon.errors import ModelError, ModelUnavailable
from deepdupe_daemon.vision.download import Progress, check_digest, check_space, download_explained, fetch_url
from deepdupe_daemon.vision.hub_cache import HubCache, Snapshot

__all__ = ["fetch_snapshot"]

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
    with it. What broke off, be it by a kill, goes on from there. Raises ModelUnavailable (network, gate, disk) and
    ModelError (no such repository, revision or file, wrong digest).
    """
    import huggingface_hub

    token = cache.read_token()
    target = cache.folders[0]
    try:
        info = huggingface_hub.HfApi(endpoint=cache.endpoint, token=token or False).model_info(
            repo, revision=revision, files_metadata=True, timeout=_TIMEOUT_S
        )
        commit = str(info.sha)
        wanted = _choose(info.siblings or [], names)
        if not wanted:
            raise ModelError(f"holds none of {', '.join(names)}", where=repo)  # noqa: TRY301 - passes through below
        total = sum(file.size for file in wanted)
        tally = _Tally(
            repo, total, sum(file.size for file in wanted if cache.holds(repo, commit, file.name)), on_progress
        )
        check_space(target, total - tally.done)
        for file in wanted:
            if file.sha256 is not None and not cache.holds(repo, commit, file.name):
                _fetch_blob(repo, commit, file, file.sha256, cache, token, tally)
        folder = huggingface_hub.snapshot_download(
            repo,
            revision=commit,  # of one commit, whatever becomes of the branch meanwhile
            cache_dir=target,
            endpoint=cache.endpoint,
            token=token or False,
            allow_patterns=[file.name for file in wanted],
            tqdm_class=_bar_class(tally),
        )
    except (ModelError, KeyboardInterrupt):
        raise
    except Exception as problem:  # noqa: BLE001 - the client's own kinds differ between its versions
        raise _explained(problem, repo, revision, gated=gated, token=token) from None
    snapshot = Snapshot(repo, Path(folder))
    for file in wanted:
        if file.sha256 is not None:
            check_digest(snapshot.folder / file.name, file.sha256)
    cache.note_revision(repo, revision or "main", commit)
    return snapshot


def _fetch_blob(
    repo: str, commit: str, file: _Wanted, sha256: str, cache: HubCache, token: str | None, tally: _Tally
) -> None:
    """One large file to where the client looks for it: a blob under its SHA-256."""
    import huggingface_hub

    blob = cache.blob(repo, sha256)
    if blob.is_file():
        tally.add(file.size)
        return
    url = huggingface_hub.hf_hub_url(repo, file.name, revision=commit, endpoint=cache.endpoint)
    place = huggingface_hub.get_hf_file_metadata(
        url, token=token or False, timeout=_TIMEOUT_S, endpoint=cache.endpoint
    ).location
    before = tally.done

    def show(_name: str, done: int, _total: int) -> None:
        tally.set(before + done)

    at_home = urlsplit(place).netloc == urlsplit(cache.endpoint).netloc
    fetch_url(
        place, blob, sha256=sha256, token=token if at_home else None, what=f"{repo}/{file.name}", on_progress=show
    )
    tally.set(before + file.size)


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


class _Tally:
    """Bytes of a snapshot that are there, told as they come. Owned by the call that fetches."""

    def __init__(self, repo: str, total: int, done: int, on_progress: Progress | None) -> None:
        self._repo = repo
        self._total = total
        self._on_progress = on_progress or (lambda _what, _done, _total: None)
        self.done = done

    def add(self, count: int) -> None:
        self.set(self.done + count)

    def set(self, done: int) -> None:
        self.done = min(self._total, done)
        self._on_progress(self._repo, self.done, self._total)


def _bar_class(tally: _Tally) -> type[Any]:
    """A bar that draws nothing and reports bytes; the client makes one for files too, which is left silent."""
    from tqdm import tqdm  # type: ignore[import-untyped] # a package without types

    class Bar(tqdm):  # type: ignore[misc] # as above
        monitor_interval = 0

        def __init__(self, *args: Any, **options: Any) -> None:
            options.pop("name", None)
            self._bytes = options.get("unit") == "B" and "Reconstruct" not in str(options.get("desc"))
            super().__init__(*args, **{**options, "file": io.StringIO()})

        def update(self, n: float | None = 1) -> bool | None:
            if self._bytes and n:
                tally.add(int(n))
            drawn: bool | None = super().update(n)
            return drawn

    return Bar


def _explained(problem: Exception, what: str, revision: str | None, *, gated: bool, token: str | None) -> ModelError:
    """The client's failure as ours, without the token."""
    status = getattr(getattr(problem, "response", None), "status_code", None)
    kind = type(problem).__name__
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
    return download_explained(problem, what, token)
