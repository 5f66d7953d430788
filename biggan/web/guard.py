"""Who may ask, and how much: the door of the application.

The studio listens on the loopback interface alone. Two things can still reach it from outside, both
through a browser on this machine: a page of another origin that sends requests here, and a name that
such a page makes resolve to 127.0.0.1 (DNS rebinding). The first is known by its Origin or
Sec-Fetch-Site header, the second by its Host header.
"""

import json

from fastapi import HTTPException
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})
MOST_BYTES = 64 * 1024              # of a request's body

HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data: blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


class Guard:
    """ASGI middleware: refuses strangers and large bodies, and puts HEADERS on every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, or refuse it."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":         # there are no web sockets here
            await send({"type": "websocket.close", "code": 1008})
            return
        taken = 0

        async def counted() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > MOST_BYTES:
                raise HTTPException(413, f"the request's body is larger than {MOST_BYTES:,} bytes")
            return message

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        refusal = refused(Headers(scope=scope))
        if refusal:
            await error_response(403, refusal)(scope, receive, guarded)
            return
        await self.app(scope, counted, guarded)


def refused(headers: Headers) -> str | None:
    """Why a request is refused by its headers, or None."""
    host = headers.get("host", "")
    name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
    if name.lower() not in LOOPBACK:
        return "the studio answers to localhost and 127.0.0.1 alone; to reach it from elsewhere use ssh -L"
    origin = headers.get("origin")
    if origin is not None and origin.lower() != f"http://{host.lower()}":
        return "another origin may not use the studio"
    site = headers.get("sec-fetch-site", "none")
    if site not in ("none", "same-origin") and headers.get("sec-fetch-mode") != "navigate":
        return "another site may not use the studio"
    return None


def error_response(status: int, line: str, headers: dict[str, str] | None = None) -> Response:
    """Every error: {"error": one line}, in ASCII, so that no input can break it."""
    text = json.dumps({"error": " ".join(line.split())[:400]})
    return Response(text, status, headers, media_type="application/json")
