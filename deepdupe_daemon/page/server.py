"""The page served to one browser: who may ask, what is answered. Actions are handed on, none is carried out here."""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deepdupe_daemon.errors import DeepDupeError, FileFailed
from deepdupe_daemon.page.document import document, policy
from deepdupe_daemon.page.group import Group
from deepdupe_daemon.page.rack import Rack

__all__ = ["ACTIONS", "Gate", "page_app"]

#: what a person can do about a copy
ACTIONS = ("accept", "not-duplicate", "restore", "keep")

#: names of this machine alone; the port may be another one where the page comes through a tunnel
_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
_MOST_BODY_BYTES = 4096
#: two pictures, one over the other
_ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><rect x="1" y="1" width="10" height="10" fill="#8ab"/>'
    '<rect x="5" y="5" width="10" height="10" fill="#157" stroke="#fff"/></svg>'
)
_POLICY = policy(pictures="", connect="'self'") + "; frame-ancestors 'none'"
_HEADERS = (
    ("content-security-policy", _POLICY),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cache-control", "no-store"),
)


def _secret() -> str:
    return secrets.token_urlsafe(24)


@dataclass(frozen=True, slots=True)
class Gate:
    """Who is let in. `token` stands in the address; `guard` is sent along by the page's own script only."""

    token: str = field(default_factory=_secret)
    guard: str = field(default_factory=_secret)


def page_app(
    gate: Gate,
    *,
    groups: Callable[[], list[Group]],
    rack: Rack,
    act: Callable[[str, str], str],
    can: Sequence[str],
    made: str,
) -> ASGIApp:
    """The application. Its endpoints run in threads.

    `groups` gives what is known now; `act(action, verdict)` carries one of `can` out and says what it did, or raises
    DeepDupeError.
    """

    def page(_request: Request) -> Response:
        facts = {"made": made, "can": list(can), "guard": gate.guard}
        return HTMLResponse(document(None, facts=facts, pictures={"thumb": "thumb", "heat": "heat"}))

    def listed(request: Request) -> Response:
        if not _is_guarded(request, gate):
            return _refused("this is for the page itself")
        found = groups()
        rack.show(found)
        return JSONResponse({"groups": [group.to_json() for group in found]})

    def picture(request: Request) -> Response:
        try:
            data = rack.picture(f"{request.path_params['kind']}/{request.path_params['name']}")
        except FileFailed:
            data = None
        return Response(status_code=404) if data is None else Response(data, media_type="image/jpeg")

    async def acted(request: Request) -> Response:
        from starlette.concurrency import run_in_threadpool

        if not _is_guarded(request, gate) or not _is_own_json(request):
            return _refused("this is for the page itself")
        asked = await _asked(request)
        if asked is None or asked[0] not in can:
            return JSONResponse({"said": "no such action"}, status_code=400)
        try:
            return JSONResponse({"said": await run_in_threadpool(act, *asked)})
        except DeepDupeError as refused:
            said = f"{refused.what} ({refused.hint})" if refused.hint else refused.what
            return JSONResponse({"said": said}, status_code=409)

    routes = [
        Route("/", page),
        Route("/groups.json", listed),
        Route("/icon.svg", _icon),
        Route("/{kind:str}/{name:str}", picture),
        Route("/act", acted, methods=["POST"]),
    ]
    return _Door(Starlette(routes=routes), gate)


def _icon(_request: Request) -> Response:
    return Response(_ICON, media_type="image/svg+xml")


class _Door:
    """In front of everything: host and token, and the headers that every answer has. Says the same to whoever is not
    let in, whatever was wrong."""

    def __init__(self, app: ASGIApp, gate: Gate) -> None:
        self._app = app
        self._prefix = f"/{gate.token}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = [(name.encode(), value.encode()) for name, value in _HEADERS]
                message["headers"] = [*message["headers"], *given]
            await send(message)

        path = scope["path"]
        known = hmac.compare_digest(path[: len(self._prefix)].encode(), self._prefix.encode())
        if not known or path[len(self._prefix) :][:1] != "/" or not _is_here(scope):
            await Response(status_code=404)(scope, receive, with_headers)
            return
        inner = path[len(self._prefix) :]
        await self._app({**scope, "path": inner, "raw_path": inner.encode()}, receive, with_headers)


def _is_here(scope: Scope) -> bool:
    """Whether the request names this machine: a name that somebody else's DNS points here would be another one."""
    hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
    return len(hosts) == 1 and _host_of(f"//{hosts[0]}") in _HOSTS


def _host_of(address: str) -> str | None:
    try:
        return urlsplit(address).hostname
    except ValueError:
        return None


def _is_guarded(request: Request, gate: Gate) -> bool:
    """Whether the page's own script asks: another site's cannot send this header without leave, nor know its value."""
    return hmac.compare_digest(request.headers.get("x-deepdupe", "").encode(), gate.guard.encode())


def _is_own_json(request: Request) -> bool:
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        return False
    if request.headers.get("sec-fetch-site", "same-origin") != "same-origin":
        return False
    origin = request.headers.get("origin")
    return origin is None or origin.partition("://")[2] == request.headers["host"]


async def _asked(request: Request) -> tuple[str, str] | None:
    """(action, verdict), or None for what is neither."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _MOST_BODY_BYTES:
            return None
    try:
        asked: Any = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(asked, dict):
        return None
    action, verdict = asked.get("do"), asked.get("verdict")
    return (action, verdict) if isinstance(action, str) and isinstance(verdict, str) else None


def _refused(said: str) -> Response:
    return JSONResponse({"said": said}, status_code=403)
