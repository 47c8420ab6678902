"""Weights files on disk: whole or torn, which bytes, and from where. Nothing here imports torch."""

from __future__ import annotations

import hashlib
import json
import os
import re
import struct
import zipfile
from collections.abc import Sequence
from pathlib import Path

from deepdupe_daemon.errors import ModelError

__all__ = [
    "WEIGHTS_NAMES",
    "check_whole",
    "is_torchscript",
    "safetensors_shapes",
    "weights_digest",
    "weights_in_folder",
]

#: what a transformers folder may hold, the preferred form first
WEIGHTS_NAMES = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)

_MAX_HEADER_BYTES = 100_000_000  # the limit of the safetensors library itself
_BLOB = re.compile(r"[0-9a-f]{64}")


def weights_in_folder(folder: Path) -> tuple[Path, ...]:
    """The weights files of a transformers folder, shards in order; empty where there are none. Raises ModelError."""
    for name in WEIGHTS_NAMES:
        path = folder / name
        if not path.is_file():
            continue
        if not name.endswith(".index.json"):
            return (path,)
        try:
            shards = sorted(set(json.loads(path.read_text(encoding="utf-8"))["weight_map"].values()))
        except (ValueError, KeyError, AttributeError, TypeError) as problem:
            raise ModelError(f"is no index of shards: {problem}", where=str(path)) from problem
        missing = [shard for shard in shards if not (folder / shard).is_file()]
        if missing:
            raise ModelError(f"{len(missing)} of {len(shards)} shards are missing: {missing[0]}", where=str(folder))
        return tuple(folder / shard for shard in shards)
    return ()


def safetensors_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Tensor name -> shape, from the header alone. Raises ModelError where the file is torn or no safetensors file."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if not 2 <= length <= min(_MAX_HEADER_BYTES, max(0, size - 8)):
            raise ModelError("is no safetensors file, or was cut off in its header", where=str(path), hint=_AGAIN)
        try:
            header = json.loads(file.read(length))
            tensors = {name: entry for name, entry in header.items() if name != "__metadata__"}
            end = max((entry["data_offsets"][1] for entry in tensors.values()), default=0)
            shapes = {name: tuple(entry["shape"]) for name, entry in tensors.items()}
        except (ValueError, KeyError, TypeError, AttributeError) as problem:
            raise ModelError(f"has no safetensors header: {problem}", where=str(path), hint=_AGAIN) from problem
    if 8 + length + end != size:
        raise ModelError(f"is torn: {size} bytes instead of {8 + length + end}", where=str(path), hint=_AGAIN)
    return shapes


_AGAIN = "fetch or copy it again"


#: how a Git LFS pointer begins, which stands in a clone for the file itself (its specification, version 1)
_POINTER = b"version https://git-lfs"


def check_whole(path: Path) -> None:
    """Raises ModelError where `path` is visibly not a whole weights file. Reads little of it."""
    if not path.is_file():
        raise ModelError("there is no such file", where=str(path))
    with path.open("rb") as file:
        if file.read(len(_POINTER)) == _POINTER:
            raise ModelError(
                "is a Git LFS pointer, not the weights themselves", where=str(path), hint="`git lfs pull` brings them"
            )
    if path.suffix == ".safetensors":
        safetensors_shapes(path)
    elif not zipfile.is_zipfile(path) and path.stat().st_size > 0:
        with path.open("rb") as file:
            start = file.read(2)
        if start == b"PK":  # a zip file whose directory, at its end, is gone
            raise ModelError("is torn: a zip archive without its end", where=str(path), hint=_AGAIN)
    elif path.stat().st_size == 0:
        raise ModelError("is empty", where=str(path), hint=_AGAIN)


def is_torchscript(path: Path) -> bool:
    """Whether `path` is a TorchScript archive, as OpenAI ships CLIP and Meta ships SSCD."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def weights_digest(files: Sequence[Path], *, trust_cache: bool = True) -> str:
    """Hex SHA-256 of the file; of the sorted (name, digest) lines where there are several.

    A Hugging Face cache is content-addressed: a blob is stored under its SHA-256, and that name is taken as it stands
    unless `trust_cache` is False (`models verify`). 1.9 GB/s a core otherwise.
    """
    digests = [(path.name, _digest(path, trust_cache=trust_cache)) for path in files]
    if len(digests) == 1:
        return digests[0][1]
    lines = "".join(f"{name} {digest}\n" for name, digest in sorted(digests))
    return hashlib.sha256(lines.encode()).hexdigest()


def _digest(path: Path, *, trust_cache: bool) -> str:
    blob = Path(os.path.realpath(path))
    if trust_cache and blob.parent.name == "blobs" and _BLOB.fullmatch(blob.name):
        return blob.name
    with blob.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
