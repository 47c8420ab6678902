"""A package's face: names that are public there, and are loaded from their modules when they are first asked for.

`--help` answers in a fraction of a second since no room loads what it does not use: an import of the rooms costs
neither numpy nor SQLite, and certainly no torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

__all__ = ["on_first_use"]


def on_first_use(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """The `__getattr__` (PEP 562) of a package of which `homes` says which of its modules has which public name.

    What it returns raises AttributeError for any other name, as a module does.
    """

    def load(name: str) -> Any:
        home = homes.get(name)
        if home is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f"{package}.{home}"), name)

    return load
