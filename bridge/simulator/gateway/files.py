"""Files of the gateway's workspace and the signed links to them (docs/reference/goclaw.md, "Files")."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import mimetypes
import re
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from aiohttp import hdrs, web

from bridge.simulator.gateway.replies import plain_error, text_error

_TICKET_SECONDS = 24 * 3600  # validity of a signed link (docs/reference/goclaw.md, "Files")
_LINK = re.compile(r"/v1/(?:files|media)/[^\s)\]\"'<>?]+(?!\?ft=)(?=[\s)\]\"'<>]|$)")
# Folders of the gateway's machine, refused by name; all further paths outside the workspace are not found.
_SYSTEM = {"bin", "boot", "dev", "etc", "lib", "proc", "root", "run", "sbin", "sys", "usr", "var"}


@dataclass(frozen=True, slots=True)
class Files:
    """The workspace folder and the secret that signs links; the secret follows from the token, so links stay valid."""

    folder: Path
    secret: bytes

    async def write(self, name: str, text: str) -> str:
        """Keep a text file and return the file's unsigned link."""
        await asyncio.to_thread(self._write, name, text.encode("utf-8", "replace"))
        return f"/v1/files/workspace/{name}"

    def _write(self, name: str, content: bytes) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / name).write_bytes(content)

    def sign(self, text: str) -> str:
        """The text with all links to files and media signed."""
        return _LINK.sub(
            lambda found: f"{found[0]}?ft={self._ticket(found[0], int(time.time()) + _TICKET_SECONDS)}", text
        )

    def _ticket(self, link: str, expiry: int) -> str:
        digest = hmac.digest(self.secret, f"{unquote(link)}\n{expiry}".encode("utf-8", "replace"), hashlib.sha256)
        return f"{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}.{expiry}"

    def is_signed(self, link: str, ticket: str) -> bool:
        """Whether the ticket belongs to the link and has not expired."""
        expiry = ticket.rpartition(".")[2]
        if not re.fullmatch(r"[0-9]{1,12}", expiry) or int(expiry) < time.time():
            return False
        return hmac.compare_digest(self._ticket(link, int(expiry)).encode(), ticket.encode("utf-8", "replace"))

    async def serve(self, request: web.Request, *, bearer_ok: bool) -> web.StreamResponse:
        """Answer ``GET /v1/files/<path>``, given a valid bearer or a valid ticket."""
        ticket = request.query.get("ft")
        if ticket is not None and not self.is_signed(request.path, ticket):
            return text_error(401, "invalid or expired file token")
        if ticket is None and not bearer_ok:
            return plain_error(401, "unauthorized")
        parts = request.path.removeprefix("/v1/files/").split("/")
        if ".." in parts or "\\" in request.path or "\0" in request.path or parts[0] in _SYSTEM:
            return text_error(403, "invalid path")
        found = await asyncio.to_thread(self._find, parts)
        return text_error(404, "404 page not found") if found is None else _file_reply(request, found)

    def _find(self, parts: list[str]) -> Path | None:
        if parts[0] != "workspace" or len(parts) != 2:
            return None
        path = (self.folder / parts[1]).resolve()
        return path if path.is_file() and path.parent == self.folder.resolve() else None


def _file_reply(request: web.Request, path: Path) -> web.FileResponse:
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    headers = {hdrs.CONTENT_TYPE: f"{kind}; charset=utf-8" if kind.startswith("text/") else kind}
    if request.query.get("download") == "true":
        headers[hdrs.CONTENT_DISPOSITION] = f'attachment; filename="{path.name}"'
    return web.FileResponse(path, headers=headers)
