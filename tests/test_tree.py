"""Rules that hold for the tree as a whole."""

from __future__ import annotations

import ast
import hashlib
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import PROJECT_ROOT

PACKAGE = PROJECT_ROOT / "deepdupe_daemon"
MODULES = sorted(PACKAGE.rglob("*.py"))
#: Apache License 2.0 as the Apache Software Foundation publishes it
APACHE_2_SHA256 = "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"


def named(path: Path) -> str:
    return str(path.relative_to(PROJECT_ROOT))


def tracked_files() -> Iterator[Path]:
    """Every file that belongs to the project; skips outside a git checkout (a source archive)."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=PROJECT_ROOT, capture_output=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git checkout: which files belong to the project is not known")
    for name in listed.stdout.decode().split("\0"):
        path = PROJECT_ROOT / name
        if name and path.is_file():
            yield path


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), filename=str(path))


def test_every_module_says_what_it_is_for() -> None:
    assert not [named(path) for path in MODULES if not ast.get_docstring(tree(path))]


def test_a_file_is_named_for_a_noun_and_holds_one() -> None:
    no_nouns = {"utils", "util", "helpers", "helper", "manager", "base", "common", "misc"}
    assert not [named(path) for path in MODULES if no_nouns & set(path.stem.split("_"))]
    assert not [named(path) for path in MODULES if len(path.read_text("utf-8").splitlines()) > 400]


def test_every_room_lists_its_public_names() -> None:
    rooms = [path / "__init__.py" for path in sorted(PACKAGE.iterdir()) if (path / "__init__.py").is_file()]
    assert len(rooms) == 12
    for room in rooms:
        assigned = {
            target.id
            for node in tree(room).body
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        assert "__all__" in assigned, named(room)


def calls_for_time(node: ast.AST) -> bool:
    match node:
        case ast.Import(names=names):
            return "time" in {alias.name for alias in names}
        case ast.ImportFrom(module="time"):
            return True
        case ast.Attribute(attr="now" | "utcnow" | "today", value=ast.Name(id="datetime" | "date")):
            return True
    return False


def test_only_the_clock_tells_time() -> None:
    tellers = {named(path) for path in MODULES if any(calls_for_time(node) for node in ast.walk(tree(path)))}
    assert tellers == {"deepdupe_daemon/clock.py"}


def runs_at_import(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes below `node` that an import evaluates: everything but the bodies of functions."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield child
            yield from runs_at_import(child)


def test_no_import_reads_the_environment() -> None:
    readers = [
        f"{named(path)}:{node.lineno}"
        for path in MODULES
        for node in runs_at_import(tree(path))
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "environb", "getenv")
    ]
    assert not readers


def test_the_licence_is_the_unmodified_apache_2() -> None:
    assert hashlib.sha256((PROJECT_ROOT / "LICENSE").read_bytes()).hexdigest() == APACHE_2_SHA256


# -- the lock ---------------------------------------------------------------------------------------------------------

ENTRY = re.compile(r"^(?P<name>[a-z0-9][a-z0-9-]*)==(?P<version>[^ ;]+)(?: ; [^\\]+)?(?: \\)?$")
HASH = re.compile(r"^    --hash=sha256:[0-9a-f]{64}(?: \\)?$")


def locked() -> dict[str, int]:
    """Name -> number of hashes, and nothing else may stand in the lock: no address, no path, no option."""
    found: dict[str, int] = {}
    name = ""
    for number, line in enumerate((PROJECT_ROOT / "requirements.lock").read_text("utf-8").splitlines(), start=1):
        if entry := ENTRY.match(line):
            name = entry["name"]
            found.setdefault(name, 0)
        else:
            assert HASH.match(line), f"requirements.lock:{number}: {line!r} is neither a pinned package nor a hash"
            found[name] += 1
    return found


def test_the_lock_pins_every_package_with_its_hashes_and_says_nothing_else() -> None:
    packages = locked()
    assert len(packages) > 100
    assert not [name for name, hashes in packages.items() if hashes == 0]


def test_the_lock_knows_every_package_that_pyproject_asks_for() -> None:
    project = tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text("utf-8"))
    asked = [
        *project["project"]["dependencies"],
        *(one for extra in project["project"]["optional-dependencies"].values() for one in extra),
        *(one for group in project["dependency-groups"].values() for one in group),
    ]
    names = {re.split(r"[^A-Za-z0-9._-]", one)[0].lower().replace("_", "-").replace(".", "-") for one in asked}
    assert not names - set(locked())


# -- what must not stand in a file ------------------------------------------------------------------------------------

#: written in pieces, so that this file does not hold what it looks for
FORBIDDEN = re.compile(
    "|".join(
        [
            "py" + r"pi\.org",
            "python" + r"hosted\.org",
            "--(extra-)?" + "index" + "-url",
            "find" + "-links",
            r"(?<![\w./-])/(work|farm|root)/",
            "/tmp/" + "scratch",
        ]
    )
)


def test_no_file_names_a_registry_or_a_place_on_one_machine() -> None:
    found = [
        f"{named(path)}:{number}: {match[0]}"
        for path in tracked_files()
        if path != Path(__file__)
        for number, line in enumerate(path.read_bytes().decode("utf-8", "replace").splitlines(), start=1)
        if (match := FORBIDDEN.search(line))
    ]
    assert not found


def test_the_search_for_forbidden_names_finds_them() -> None:
    for line in (
        "see https://py" + "pi.org/x",
        "open('/ro" + "ot/.cache')",
        "pip --index" + "-url x",
        "/tmp/scr" + "atch/a",
    ):
        assert FORBIDDEN.search(line)
    for line in ("/home/me/work/photos", "the root/ folder", "pypika==0.51.1"):
        assert not FORBIDDEN.search(line)
