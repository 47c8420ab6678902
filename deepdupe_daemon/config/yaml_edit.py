"""Numbers put into a configuration file that a person has written: everything else stays as it is, byte for byte."""

from __future__ import annotations

import json
from collections.abc import Mapping

import yaml

from deepdupe_daemon.config.problem import Location, key_text
from deepdupe_daemon.config.yaml_lines import composed, read_yaml
from deepdupe_daemon.errors import ConfigError

__all__ = ["with_values"]

Value = int | float


def with_values(text: str, values: Mapping[Location, Value]) -> str:
    """`text`, a YAML document, with each value in its place, such as `{("models", 0, "threshold"): 0.91}`.

    A key that is not there is added to its section, a section that is not there is added at the end. Raises ConfigError
    where `text` is no YAML, or is written in a way that this cannot edit; nothing is guessed.
    """
    edited = text
    for location, value in values.items():
        edited = _with_value(edited, location, value)
    found = read_yaml(edited.encode("utf-8", "surrogatepass"))
    if found.problems or any(_at(found.value, location) != value for location, value in values.items()):
        places = ", ".join(f"{key_text(location)}: {json.dumps(value)}" for location, value in values.items())
        raise ConfigError("this file is written in a way that cannot be edited here", hint=f"set by hand: {places}")
    return edited


def _with_value(text: str, location: Location, value: Value) -> str:
    try:
        node = composed(text)
    except (yaml.YAMLError, RecursionError):
        return text  # told by the caller, who finds the value missing
    depth = 0
    while depth < len(location) and node is not None:
        below = _below(node, location[depth])
        if below is None:
            break
        node, depth = below, depth + 1
    written = json.dumps(value)
    missing = location[depth:]
    if not missing and isinstance(node, yaml.ScalarNode):
        before, after = text[: node.start_mark.index], text[node.end_mark.index :]
        return f"{before}{'' if before.endswith((' ', chr(9))) else ' '}{written}{after}"
    if len(missing) == 1 and isinstance(node, yaml.MappingNode) and node.value:
        return _with_key(text, node, f"{missing[0]}: {written}")
    if len(missing) == 2 and depth == 0 and not any(isinstance(step, int) for step in missing):
        end = "" if text.endswith("\n") or not text else "\n"
        return f"{text}{end}\n{missing[0]}:\n  {missing[1]}: {written}\n"
    return text


def _with_key(text: str, section: yaml.MappingNode, entry: str) -> str:
    """After the first key of the section that has a plain value on its line, else before its first key."""
    if section.flow_style:
        at = section.start_mark.index + 1
        return f"{text[:at]}{entry}, {text[at:].lstrip(' ')}"
    column = section.start_mark.column
    for key, value in section.value:
        if isinstance(value, yaml.ScalarNode) and value.end_mark.line == key.start_mark.line:
            end = text.find("\n", value.end_mark.index)
            if end < 0:
                return f"{text}\n{' ' * column}{entry}\n"
            return f"{text[: end + 1]}{' ' * column}{entry}\n{text[end + 1 :]}"
    at = section.start_mark.index
    return f"{text[:at]}{entry}\n{' ' * column}{text[at:]}"


def _below(node: yaml.Node, step: str | int) -> yaml.Node | None:
    if isinstance(node, yaml.MappingNode):
        return next((value for key, value in node.value if getattr(key, "value", None) == step), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        found: yaml.Node = node.value[step]
        return found
    return None


def _at(value: object, location: Location) -> object:
    for step in location:
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list) and isinstance(step, int) and step < len(value):
            value = value[step]
        else:
            return None
    return value
