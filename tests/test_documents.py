"""What the documents say is there, is there."""

from __future__ import annotations

import inspect
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main

from deepdupe_daemon.act import Kind, alert, quarantine_records
from deepdupe_daemon.cli.app import build_app
from deepdupe_daemon.model import VerdictClass
from tests.conftest import PROJECT_ROOT

DOCUMENTS = ("README.md", "deepdupe_daemon/README.md", "tests/README.md", "CHANGELOG.md")


def text_of(document: str) -> str:
    return (PROJECT_ROOT / document).read_text("utf-8")


def command_names() -> set[str]:
    """`watch`, `config check`, ...: every command, and every group."""

    def names(group: typer.main.TyperGroup, before: str = "") -> Iterator[str]:
        for name, command in group.commands.items():
            yield f"{before}{name}"
            if isinstance(command, typer.main.TyperGroup):
                yield from names(command, f"{before}{name} ")

    top = typer.main.get_command(build_app())
    assert isinstance(top, typer.main.TyperGroup)
    return set(names(top))


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_to_files(document: str) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", text_of(document)):
        if "://" not in target:
            assert ((PROJECT_ROOT / document).parent / target).exists(), target


@pytest.mark.parametrize("document", DOCUMENTS)
def test_commands_exist(document: str) -> None:
    known = command_names()
    for name, second in re.findall(r"deepdupe-daemon ([a-z][a-z-]+)(?: ([a-z-]+(?:\|[a-z-]+)*))?", text_of(document)):
        assert name in known, f"deepdupe-daemon {name}"
        if any(each.startswith(f"{name} ") for each in known):
            for one in second.split("|"):
                assert f"{name} {one}" in known, f"deepdupe-daemon {name} {one}"


def test_the_readme_shows_every_command() -> None:
    shown = text_of("README.md")
    for name in command_names():
        first, _, second = name.partition(" ")
        assert re.search(rf"deepdupe-daemon {first}\b", shown), name
        if second:
            assert re.search(rf"deepdupe-daemon {first} (?:[a-z-]+\|)*{second}\b", shown), name


@pytest.mark.parametrize("document", DOCUMENTS)
def test_make_targets_exist(document: str) -> None:
    targets = set(re.findall(r"^\.PHONY: (.+)$", (PROJECT_ROOT / "Makefile").read_text(), re.MULTILINE))
    for target in re.findall(r"(?:^|`)make ([a-z-]+)", text_of(document), re.MULTILINE):
        assert target in targets


@pytest.mark.parametrize("document", DOCUMENTS)
def test_files_that_are_named_exist(document: str) -> None:
    above = (PROJECT_ROOT, PROJECT_ROOT / "deepdupe_daemon", PROJECT_ROOT / "tests")
    for name in re.findall(r"`([a-z_]+(?:/[a-z_]+)*(?:/|\.(?:py|toml|lock|catalog|yaml)))`", text_of(document)):
        if name in ("chroma/", "manifest.json"):  # in the state dir, and in a quarantine
            continue
        assert any((folder / name).exists() for folder in above), name


def test_the_journals_fields_and_ids_are_the_programs() -> None:
    shown = text_of("README.md")
    source = "".join(inspect.getsource(each) for each in (alert, quarantine_records))
    for field in set(re.findall(r"DEEPDUPE_([A-Z_]+)", shown)):
        assert f'"{field.removesuffix("_TEXT")}"' in source, field
    ids = {kind.message_id for kind in Kind}
    assert set(re.findall(r"\b[0-9a-f]{32}\b", shown)) <= ids
    for each in VerdictClass:
        assert f"`{each}`" in shown


def test_every_journal_recipe_is_one_that_journalctl_takes() -> None:
    """Options and matches are parsed before the journal is read: a recipe with a typing error ends with its usage."""
    if shutil.which("journalctl") is None:
        pytest.skip("no journalctl on this machine")
    block = next(part for part in text_of("README.md").split("```") if part.startswith("sh\njournalctl"))
    recipes = [line.split(" #")[0].strip() for line in block[3:].replace("\\\n", " ").splitlines() if line.strip()]
    assert len(recipes) >= 5
    for recipe in recipes:
        words = [word for word in recipe.split() if word != "-f"]
        done = subprocess.run(
            [*words, "--no-pager", "--directory", str(Path("/nonexistent"))], capture_output=True, text=True, timeout=60
        )
        assert "unrecognized option" not in done.stderr
        assert "Failed to parse" not in done.stderr
        assert "Failed to add" not in done.stderr
