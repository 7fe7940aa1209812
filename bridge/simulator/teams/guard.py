"""Keeps foreign web sites out of the chat page.

Every site open in the same browser can reach a page on loopback: the site could post to the page (cross-site request
forgery) or point the site's own name at 127.0.0.1 (DNS rebinding). So the page and the page API answer only under a
loopback name, and only requests from the page or from outside any page (curl, the address bar).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from bridge.simulator.teams.json_http import json_answer

_LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})
_READING = frozenset({"GET", "HEAD"})

# all parts come from the simulator's server, no inline script or style; no site may frame the page
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self';"
    " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def is_page(path: str) -> bool:
    """Whether the path belongs to the chat page; all remaining paths are Teams' own, under bearer tokens."""
    return path == "/" or path.startswith(("/api/", "/static/"))


def _refusal(request: web.Request) -> str | None:
    """The sentence of refusal for a foreign site's request; None for a request to be answered."""
    host = request.headers.get("Host", "")
    name = host if host.endswith("]") else host.rpartition(":")[0] or host
    if name.lower() not in _LOOPBACK:
        return "This page answers only on this machine."
    origin = request.headers.get("Origin")
    if origin is not None and origin.lower() != f"http://{host}".lower():
        return "This page answers no other web site."
    # the browser's statement about the origin of the request; "none" is the address bar
    site = request.headers.get("Sec-Fetch-Site", "none")
    if request.path != "/" and site not in ("same-origin", "none"):
        return "This page answers no other web site."
    if request.method not in _READING and request.body_exists and request.content_type != "application/json":
        return "Send JSON."
    return None


@web.middleware
async def guard(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Middleware: refuses foreign sites' requests to the page with 403."""
    if is_page(request.path) and (sentence := _refusal(request)) is not None:
        return json_answer({"error": sentence}, 403)
    return await handler(request)


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Handler for `on_response_prepare`: adds security headers to all answers, event streams and errors included."""
    if is_page(request.path):
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
    else:
        response.headers.setdefault("X-Content-Type-Options", "nosniff")
