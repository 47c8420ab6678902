"""The one HTML document: style, script and data in it, and a policy that allows just these."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

import deepdupe_daemon
from deepdupe_daemon.page.group import Group

__all__ = ["MARK", "document", "policy"]

#: by it a page of ours is known
MARK = '<meta name="generator" content="deepdupe-daemon'

_HTML = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
{head}<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<meta name="color-scheme" content="light dark">
{mark} {version}">
<title>Duplicates</title>
<style>{style}</style>
</head>
<body>
<noscript><p>This page builds itself from the data that it holds, and needs JavaScript for that. It loads nothing.</p>
</noscript>
<script type="application/json" id="data">{data}</script>
<script>{script}</script>
</body>
</html>
"""


def document(groups: Sequence[Group] | None, *, facts: Mapping[str, Any], pictures: Mapping[str, str]) -> str:
    """The page of `groups`; None: it asks the server that sent it for them.

    `facts`: what stands in the head of the page. `pictures`: the folders of "thumb" and "heat", relative to the page.
    """
    shown = None if groups is None else [group.to_json() for group in groups]
    data = {"groups": shown, "facts": dict(facts), "pictures": dict(pictures)}
    style, script = _resource("page.css"), _resource("page.js")
    if groups is not None:
        head = f'<meta http-equiv="content-security-policy" content="{policy(pictures="file:")}">\n'
    else:  # a server sends the policy as a header, where it can say more; and a browser asks it for an icon
        head = '<link rel="icon" href="icon.svg">\n'
    return _HTML.format(
        head=head, mark=MARK, version=deepdupe_daemon.__version__, style=style, script=script, data=_json_for_html(data)
    )


def policy(*, pictures: str, connect: str = "'none'") -> str:
    """The content-security policy: nothing but this style and this script, and pictures from where they lie."""
    style, script = (_hash(_resource(name)) for name in ("page.css", "page.js"))
    rules = (
        "default-src 'none'",
        f"img-src 'self' {pictures}",
        f"style-src '{style}'",
        f"script-src '{script}'",
        f"connect-src {connect}",
        "base-uri 'none'",
        "form-action 'none'",
    )
    return "; ".join(rules)


def _json_for_html(data: object) -> str:
    """JSON that cannot end its script element, whatever a file is called."""
    text = json.dumps(data, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _resource(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text("utf-8").strip()


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
