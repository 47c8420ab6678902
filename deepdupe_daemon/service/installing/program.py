"""The program with all that it needs in one folder: a virtual environment made from the running installation."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sysconfig
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path

import deepdupe_daemon
from deepdupe_daemon.errors import StateError
from deepdupe_daemon.service.installing.interpreter import Interpreter

__all__ = ["PROJECT", "build_program", "distributions_needed", "is_checkout", "remove_program"]

PROJECT = "deepdupe-daemon"

_SCRIPT = """\
#!{prefix}/bin/python
import sys

from deepdupe_daemon.cli import main

sys.exit(main())
"""
#: in the folder of every program that we made; nothing else is ever replaced or removed
_MARK = ".deepdupe-daemon-program"


def is_checkout() -> bool:
    """Whether the running installation is a checkout of the sources (`pip install --editable`)."""
    origin = metadata.distribution(PROJECT).read_text("direct_url.json")
    return origin is not None and bool(json.loads(origin).get("dir_info", {}).get("editable"))


def distributions_needed(find: Callable[[str], metadata.Distribution] = metadata.distribution) -> list[str]:
    """Names of the installed distributions that the program needs, itself included: no compiler, test tool or linter.

    Our own extras count where they are installed. Raises StateError for one that is missing.
    """
    needed: dict[str, None] = {}
    waiting: list[tuple[str, frozenset[str]]] = [(PROJECT, frozenset({"", "journal", "jxl", "metrics", "plots"}))]
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        name, extras = waiting.pop()
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        needed[name] = None
        for wanted, its_extras, optional in _requirements(find(name), extras):
            try:
                find(wanted)
            except metadata.PackageNotFoundError:
                if optional:
                    continue
                raise StateError(
                    f"{name} needs {wanted}, which is not installed here", hint="install the program again"
                ) from None
            waiting.append((wanted, its_extras))
    return sorted(needed)


def _requirements(
    distribution: metadata.Distribution, extras: frozenset[str]
) -> Iterator[tuple[str, frozenset[str], bool]]:
    from packaging.requirements import Requirement

    for line in distribution.requires or ():
        requirement = Requirement(line)
        marker = requirement.marker
        plain = marker is None or marker.evaluate({"extra": ""})
        if plain or (marker is not None and any(marker.evaluate({"extra": extra}) for extra in extras)):
            name = re.sub(r"[-_.]+", "-", requirement.name).lower()
            yield name, frozenset({"", *requirement.extras}), not plain


def build_program(prefix: Path, interpreter: Interpreter, names: list[str], units: Path) -> None:
    """Make `prefix` anew, beside the old one, and put it into its place at the end. Raises StateError.

    `units`: the folder of the unit files, which go along. Files are copied, never linked: whoever may change the
    running installation shall not thereby change a service of root's.
    """
    fresh, old = (prefix.with_name(f"{prefix.name}.{word}") for word in ("new", "old"))
    if prefix.exists() and not (prefix / _MARK).exists() and any(prefix.iterdir()):
        raise StateError("holds something else than this program", where=str(prefix), hint="name another --prefix")
    try:
        for leftover in (fresh, old):
            if leftover.exists():
                shutil.rmtree(leftover)
        fresh.mkdir(mode=0o755, parents=True)
        (fresh / _MARK).write_text("made by: deepdupe-daemon service install\n")
        python = interpreter.executable
        if interpreter.copied is not None:
            shutil.copytree(interpreter.copied, fresh / "python", symlinks=True, ignore=shutil.ignore_patterns("test"))
            python = fresh / "python" / os.path.relpath(os.path.realpath(python), os.path.realpath(interpreter.copied))
        subprocess.run([python, "-I", "-m", "venv", "--without-pip", fresh], check=True, capture_output=True, text=True)
        if interpreter.copied is not None:
            _relink(fresh, prefix, python)
        site = next(fresh.glob("lib/python3.*/site-packages"))
        for name in names:
            _copy_distribution(name, site)
        shutil.copytree(units, site / "deepdupe_daemon" / "systemd", dirs_exist_ok=True)
        script = fresh / "bin" / PROJECT
        script.write_text(_SCRIPT.format(prefix=prefix))
        script.chmod(0o755)
        tried = [str(fresh / "bin" / "python"), "-I", "-m", "deepdupe_daemon", "--version"]
        if interpreter.copied is None:  # else its links lead to where it will lie
            subprocess.run(tried, check=True, capture_output=True, text=True, cwd="/")
        if prefix.exists():
            prefix.rename(old)
        fresh.rename(prefix)
        if old.exists():
            shutil.rmtree(old)
    except subprocess.CalledProcessError as failed:
        said = str(failed.stderr).strip().splitlines()
        raise StateError(f"does not work: {said[-1] if said else failed}", where=str(prefix)) from failed
    except OSError as error:
        raise StateError(f"cannot be made: {error.strerror or error}", where=str(error.filename or prefix)) from error


def remove_program(prefix: Path) -> None:
    """Remove what `build_program` made, and nothing that it did not."""
    if not (prefix / _MARK).exists():
        return
    try:
        shutil.rmtree(prefix)
    except OSError as error:
        raise StateError(f"cannot be removed: {error.strerror}", where=str(error.filename or prefix)) from error


def _relink(fresh: Path, prefix: Path, python: Path) -> None:
    """The environment was made at another place than it will lie at: point it to where its Python will be."""
    final = prefix / python.relative_to(fresh)
    for link in (fresh / "bin").glob("python*"):
        if link.is_symlink() and os.path.isabs(os.readlink(link)):
            link.unlink()
            link.symlink_to(final)
    settings = fresh / "pyvenv.cfg"
    settings.write_text(settings.read_text().replace(str(fresh), str(prefix)))


def _copy_distribution(name: str, site: Path) -> None:
    distribution = metadata.distribution(name)
    if name == PROJECT:  # an editable installation lists no files of ours
        source = Path(deepdupe_daemon.__file__).parent
        shutil.copytree(source, site / source.name, ignore=shutil.ignore_patterns("*.pyc"), dirs_exist_ok=True)
    for file in distribution.files or ():
        if file.parts[0] == "..":
            continue  # scripts and manuals
        if name == PROJECT and (not file.parts[0].endswith(".dist-info") or file.name in ("direct_url.json", "RECORD")):
            continue
        _copy_file(Path(str(distribution.locate_file(file))), site / file)


def _copy_file(source: Path, target: Path) -> None:
    """With the compiled form of a module, which is valid as long as its times and size are."""
    if not source.is_file():
        return  # a list may name what an installer left out
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, target)
    target.chmod(0o755 if source.stat().st_mode & 0o100 else 0o644)
    if source.suffix == ".py":
        tag = sysconfig.get_config_var("SOABI").split("-")
        compiled = f"{source.stem}.{tag[0]}-{tag[1]}.pyc"
        if (source.parent / "__pycache__" / compiled).is_file():
            (target.parent / "__pycache__").mkdir(exist_ok=True)
            shutil.copy2(source.parent / "__pycache__" / compiled, target.parent / "__pycache__" / compiled)
