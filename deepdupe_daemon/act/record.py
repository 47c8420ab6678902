"""What is said: one message for people, its fields for programs."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field

from deepdupe_daemon.act.kinds import Kind, Priority
from deepdupe_daemon.model import display_path, display_text

__all__ = ["FieldValue", "Record"]

FieldValue = bytes | str | int | float

_OF_SEVERAL_LINES = frozenset({"TRACEBACK"})


@dataclass(frozen=True, slots=True)
class Record:
    """One record of the journal, or one line on stderr.

    `fields` maps upper-case names without their `DEEPDUPE_` prefix to values; paths are raw bytes there, and bytes are
    for paths alone. `message` is printable text of one line; whoever builds a record passes every path through
    `model.display_path`.
    """

    kind: Kind
    message: str
    fields: Mapping[str, FieldValue] = field(default_factory=dict)
    priority: Priority | None = None  # None = the kind's own

    def __post_init__(self) -> None:
        if not self.message.isprintable():
            raise ValueError(f"a message is one printable line, got {self.message!r}")
        for name in self.fields:
            if not (name.isascii() and name.replace("_", "").isalnum() and name.isupper()):
                raise ValueError(f"not a journal field name: {name!r}")

    @property
    def level(self) -> Priority:
        return self.kind.priority if self.priority is None else self.priority

    @property
    def message_id(self) -> str:
        return self.kind.message_id

    def journal_fields(self) -> dict[str, bytes]:
        """Every field as the journal takes it: upper-case name to bytes.

        A path is there twice: as its bytes under its name, and printable under `<NAME>_TEXT`. The catalog names the
        latter: `journalctl -x` puts a field onto the terminal as it is, so that a file name could else paint there, or
        add lines to the explanation. Text is printable too; a traceback keeps its lines.
        """
        fields = {
            "MESSAGE": self.message.encode(),
            "MESSAGE_ID": self.message_id.encode(),
            "PRIORITY": str(int(self.level)).encode(),
            "SYSLOG_IDENTIFIER": b"deepdupe-daemon",
        }
        for name, value in self.fields.items():
            if isinstance(value, bytes):
                fields[f"DEEPDUPE_{name}"] = value
                fields[f"DEEPDUPE_{name}_TEXT"] = display_path(value).encode()
            else:
                lines = str(value).splitlines() if name in _OF_SEVERAL_LINES else [str(value)]
                fields[f"DEEPDUPE_{name}"] = "\n".join(map(display_text, lines)).encode()
        return fields

    def to_json(self) -> dict[str, str | int | float]:
        """JSON-safe: a field whose bytes are not UTF-8 comes escaped, and exactly as `<name>_b64` beside it."""
        out: dict[str, str | int | float] = {
            "kind": self.kind.slug,
            "priority": int(self.level),
            "message": self.message,
        }
        for name, value in self.fields.items():
            key = name.lower()
            if not isinstance(value, bytes):
                out[key] = value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value
                continue
            try:
                out[key] = value.decode()
            except UnicodeDecodeError:
                out[key] = value.decode("utf-8", "backslashreplace")
                out[f"{key}_b64"] = base64.b64encode(value).decode("ascii")
        return out
