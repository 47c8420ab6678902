"""Where downloaded weights lie: the Hugging Face cache, read without its client.

The layout (`models--ORG--NAME/{refs,snapshots,blobs}`) is documented by huggingface_hub and shared by every program.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["HubCache", "Snapshot"]

_TRUE = {"1", "ON", "YES", "TRUE"}  # as huggingface_hub reads its switches


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One revision of a repository on disk."""

    repo: str
    folder: Path

    @property
    def commit(self) -> str:
        return self.folder.name


@dataclass(frozen=True, slots=True)
class HubCache:
    """The folders that are searched, in order; downloads go to the first. Built from an environment handed in."""

    folders: tuple[Path, ...]
    downloads: Path  # files that do not come from the hub
    clip_folder: Path  # where OpenAI's own package and open_clip 2 kept theirs
    offline: bool
    token_files: tuple[Path, ...]
    token: str | None = field(repr=False)
    endpoint: str

    @classmethod
    def of(cls, environ: Mapping[str, str], *, cache_dir: Path | None = None, offline: bool = False) -> HubCache:
        """`cache_dir` first where given, then the service's cache dir (systemd), then the user's Hugging Face cache."""
        home = Path(environ.get("HOME") or "/")
        xdg = Path(environ.get("XDG_CACHE_HOME") or home / ".cache")
        hf_home = Path(environ.get("HF_HOME") or xdg / "huggingface")
        usual = Path(environ.get("HF_HUB_CACHE") or environ.get("HUGGINGFACE_HUB_CACHE") or hf_home / "hub")
        own = environ.get("CACHE_DIRECTORY", "").split(":")[0]  # systemd: CacheDirectory=
        folders = [cache_dir] if cache_dir else [Path(own) / "huggingface"] if own else []
        downloads = cache_dir or (Path(own) if own else xdg / "deepdupe-daemon")
        credentials = environ.get("CREDENTIALS_DIRECTORY")  # systemd: LoadCredential=hf-token:...
        return cls(
            folders=tuple(dict.fromkeys([*folders, usual])),
            downloads=downloads / "weights",
            clip_folder=home / ".cache" / "clip",
            offline=offline or _switched_on(environ, "HF_HUB_OFFLINE") or _switched_on(environ, "TRANSFORMERS_OFFLINE"),
            token_files=(*([Path(credentials) / "hf-token"] if credentials else []), _token_file(environ, hf_home)),
            token=environ.get("HF_TOKEN") or environ.get("HUGGING_FACE_HUB_TOKEN") or None,
            endpoint=environ.get("HF_ENDPOINT") or "https://huggingface.co",
        )

    def snapshot(self, repo: str, revision: str | None, names: Sequence[str]) -> Snapshot | None:
        """The first snapshot that holds any of `names`; of `revision` (commit, branch or tag), `main` where None."""
        for folder in self.folders:
            home = folder / f"models--{repo.replace('/', '--')}"
            wanted = revision or "main"
            reference = home / "refs" / wanted
            commit = reference.read_text(encoding="ascii").strip() if reference.is_file() else wanted
            snapshot = home / "snapshots" / commit
            if any((snapshot / name).is_file() for name in names):
                return Snapshot(repo, snapshot)
        return None

    def holds(self, repo: str, commit: str, name: str) -> bool:
        """Whether the folder that downloads go to has this file of this commit."""
        return (self._home(repo) / "snapshots" / commit / name).is_file()

    def blob(self, repo: str, digest: str) -> Path:
        """Where the folder that downloads go to keeps the large file with this digest."""
        return self._home(repo) / "blobs" / digest

    def note_revision(self, repo: str, revision: str, commit: str) -> None:
        """That a branch or tag named `commit`, for who looks without network. A commit needs no note."""
        if revision == commit:
            return
        reference = self._home(repo) / "refs" / revision
        reference.parent.mkdir(parents=True, exist_ok=True)
        part = reference.with_name(f"{reference.name}.{os.getpid()}.part")
        part.write_text(commit, encoding="ascii")
        part.replace(reference)

    def _home(self, repo: str) -> Path:
        return self.folders[0] / f"models--{repo.replace('/', '--')}"

    def read_token(self) -> str | None:
        """The Hugging Face token: HF_TOKEN, the systemd credential `hf-token`, the login file. Shown nowhere."""
        if self.token:
            return self.token
        for path in self.token_files:
            if path.is_file():
                return path.read_text(encoding="utf-8").strip() or None
        return None


def _switched_on(environ: Mapping[str, str], name: str) -> bool:
    return environ.get(name, "").upper() in _TRUE


def _token_file(environ: Mapping[str, str], hf_home: Path) -> Path:
    return Path(environ.get("HF_TOKEN_PATH") or hf_home / "token")
