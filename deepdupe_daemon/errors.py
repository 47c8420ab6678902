"""One tree: what went wrong, where, the remedy, whether a retry can help.

::

    DeepDupeError
    ├── ConfigError          the configuration cannot be used                    exit 78
    ├── StateError           the state dir or its ledger cannot be used          exit 78
    │   ├── AlreadyRunning   another daemon holds the state dir                  exit 75
    │   └── LedgerVersion    the ledger was written by another version           exit 78
    ├── ModelError           a model cannot be loaded or used                    exit 78
    │   ├── ModelUnavailable it cannot be had right now (network, gate, disk)    exit 75
    │   └── WeightsAbsent    its weights are not on disk, and none may be fetched exit 78
    ├── SpaceMismatch        a collection holds vectors of another origin        exit 78
    ├── StoreError           Chroma cannot be used right now                     exit 75
    ├── FileFailed           one file could not be seen; the service goes on     -
    │   └── NotAnImage       its bytes are no image that we can open             -
    ├── ControlError         the running daemon could not be asked               exit 69
    ├── ActionRefused        a move or restore was not carried out, nothing changed
    └── ActionUnfinished     a move stopped half-way; recovery goes on with it       -
"""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "ActionRefused",
    "ActionUnfinished",
    "AlreadyRunning",
    "ConfigError",
    "ControlError",
    "DeepDupeError",
    "FileFailed",
    "LedgerVersion",
    "ModelError",
    "ModelUnavailable",
    "NotAnImage",
    "SpaceMismatch",
    "StateError",
    "StoreError",
    "WeightsAbsent",
]

#: sysexits(3)
EX_UNAVAILABLE = 69
EX_TEMPFAIL = 75
EX_CONFIG = 78


class DeepDupeError(Exception):
    """Base of all: `what` happened, `where` it did (file, key, path), and the `hint` that names the remedy."""

    exit_code: ClassVar[int] = 1
    retryable: ClassVar[bool] = False

    def __init__(self, what: str, *, where: str | None = None, hint: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text} ({self.hint})" if self.hint else text


class ConfigError(DeepDupeError):
    """The configuration cannot be used; every problem found is listed in `what`, one a line."""

    exit_code = EX_CONFIG


class StateError(DeepDupeError):
    """The state dir or its ledger cannot be used."""

    exit_code = EX_CONFIG


class AlreadyRunning(StateError):
    """Another daemon holds this state dir; `pid` is its process id, where it could be read."""

    exit_code = EX_TEMPFAIL

    def __init__(self, what: str, *, pid: int | None, where: str | None = None, hint: str | None = None) -> None:
        super().__init__(what, where=where, hint=hint)
        self.pid = pid


class LedgerVersion(StateError):
    """The ledger's schema is newer than this program knows."""


class ModelError(DeepDupeError):
    """A model cannot be loaded or used as configured."""

    exit_code = EX_CONFIG


class ModelUnavailable(ModelError):
    """A model cannot be had right now; trying again later can help."""

    exit_code = EX_TEMPFAIL
    retryable = True


class WeightsAbsent(ModelError):
    """The weights are not on disk, and downloading is switched off: `models fetch` can help."""


class SpaceMismatch(DeepDupeError):
    """A space under this name holds vectors of another model, weights, preprocessing or dimension."""

    exit_code = EX_CONFIG


class StoreError(DeepDupeError):
    """Chroma cannot be used right now; the ledger's vectors are safe and will be stored later."""

    exit_code = EX_TEMPFAIL
    retryable = True


class FileFailed(DeepDupeError):
    """One file could not be seen. `kind` is a stable slug (`truncated`, `too-large`, `timeout`, ...)."""

    def __init__(
        self, what: str, *, kind: str, retry: bool = False, where: str | None = None, hint: str | None = None
    ) -> None:
        super().__init__(what, where=where, hint=hint)
        self.kind = kind
        self.retry = retry


class NotAnImage(FileFailed):
    """The bytes are no image of a format that can be opened here."""

    def __init__(self, what: str, *, where: str | None = None) -> None:
        super().__init__(what, kind="not-an-image", where=where)


class ControlError(DeepDupeError):
    """The running daemon could not be asked, or refused the request."""

    exit_code = EX_UNAVAILABLE


class ActionRefused(DeepDupeError):
    """A move or a restore was not carried out; nothing was changed.

    `kind` is a stable slug (`keeper-gone`, `changed`, `busy`, `no-space`, ...), `retry` says whether later can help.
    """

    def __init__(
        self,
        what: str,
        *,
        kind: str = "refused",
        retry: bool = False,
        where: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(what, where=where, hint=hint)
        self.kind = kind
        self.retry = retry


class ActionUnfinished(DeepDupeError):
    """Something moved and can be moved neither on nor back just now. Nothing is lost; recovery goes on with it."""

    retryable = True
