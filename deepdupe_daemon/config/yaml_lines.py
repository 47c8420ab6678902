"""YAML into plain values, with the line of each key kept, and its mistakes told in plain words.

PyYAML's composer gives the nodes with their marks; scalars follow the core schema of YAML 1.2, where `off`, `yes` and
`010` are not surprises, and a number may hold underscores. A key given twice, an alias and a tag are mistakes here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import yaml
from yaml.events import AliasEvent

from deepdupe_daemon.config.problem import Location, Problem

__all__ = ["Document", "composed", "read_yaml"]

_NULL = "tag:yaml.org,2002:null"
_BOOL = "tag:yaml.org,2002:bool"
_INT = "tag:yaml.org,2002:int"
_FLOAT = "tag:yaml.org,2002:float"
_STR = "tag:yaml.org,2002:str"
_MAX_DEPTH = 20  # no part of the schema is deeper than 4


@dataclass(slots=True)
class Document:
    """A parsed file. `lines` maps each location to its line, counted from 1: of the key, or of the list's item."""

    value: object = None
    lines: dict[Location, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def line(self, location: Location) -> int | None:
        """The line of that location, or of the nearest one above it that is written in the file."""
        while location and location not in self.lines:
            location = location[:-1]
        return self.lines.get(location)


class _Loader(yaml.SafeLoader):
    """PyYAML's loader as far as its nodes, without aliases and with the scalars of YAML 1.2."""

    yaml_implicit_resolvers = {}  # noqa: RUF012 - PyYAML's own name; the parent's YAML 1.1 resolvers are not wanted

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call] # types-PyYAML leaves it out
            message = f"found *{event.anchor} without quotes; a text that starts with * needs them: '*{event.anchor}'"
            raise yaml.composer.ComposerError(None, None, message, event.start_mark)
        return super().compose_node(parent, index)


_Loader.add_implicit_resolver(_NULL, re.compile(r"^(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""])
_Loader.add_implicit_resolver(_BOOL, re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))
_Loader.add_implicit_resolver(_INT, re.compile(r"^[-+]?[0-9]+(?:_[0-9]+)*$"), list("-+0123456789"))
_Loader.add_implicit_resolver(
    _FLOAT,
    re.compile(
        r"^[-+]?(?:\.[0-9]+|[0-9]+(?:_[0-9]+)*(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$|^[-+]?\.(?:inf|Inf|INF)$|^\.(?:nan|NaN|NAN)$"
    ),
    list("-+.0123456789"),
)


def read_yaml(raw: bytes) -> Document:
    """The document in `raw`, with every problem found; nothing is raised. An empty document's value is None."""
    document = Document()
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        document.problems.append(Problem((), "found bytes that are not UTF-8; allowed: a text file in UTF-8", line))
        return document
    try:
        node = composed(text)
    except yaml.MarkedYAMLError as error:
        document.problems.append(_syntax_problem(error, text.splitlines()))
        return document
    except yaml.YAMLError as error:  # a control character: the reader's error has a position, and no mark
        line = text[: getattr(error, "position", 0)].count("\n") + 1
        document.problems.append(Problem((), f"found a control character; allowed: plain text ({error})", line))
        return document
    except RecursionError:
        document.problems.append(Problem((), "found brackets nested too deep to be a configuration"))
        return document
    if node is not None:
        document.value = _plain(node, (), document)
    return document


def composed(text: str) -> yaml.Node | None:
    """The nodes of the one document in `text`, with their marks. Raises yaml.YAMLError, RecursionError."""
    loader = _Loader(text)
    try:
        node: yaml.Node | None = loader.get_single_node()
    finally:
        loader.dispose()
    return node


def _plain(node: yaml.Node, location: Location, document: Document) -> object:
    line = node.start_mark.line + 1
    if len(location) > _MAX_DEPTH:
        document.problems.append(Problem(location, "found sections nested too deep to be a configuration", line))
        return None
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, location, document)
    if isinstance(node, yaml.SequenceNode):
        items = []
        for index, item in enumerate(node.value):
            document.lines[(*location, index)] = item.start_mark.line + 1
            items.append(_plain(item, (*location, index), document))
        return items
    return _scalar(node, location, document)


def _mapping(node: yaml.MappingNode, location: Location, document: Document) -> dict[str, object]:
    values: dict[str, object] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode):
            document.problems.append(Problem(location, "found a list or a section as a key; allowed: a name", line))
            continue
        key = str(key_node.value)
        here = (*location, key)
        if key in values:
            first = document.lines[here]
            document.problems.append(Problem(here, f"found a second time; it is already on line {first}", line))
            continue
        document.lines[here] = line
        values[key] = _plain(value_node, here, document)
    return values


def _scalar(node: yaml.Node, location: Location, document: Document) -> object:
    text = str(node.value)
    if node.tag == _STR:
        return text
    if node.tag == _NULL:
        return None
    if node.tag == _BOOL and text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        if node.tag == _INT:
            return int(text.replace("_", ""))
        if node.tag == _FLOAT:
            return float(text.lower().replace("_", "").replace(".inf", "inf").replace(".nan", "nan"))
    except ValueError:
        pass  # an explicit tag, such as !!int two; or more digits than Python takes: told below
    found = f"found {text[:40]!r} with the tag {node.tag.removeprefix('tag:yaml.org,2002:')!r}"
    remedy = "a plain value; a text that starts with ! needs quotes"
    document.problems.append(Problem(location, f"{found}; allowed: {remedy}", node.start_mark.line + 1))
    return None


def _syntax_problem(error: yaml.MarkedYAMLError, lines: list[str]) -> Problem:
    mark = error.problem_mark or error.context_mark
    line = mark.line if mark is not None else 0
    source = lines[line] if line < len(lines) else ""
    said = error.problem or "it cannot be read"
    indent = source[: len(source) - len(source.lstrip())]
    if "\t" in indent or "'\\t'" in said:
        text = "found a tab; allowed: spaces only, two for each level"
    elif said.startswith("found *"):
        text = said
    elif error.context in ("while scanning an alias", "while scanning an anchor"):
        text = f"found {source.strip()!r}; a text that starts with * or & needs quotes"
    elif "expected <block end>" in said and error.context_mark is not None:
        began = error.context_mark
        text = (
            f"bad indentation: found a line that starts in column {len(indent) + 1}, in the block that begins on line "
            f"{began.line + 1} in column {began.column + 1}; allowed: the same column for all lines of one block"
        )
    elif "mapping values are not allowed" in said and (bare := _line_without_colon(lines, line)) is not None:
        line = bare
        text = f"found {lines[line].strip()!r}; allowed: `key: value`"
    elif "mapping values are not allowed" in said:
        text = (
            f"bad indentation, or missing quotes: found a `:` where no key can stand, in {source.strip()!r}; allowed: "
            "keys of one section in the same column, and quotes around a text that holds `: `"
        )
    elif "could not find expected ':'" in said:
        # the scanner notices only on a later line; the key began where the context says
        line = error.context_mark.line if error.context_mark is not None else line
        text = f"found {lines[line].strip()!r}; allowed: `key: value`"
    elif "cannot start any token" in said:
        text = f"{said.replace(' that cannot start any token', '')} at the start of a text; such a text needs quotes"
    else:
        text = f"found {source.strip()!r}, which is not YAML: {said}"
    return Problem((), text, line + 1)


def _line_without_colon(lines: list[str], line: int) -> int | None:
    """The line with text before `line`, where it is neither a key nor an item: YAML reads the two as one text."""
    before = [number for number in range(line) if lines[number].split("#", 1)[0].strip()]
    if not before or ":" in lines[before[-1]] or lines[before[-1]].lstrip().startswith("-"):
        return None
    return before[-1]
