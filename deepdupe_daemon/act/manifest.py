"""The manifest beside quarantined files: all that is needed to put them back by hand, without ledger and program."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from deepdupe_daemon import __version__
from deepdupe_daemon.act.descriptors import is_name, open_file, sync
from deepdupe_daemon.act.metadata import Metadata
from deepdupe_daemon.act.renaming import rename_noreplace
from deepdupe_daemon.errors import DeepDupeError
from deepdupe_daemon.ledger import ActionFile, Intent, Party
from deepdupe_daemon.model import FileIdentity, VerdictClass, display_path

__all__ = ["MANIFEST", "Manifest", "ManifestError", "read_manifest", "remove_manifest", "write_manifest"]

MANIFEST = b"manifest.json"
_DRAFT = b"manifest.json.part"
_FORMAT = "deepdupe-quarantine-manifest"
_VERSION = 1
#: a bundle of a few files takes some kilobytes; attributes may hold 64 KiB each
_LARGEST_BYTES = 64 << 20


class ManifestError(DeepDupeError):
    """What lies there is no manifest that this version reads."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """An intent as it was carried out. `metadata` of each file is in the order of `intent.files`."""

    intent: Intent
    metadata: tuple[Metadata, ...]
    action: str  # `q42`, of the ledger that it was written beside
    created_at_ns: int
    program_version: str = __version__

    def metadata_for(self, intent: Intent) -> tuple[Metadata, ...]:
        """The metadata of that intent's files. Raises ManifestError where this is another one's manifest."""
        if [_core(one) for one in self.intent.files] != [_core(one) for one in intent.files]:
            raise ManifestError("it speaks of other files than the ledger", where=display_path(intent.place))
        return self.metadata

    def to_json(self) -> dict[str, Any]:
        """As it is written; the README says what each word means."""
        intent = self.intent
        return {
            "format": _FORMAT,
            "version": _VERSION,
            "program": "deepdupe-daemon",
            "program_version": self.program_version,
            "token": intent.token,
            "action": self.action,
            "created_at": datetime.fromtimestamp(self.created_at_ns / 1e9, UTC).isoformat(timespec="seconds"),
            "created_at_ns": self.created_at_ns,
            "verdict": f"v{intent.verdict_id}",
            "class": str(intent.verdict_class),
            "evidence": dict(intent.evidence),
            "files": [
                {
                    "stored": member.stored.decode("ascii"),
                    **_party_json(member.file),
                    **metadata.to_json(),
                    "keeper": _party_json(member.keeper) if member.keeper is not None else None,
                }
                for member, metadata in zip(intent.files, self.metadata, strict=True)
            ],
        }

    @classmethod
    def from_json(cls, raw: Mapping[str, Any], place: bytes) -> Manifest:
        """Raises ManifestError; `place` is where it was found, whatever its folder was called once."""
        try:
            if raw["format"] != _FORMAT or raw["version"] != _VERSION:
                raise ManifestError(f"it is no manifest of version {_VERSION}", where=display_path(place))
            files = [
                ActionFile(
                    _party(one),
                    _party(one["keeper"]) if one["keeper"] is not None else None,
                    _stored(one["stored"]),
                )
                for one in raw["files"]
            ]
            intent = Intent(
                token=str(raw["token"]),
                verdict_id=int(raw["verdict"].removeprefix("v")),
                verdict_class=VerdictClass(raw["class"]),
                evidence=dict(raw["evidence"]),
                place=place,
                files=tuple(files),
            )
            metadata = tuple(Metadata.from_json(one) for one in raw["files"])
            return cls(intent, metadata, str(raw["action"]), int(raw["created_at_ns"]), str(raw["program_version"]))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ManifestError(f"it is no manifest: {error!r}", where=display_path(place)) from error


def write_manifest(manifest: Manifest, folder_fd: int) -> None:
    """Write it under a draft's name, sync it, give it its name, sync the folder. Raises OSError."""
    text = json.dumps(manifest.to_json(), indent=1, sort_keys=False).encode("ascii") + b"\n"
    fd = os.open(_DRAFT, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=folder_fd)
    with open(fd, "wb") as file:
        file.write(text)
        file.flush()
        sync(fd)
    rename_noreplace(folder_fd, _DRAFT, folder_fd, MANIFEST)
    sync(folder_fd)


def read_manifest(folder_fd: int, place: bytes) -> Manifest:
    """The manifest in an action's folder. Raises ManifestError, OSError."""
    fd = open_file(MANIFEST, folder_fd)
    with open(fd, "rb") as file:
        text = file.read(_LARGEST_BYTES + 1)
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ManifestError(f"it is no JSON: {error}", where=display_path(place)) from error
    if not isinstance(raw, dict):
        raise ManifestError("it is no JSON object", where=display_path(place))
    return Manifest.from_json(raw, place)


def remove_manifest(folder_fd: int) -> None:
    """Remove it, and a draft that a kill left. Raises OSError."""
    for name in (MANIFEST, _DRAFT):
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=folder_fd)


def _core(member: ActionFile) -> tuple[bytes, bytes, bytes]:
    return member.file.path, member.file.digest, member.stored


def _party_json(party: Party) -> dict[str, Any]:
    identity = party.identity
    return {
        "path": display_path(party.path),
        "path_base64": base64.b64encode(party.path).decode("ascii"),
        "root_base64": base64.b64encode(party.root).decode("ascii"),
        "dev": identity.dev,
        "ino": identity.ino,
        "size": identity.size,
        "mtime_ns": identity.mtime_ns,
        "sha256": party.digest.hex(),
    }


def _party(raw: Mapping[str, Any]) -> Party:
    path = base64.b64decode(raw["path_base64"], validate=True)
    root = base64.b64decode(raw["root_base64"], validate=True)
    digest = bytes.fromhex(raw["sha256"])
    if len(digest) != 32:
        raise ValueError("a SHA-256 has 32 bytes")
    identity = FileIdentity(int(raw["dev"]), int(raw["ino"]), int(raw["size"]), int(raw["mtime_ns"]))
    return Party(path, root, identity, digest)


def _stored(name: str) -> bytes:
    """A name beside the manifest, and nothing that leads elsewhere."""
    raw = name.encode("ascii")
    if not is_name(raw):
        raise ValueError(f"{name!r} is no name beside the manifest")
    return raw
