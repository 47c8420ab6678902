"""The commented sample, the JSON schema for editors, and the effective configuration: all made from the schema."""

from __future__ import annotations

import json
import os
import re
import textwrap
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from deepdupe_daemon.config.roots import RootConfig
from deepdupe_daemon.config.schema import Config
from deepdupe_daemon.config.section import GIB
from deepdupe_daemon.model import display_path

__all__ = ["commented_yaml", "describe", "json_schema", "sample_config", "sample_yaml"]

_WIDTH = 100
_HEAD = """\
# Configuration of deepdupe-daemon. Every key is here with its default; only `roots` must be given.
# Check it: deepdupe-daemon config check FILE      See what is in force: deepdupe-daemon config show FILE
"""


def sample_config() -> Config:
    """The configuration that the sample holds: all defaults, and one example root."""
    path = Path(RootConfig.model_fields["path"].examples[0])  # type: ignore[index] # the schema gives one
    return Config(roots=(RootConfig(path=path),))


def sample_yaml() -> str:
    """`config/deepdupe.yaml`: every key with its description as a comment and its default as the value."""
    made_by = "# This file is made by: deepdupe-daemon config sample\n"
    return commented_yaml(sample_config(), head=_HEAD + made_by)


def commented_yaml(config: Config, *, head: str) -> str:
    """`config` with every key, its description as a comment, and its value; `head` is a comment of its own."""
    return "\n".join([head, *_section(config, "", explain=True)]).rstrip() + "\n"


def describe(config: Config) -> str:
    """The effective configuration as YAML without comments; bytes of a path that are no UTF-8 come escaped."""
    return "\n".join(_section(config, "", explain=False)) + "\n"


def json_schema() -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of the file, for editors and other programs."""
    schema: dict[str, Any] = _without_marks(Config.model_json_schema())
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _without_marks(part: Any) -> Any:  # Any: JSON
    """Without what only our own messages use."""
    if isinstance(part, dict):
        return {key: _without_marks(value) for key, value in part.items() if key != "x-allowed"}
    return [_without_marks(item) for item in part] if isinstance(part, list) else part


def _section(section: BaseModel, indent: str, *, explain: bool) -> list[str]:
    lines: list[str] = []
    for key, field in type(section).model_fields.items():
        value = getattr(section, key)
        if explain:
            text = field.description or ""
            default = field.get_default()
            if default is PydanticUndefined:
                text += " Required."
            margin = f"{indent}# "
            lines += textwrap.wrap(
                text, _WIDTH, initial_indent=margin, subsequent_indent=margin, break_on_hyphens=False
            )
        lines += _entry(key, value, indent, explain=explain)
        if explain and value == () and (item := _item(field.annotation)) is not None:
            lines += _example(item, indent + "  ")
        if explain and (not indent or isinstance(value, BaseModel)):
            lines.append("")
    while lines and not lines[-1]:
        lines.pop()
    return lines


def _item(annotation: Any) -> type[BaseModel] | None:  # Any: whatever a field is annotated with
    """What a list of sections holds."""
    items = [each for each in get_args(annotation) if isinstance(each, type) and issubclass(each, BaseModel)]
    return items[0] if items else None


def _example(item: type[BaseModel], indent: str) -> list[str]:
    """An item of an empty list as comments, each key with its description: its example, or its default."""
    given = {key: field.examples[0] for key, field in item.model_fields.items() if field.examples}
    body = _section(item(**given), "    ", explain=True)
    first = next(number for number, line in enumerate(body) if not line.lstrip().startswith("#"))
    shown = [*(line[2:] for line in body[:first]), f"  - {body[first].lstrip()}", *body[first + 1 :]]
    return [f"{indent}#{line}".rstrip() for line in shown]


def _entry(key: str, value: object, indent: str, *, explain: bool) -> list[str]:
    deeper = indent + "  "
    if isinstance(value, BaseModel):
        return [f"{indent}{key}:", *_section(value, deeper, explain=explain)]
    if isinstance(value, tuple) and value and isinstance(value[0], BaseModel):
        lines = [f"{indent}{key}:"]
        for item in value:
            body = _section(item, deeper + "  ", explain=explain)
            first = next(number for number, line in enumerate(body) if not line.lstrip().startswith("#"))
            lines += [line[2:] for line in body[:first]]  # the comment above the dash, in the dash's column
            lines += [f"{deeper}- {body[first].lstrip()}", *body[first + 1 :]]
        return lines
    if isinstance(value, tuple) and len(value) > 1 and all(isinstance(item, str) for item in value):
        return [f"{indent}{key}:", *(f"{deeper}- {_scalar(item)}" for item in value)]
    if isinstance(value, tuple):
        return [f"{indent}{key}: [{', '.join(_scalar(item) for item in value)}]"]
    if key.endswith("_bytes") and isinstance(value, int) and value % GIB == 0:
        return [f"{indent}{key}: {value // GIB} GiB"]
    return [f"{indent}{key}: {_scalar(value)}"]


def _scalar(value: object) -> str:
    """One value as YAML 1.1 and 1.2 both read it."""
    match value:
        case None:
            return "null"
        case os.PathLike():
            return _scalar(display_path(os.fsencode(value)))
        case float():
            return json.dumps(value)
        case int() | bool():
            return json.dumps(value)
        case str():
            dumped = yaml.safe_dump(str(value), allow_unicode=True, width=10_000, default_flow_style=True)
            dumped = dumped.removesuffix("\n").removesuffix("\n...")
            # YAML would read most globs without quotes, but a person who copies one should not have to know which
            bare = dumped[0] not in "'\"" and re.search(r"[^\w./:@+ -]", dumped)
            return "'{}'".format(dumped.replace("'", "''")) if bare else dumped
        case _:
            raise TypeError(f"no value of the schema: {value!r}")
