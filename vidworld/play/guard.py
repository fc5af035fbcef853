"""Who may ask the server for what: pages of this very machine that it served itself, by the few paths there are."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from vidworld.core.errors import UserError

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LOOPBACK = ("127.0.0.1", "::1")
MOST_TARGET_BYTES = 512
"""Of a path and its query."""
HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src 'self' data:; media-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


def check_loopback(host: str) -> None:
    """Raise UserError where others than this machine could connect."""
    if host not in LOOPBACK:
        raise UserError(f"--host {host}: only this machine may connect; 127.0.0.1 or ::1 would do (ssh -L forwards it)")


class Guard:
    """An ASGI app around another that refuses what no page of ours asks, with a status that says why.

    421: another Host (a name that was made to point here). 403: a page of another origin. 405: another method.
    413: a body, which no request has. 414: too long a path.
    """

    def __init__(self, app: App, port: int) -> None:
        names = (*(f"[{name}]" if ":" in name else name for name in LOOPBACK), "localhost")
        self.app, self.hosts = app, {f"{name}:{port}".encode() for name in names}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        refused = self._refused(scope)
        if refused is not None:
            await _refuse(scope, send, *refused)
            return

        async def with_headers(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                own = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message = {**message, "headers": [*message.get("headers", ()), *own]}
            await send(message)

        await self.app(scope, receive, with_headers)

    def _refused(self, scope: Scope) -> tuple[int, str] | None:
        headers = [(name.lower(), value) for name, value in scope["headers"]]
        hosts = [value.lower() for name, value in headers if name == b"host"]
        if len(hosts) != 1 or hosts[0] not in self.hosts:
            return 421, "this server answers to 127.0.0.1, [::1] and localhost at its port"
        origins = [value.lower() for name, value in headers if name == b"origin"]
        needed = scope["type"] == "websocket"
        if origins != [b"http://" + hosts[0]] and (origins or needed):
            return 403, "only a page that this server gave may ask"
        if scope["type"] == "http" and scope["method"] not in ("GET", "HEAD"):
            return 405, "GET alone"
        given = dict(headers)
        if given.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in given:
            return 413, "no request has a body"
        if len(scope.get("raw_path") or scope["path"].encode()) + len(scope["query_string"]) > MOST_TARGET_BYTES:
            return 414, f"more than {MOST_TARGET_BYTES} bytes of path"
        return None


async def _refuse(scope: Scope, send: Send, status: int, why: str) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": why})
        return
    body, headers = f"{why}\n".encode(), [(b"content-type", b"text/plain; charset=utf-8")]
    if status == 405:
        headers.append((b"allow", b"GET, HEAD"))
    await send({"type": "http.response.start", "status": status, "headers": [*headers, (b"connection", b"close")]})
    await send({"type": "http.response.body", "body": body if scope.get("method") != "HEAD" else b""})
