"""What is allowed at a place of the configuration, in words: read from the JSON schema, so that it cannot drift."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from deepdupe_daemon.config.problem import Location

__all__ = ["allowed", "choices", "found", "known_keys", "schema_at"]

Schema = Mapping[str, Any]


def schema_at(whole: Schema, location: Location) -> Schema:
    """The part of the JSON schema `whole` that describes `location`; empty where nothing does."""
    part: Schema = _resolve(whole, whole)
    for step in location:
        options = [_resolve(whole, option) for option in part.get("anyOf", [part])]
        for option in options:
            if isinstance(step, int) and "items" in option:
                part = _resolve(whole, option["items"])
                break
            if isinstance(step, int) and step < len(option.get("prefixItems", ())):
                part = _resolve(whole, option["prefixItems"][step])
                break
            if step in option.get("properties", {}):
                part = _resolve(whole, option["properties"][step])
                break
        else:
            return {}
    return part


def known_keys(part: Schema) -> list[str]:
    """The keys of a section."""
    return list(part.get("properties", {}))


def choices(whole: Schema, part: Schema) -> list[str]:
    """The words that may stand there, where it is a choice."""
    part = _resolve(whole, part)
    words = [word for option in part.get("anyOf", ()) for word in choices(whole, option)]
    words += part.get("enum", ())
    return [str(word) for word in [*words, *([part["const"]] if "const" in part else [])]]


def allowed(whole: Schema, part: Schema, *, many: bool = False) -> str:
    """`a whole number from 0 to 256`, `auto, journal or stderr`; with `many`, as the items of a list."""
    part = _resolve(whole, part)
    if "x-allowed" in part:
        return str(part["x-allowed"])
    words = choices(whole, part)
    if "anyOf" in part:
        others = [option for option in part["anyOf"] if not choices(whole, option)]
        return _either([*words, *(allowed(whole, option) for option in others)])
    if words:
        return _either(words)
    match part.get("type"):
        case "integer":
            return _ranged("whole numbers" if many else "a whole number", part)
        case "number":
            return _ranged("numbers" if many else "a number", part)
        case "boolean":
            return "true or false"
        case "null":
            return "null"
        case "array" if "prefixItems" in part:
            return f"a list of {len(part['prefixItems'])} {allowed(whole, part['prefixItems'][0], many=True)}"
        case "array":
            return f"a list of {allowed(whole, part['items'], many=True)}"
        case "object":
            return f"{'sections' if many else 'a section'} with the keys {', '.join(known_keys(part))}"
        case _:
            thing = "path" if part.get("format") == "path" else "text"
            return f"{thing}s" if many else f"a {thing}"


def found(value: object) -> str:
    """The value as it stands in the file, shortened."""
    match value:
        case None:
            return "nothing"
        case bool():
            return str(value).lower()
        case str():
            return repr(value if len(value) <= 80 else f"{value[:77]}...")
        case Mapping():
            return f"a section with the keys {', '.join(value)}" if value else "an empty section"
        case Sequence():
            return f"a list of {len(value)}"
        case _:
            return str(value)


def _resolve(whole: Schema, part: Schema) -> Schema:
    """`part` with its reference followed; what stands beside the reference, such as the description, is not needed."""
    while "$ref" in part:
        part = whole["$defs"][part["$ref"].rpartition("/")[2]]
    return part


def _ranged(thing: str, part: Schema) -> str:
    low, high, above = part.get("minimum"), part.get("maximum"), part.get("exclusiveMinimum")
    if above is not None:
        return f"{thing} above {above:g}" + (f", at most {high:g}" if high is not None else "")
    if low is not None and high is not None:
        return f"{thing} from {_number(low)} to {_number(high)}"
    return f"{thing} of at least {_number(low)}" if low is not None else thing


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else str(value)


def _either(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"
