"""Keeps other web sites out of the chat page.

A page on loopback is reachable from every site that the same browser visits: such a site could post to it
(cross-site request forgery) or point its own name at 127.0.0.1 (DNS rebinding). So the page and its API
answer only under a loopback name, and only requests that come from the page itself or from no page at all.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from bridge.simulator.teams.json_http import json_answer

_LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})
_READING = frozenset({"GET", "HEAD"})

# everything comes from this server, nothing is inline; the page can be framed by nobody
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
    """Whether the path belongs to the chat page; the rest is Teams' own, under bearer tokens."""
    return path == "/" or path.startswith(("/api/", "/static/"))


def _trouble(request: web.Request) -> str | None:
    host = request.headers.get("Host", "")
    name = host if host.endswith("]") else host.rpartition(":")[0] or host
    if name.lower() not in _LOOPBACK:
        return "This page answers only on this machine."
    origin = request.headers.get("Origin")
    if origin is not None and origin.lower() != f"http://{host}".lower():
        return "This page answers no other web site."
    # browsers tell where a request comes from; "none" is the address bar
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
    """Refuse other sites' requests with 403, and keep the browser strict about what is answered."""
    if is_page(request.path) and (trouble := _trouble(request)) is not None:
        return json_answer({"error": trouble}, 403)
    return await handler(request)


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """For `on_response_prepare`: event streams and error pages get the headers too."""
    if is_page(request.path):
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
    else:
        response.headers.setdefault("X-Content-Type-Options", "nosniff")
