"""The sample, the JSON schema and the effective configuration come from the schema and agree with it."""

from __future__ import annotations

import dataclasses
import json
import os
import typing
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel

from deepdupe_daemon.config import Config, RootConfig, describe, json_schema, load_config, sample_yaml
from deepdupe_daemon.config.sample import sample_config
from deepdupe_daemon.config.yaml_lines import read_yaml

_SAMPLE = Path(__file__).parents[2] / "config" / "deepdupe.yaml"


def test_the_sample_in_the_repository_is_what_the_schema_makes() -> None:
    assert _SAMPLE.read_text() == sample_yaml(), "run: deepdupe-daemon config sample > config/deepdupe.yaml"


def test_the_sample_says_exactly_the_defaults() -> None:
    document = read_yaml(sample_yaml().encode())
    assert document.problems == []
    assert Config.model_validate(document.value) == sample_config()
    assert sample_config() == Config(roots=(RootConfig(path=Path("/srv/photos")),))


def test_yaml_1_1_readers_understand_the_sample_alike() -> None:
    assert Config.model_validate(yaml.safe_load(sample_yaml())) == sample_config()


def test_every_key_has_a_description_that_the_sample_shows() -> None:
    sample = " ".join(sample_yaml().replace("#", " ").split())

    def check(section: type[BaseModel]) -> int:
        seen = 0
        for name, field in section.model_fields.items():
            assert field.description, f"{section.__name__}.{name}"
            assert " ".join(field.description.split()) in sample, f"{section.__name__}.{name}"
            seen += 1
            for inner in (field.annotation, *typing.get_args(field.annotation)):
                if isinstance(inner, type) and issubclass(inner, BaseModel):
                    seen += check(inner)
        return seen

    assert check(Config) > 40


def test_the_effective_configuration_can_be_read_back(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    written = tmp_path / "a.yaml"
    written.write_text(
        f"roots: [{{path: {tmp_path}/photos, exclude: ['#*#', 'a: b', \"it's\"]}}]\nstate_dir: {tmp_path}/state\n"
        "models: [{name: clip-vit-b-32, threshold: 0.9, mean: [0.5, 0.5, 0.5], std: [1, 1, 1]}, {name: pdq}]\n"
        "match: [pdq.hash]\ndecoder: {memory_bytes: 1000}\n"
    )
    config = load_config(written)
    again = tmp_path / "b.yaml"
    again.write_text(describe(config))
    assert load_config(again) == config


def test_a_path_that_is_no_utf8_is_shown_escaped() -> None:
    config = Config(roots=(RootConfig(path=Path(os.fsdecode(b"/caf\xe9\n"))),))
    assert r"path: '/caf\xe9\n'" in describe(config)


def test_the_json_schema_is_for_editors(tmp_path: Path) -> None:
    schema = json_schema()
    text = json.dumps(schema)
    assert schema["$schema"].startswith("https://json-schema.org/")
    assert schema["additionalProperties"] is False
    assert set(schema["properties"]) == set(Config.model_fields)
    assert "x-allowed" not in text
    assert "description" in schema["$defs"]["IntakeConfig"]["properties"]["settle_s"]


def test_a_configuration_is_frozen_and_hashable() -> None:
    config = sample_config()
    with pytest.raises((ValueError, dataclasses.FrozenInstanceError)):
        config.log_level = "debug"
    assert hash(config) == hash(sample_config())
