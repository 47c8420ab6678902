"""Shown: groups of copies as a page for people, in a folder (`report`) or served to one browser (`review`).

The room promises

- that a page loads nothing from anywhere else, and that its content-security policy forbids it to;
- that no name can become markup: the page gets its data as JSON, and builds every text node from text;
- that pictures are decoded only in the sandboxed workers of `vision`, and that originals are only read;
- that `review` answers to whoever holds the token of its address and to nobody else, and does nothing itself: every
  action goes to the daemon through its control socket.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepdupe_daemon.face import on_first_use

if TYPE_CHECKING:
    from deepdupe_daemon.page.gather import gathered
    from deepdupe_daemon.page.group import Group, Shown, ShownCopy
    from deepdupe_daemon.page.static import PageStep, write_page

#: public name -> the module that has it
_HOMES = {
    "Group": "group",
    "PageStep": "static",
    "Shown": "group",
    "ShownCopy": "group",
    "gathered": "gather",
    "write_page": "static",
}

__all__ = ["Group", "PageStep", "Shown", "ShownCopy", "gathered", "write_page"]

__getattr__ = on_first_use(__name__, _HOMES)
