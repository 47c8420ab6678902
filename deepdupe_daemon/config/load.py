"""From a file to a `Config`, or to the list of everything that is wrong with it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from deepdupe_daemon.config.allowed import Schema, allowed, choices, found, known_keys, schema_at
from deepdupe_daemon.config.places import (
    Place,
    check_program,
    check_quarantined_root,
    check_roots,
    check_runtime_dir,
    check_socket,
    check_state_dir,
    resolve,
)
from deepdupe_daemon.config.problem import Location, Problem, config_error, key_text, nearest, suggestion
from deepdupe_daemon.config.schema import DEFAULT_STATE_DIR, Config
from deepdupe_daemon.config.yaml_lines import Document, read_yaml
from deepdupe_daemon.errors import ConfigError
from deepdupe_daemon.model import display_path

__all__ = ["load_config"]

_MAX_CONFIG_BYTES = 4 * 1024**2
_HINT = "`deepdupe-daemon config sample` prints a sample with every key explained"


def load_config(path: Path, *, look_at_disk: bool = True) -> Config:
    """The configuration in the YAML file `path`, its folders resolved.

    Raises ConfigError with every problem, one a line: `FILE:LINE: key: found X; allowed Y (did you mean Z?)`. With
    `look_at_disk` False the folders are only resolved: for readers that need to know where the state is, and neither
    may nor have to write there.
    """
    source = display_path(os.fsencode(path))
    document = read_yaml(_read(path, source))
    if document.problems:
        # what the file says is not certain yet, so what follows from it is not told either
        raise config_error(document.problems, source=source, hint=_HINT)
    if not isinstance(document.value, dict):
        said = "an empty file" if document.value is None else found(document.value)
        text = f"found {said}; allowed: a section with the keys {', '.join(Config.model_fields)}"
        raise config_error([Problem((), text, 1)], source=source, hint=_HINT)
    problems: list[Problem] = []
    config: Config | None = None
    try:
        config = Config.model_validate(document.value)
    except ValidationError as error:
        problems += schema_problems(error, document)
    if look_at_disk:
        problems += _disk_problems(document)
    if problems or config is None:
        raise config_error(problems, source=source, hint=_HINT)
    return resolved(config)


def resolved(config: Config) -> Config:
    """`config` with the symbolic links of all its folders followed: inotify does not follow one at the root."""
    roots = tuple(root.model_copy(update={"path": Path(resolve(str(root.path)))}) for root in config.roots)
    runtime_dir = None if config.runtime_dir is None else Path(resolve(str(config.runtime_dir)))
    places: dict[str, object] = {"roots": roots, "state_dir": Path(resolve(str(config.state_dir)))}
    places["runtime_dir"] = runtime_dir
    if config.quarantine.folder is not None:
        folder = Path(resolve(str(config.quarantine.folder)))
        places["quarantine"] = config.quarantine.model_copy(update={"folder": folder})
    return config.model_copy(update=places)


def schema_problems(error: ValidationError, document: Document) -> list[Problem]:
    """What pydantic found, each told with what is there, what is allowed, and the line."""
    whole = Config.model_json_schema()
    problems: dict[Location, Problem] = {}
    for detail in error.errors(include_url=False):
        location, value = _follow(detail, document.value)
        if detail["type"] == "too_short" and value:
            continue  # pydantic counts the valid items only; the invalid ones are told one by one
        text = _text(detail, location, value, whole)
        if detail["type"] == "value_error" and (match := re.match(r"(\w+): (.+)", text, re.DOTALL)):
            key = (*location, match[1])  # a rule between keys names the one it is about
            if match[1] in known_keys(schema_at(whole, location)):
                location, text = key, match[2]
        if location not in problems:  # one of several branches of a union is enough
            problems[location] = Problem(location, text, document.line(location))
    return list(problems.values())


def _text(detail: ErrorDetails, location: Location, value: object, whole: Schema) -> str:
    if detail["type"] == "value_error":
        return str(detail["ctx"]["error"]) if "ctx" in detail else detail["msg"]
    if detail["type"] == "extra_forbidden":
        return _unknown_key(location, whole)
    part = schema_at(whole, location)
    if detail["type"] == "missing" and value is None:
        return f"found nothing; allowed: {allowed(whole, part)}"
    text = f"found {found(value)}; allowed: {_bounded(detail, allowed(whole, part))}"
    if isinstance(value, str):
        text += suggestion(value, choices(whole, part))
    if value is None:
        text += " (a text that starts with # needs quotes; to take the default, leave the key out)"
    return text


def _bounded(detail: ErrorDetails, text: str) -> str:
    return f"{text} with at least one item" if detail["type"] == "too_short" and text.startswith("a list") else text


def _unknown_key(location: Location, whole: Schema) -> str:
    key, siblings = str(location[-1]), known_keys(schema_at(whole, location[:-1]))
    text = f"found an unknown key; allowed here: {', '.join(siblings)}"
    meant = nearest(key, siblings)
    if meant is None:
        meant = next((f"{section}.{key}" for section, keys in _sections(whole).items() if key in keys), None)
    return f"{text} (did you mean {meant}?)" if meant else text


def _sections(whole: Schema) -> dict[str, list[str]]:
    """The sections of the file by name, with their keys."""
    return {name: known_keys(schema_at(whole, (name,))) for name in known_keys(whole)}


def _follow(detail: ErrorDetails, value: object) -> tuple[Location, object]:
    """Where in the document that is, without pydantic's own marks for the branches of a union, and the value there."""
    location: Location = ()
    for step in detail["loc"]:
        in_section = isinstance(value, dict) and step in value
        in_list = isinstance(value, list) and isinstance(step, int) and step < len(value)
        if not (in_section or in_list):
            missing_key = detail["type"] == "missing" and isinstance(step, str)
            return ((*location, step), None) if missing_key else (location, value)
        value = value[step]  # type: ignore[index] # one of the two, as just seen
        location = (*location, step)
    return location, value


def _disk_problems(document: Document) -> list[Problem]:
    """What the folders look like, for every folder that the file names, whether or not the rest of it is right."""
    values: Mapping[str, Any] = document.value if isinstance(document.value, dict) else {}
    roots, problems = [], []
    for index, root in _sections_in(values.get("roots")):
        if isinstance(root.get("path"), str):
            location = ("roots", index, "path")
            waits = root.get("if_missing") == "wait"
            place = Place(root["path"], location, key_text(location), may_be_away=waits)
            roots += [place] if place.usable else []
            if place.usable and root.get("action") == "quarantine":
                problems += check_quarantined_root(place, ("roots", index, "action"))
    problems += check_roots(roots)
    state_dir = Place(str(values.get("state_dir", DEFAULT_STATE_DIR)), ("state_dir",), "state_dir")
    if state_dir.usable:
        problems += check_state_dir(state_dir, roots)
    if isinstance(values.get("runtime_dir"), str):
        runtime_dir = Place(values["runtime_dir"], ("runtime_dir",), "runtime_dir")
        problems += check_runtime_dir(runtime_dir) if runtime_dir.usable else []
    elif state_dir.usable:
        problems += check_socket(state_dir)
    quarantine = values.get("quarantine")
    if isinstance(quarantine, dict) and isinstance(quarantine.get("folder"), str):
        folder = Place(quarantine["folder"], ("quarantine", "folder"), "quarantine.folder")
        problems += check_state_dir(folder, roots) if folder.usable else []
    for index, hook in _sections_in(values.get("hooks")):
        match hook.get("command"):
            case [str(program), *_] if program.startswith("/"):
                problems += check_program(Place(program, ("hooks", index, "command"), "hook"))
    return [Problem(problem.location, problem.text, document.line(problem.location)) for problem in problems]


def _sections_in(value: object) -> list[tuple[int, dict[str, Any]]]:
    """The sections of a list, with their places in it; what else stands there is told by the schema."""
    return [(at, item) for at, item in enumerate(value) if isinstance(item, dict)] if isinstance(value, list) else []


def _read(path: Path, source: str) -> bytes:
    try:
        with open(path, "rb") as file:
            raw = file.read(_MAX_CONFIG_BYTES + 1)
    except FileNotFoundError:
        hint = "`deepdupe-daemon config sample > FILE` writes one to start from"
        raise ConfigError(f"{source}: found no such file; allowed: a YAML file", hint=hint) from None
    except OSError as error:
        raise ConfigError(f"{source}: cannot be read: {error.strerror}") from error
    if len(raw) > _MAX_CONFIG_BYTES:
        raise ConfigError(f"{source}: found more than {_MAX_CONFIG_BYTES} bytes; allowed: a configuration file")
    return raw
