"""What every part of the configuration shares: frozen, unknown keys refused, numbers taken as they are written."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, Strict, WithJsonSchema

from deepdupe_daemon.config.patterns import check_glob

__all__ = ["GIB", "ByteCount", "Count", "Flag", "Glob", "Number", "Section", "Text", "absolute"]

GIB = 1024**3
_UNITS = {"": 1, "b": 1, "kib": 1024, "mib": 1024**2, "gib": GIB, "tib": 1024**4}
_UNITS |= {"kb": 1000, "mb": 1000**2, "gb": 1000**3, "tb": 1000**4}
_BYTES = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)\s*")


def _byte_count(value: object) -> object:
    """`2 GiB`, `500 MB` or a plain number; anything else is left for the validator to refuse."""
    if isinstance(value, str) and (match := _BYTES.fullmatch(value)) and match[2].lower() in _UNITS:
        return round(float(match[1]) * _UNITS[match[2].lower()])
    return value


# Strict, so that `yes`, `"5"` and `1.5` are refused where a whole number is meant instead of being bent into one.
Count = Annotated[int, Strict()]
Number = Annotated[float, Strict(), Field(allow_inf_nan=False)]
Flag = Annotated[bool, Strict()]
Text = Annotated[str, Field(min_length=1)]
Glob = Annotated[Text, AfterValidator(check_glob)]
ByteCount = Annotated[
    int,
    Strict(),
    Field(ge=1),
    BeforeValidator(_byte_count),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1},
                {"type": "string", "pattern": r"^\s*[0-9]+(\.[0-9]+)?\s*([KMGTkmgt]?[iI]?[bB])?\s*$"},
            ],
            "x-allowed": "a number of bytes above 0, or a size such as 2 GiB or 500 MB",
        }
    ),
]


class Section(BaseModel):
    """A frozen part of the configuration. Every field carries the description that the sample file shows."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=False, validate_default=True)


def absolute(value: Path) -> Path:
    """`value` without `.` and `..` in the spelling; ValueError when it is relative."""
    if not value.is_absolute():
        raise ValueError(f"found the relative path {str(value)!r}; allowed: an absolute path, starting with /")
    return value
