"""A OneDrive with pre-authenticated links to people's files, and Teams' own store of inline pictures.

Sources: docs/reference/teams.md, "Files and pictures that people send"; docs/reference/teams.md, "File exchange";
https://learn.microsoft.com/graph/api/driveitem-createuploadsession, "Upload bytes to the upload session". An upload
comes in a single piece, as in Microsoft's sample.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import quote

from aiohttp import web

from bridge.simulator.teams.connector_access import ConnectorAccess
from bridge.simulator.teams.file_storage import FileStorage, Link, Links
from bridge.simulator.teams.json_http import body_up_to, error_answer, json_answer
from bridge.simulator.teams.rules import Refused
from bridge.simulator.teams.traffic import Traffic

MOST_BYTES = 10 * 1024 * 1024  # of a file
# a download link works for about an hour; the exact time is not documented
LINK_SECONDS = 3600.0
_RANGE = re.compile(r"bytes 0-(\d{1,12})/(\d{1,12})")
# media types by the first bytes of a file: the stated type is not trusted
_PICTURES = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg", b"GIF8": "image/gif"}


def picture_type(content: bytes) -> str | None:
    """The media type of a picture shown by Teams, None for all different contents."""
    return next((kind for start, kind in _PICTURES.items() if content.startswith(start)), None)


class OneDrive:
    """Handlers and addresses of files. `base` is the server's address, `service_url` the connector's.

    `seconds` is the time a link works, by the monotonic seconds of `clock`.
    """

    def __init__(
        self,
        storage: FileStorage,
        base: str,
        service_url: str,
        traffic: Traffic,
        *,
        seconds: float,
        clock: Callable[[], float],
    ) -> None:
        self._storage = storage
        self._base = base
        self._service_url = service_url
        self._traffic = traffic
        self._downloads = Links(seconds, clock)
        self._uploads = Links(seconds, clock)

    def routes(self, access: ConnectorAccess) -> list[web.RouteDef]:
        return [
            web.get("/onedrive/download.aspx", self._download),
            web.put("/onedrive/upload/{token}", self._upload),
            web.get("/emea/{tenant}/v3/attachments/{picture}/views/original", access.guarded(self._picture)),
            web.get("/api/files/{file}/{name}", self._file_for_page),
        ]

    async def keep(self, file_id: str, content: bytes) -> None:
        """Store a file. Raises: OSError."""
        await self._storage.put(file_id, content)

    def page_url(self, file_id: str, name: str) -> str:
        """The file's address for the chat page."""
        return f"/api/files/{file_id}/{quote(name, safe='')}"

    def content_url(self, file_id: str, name: str) -> str:
        """The file's lasting address; in Teams people sign in there."""
        return f"{self._base}/onedrive/Documents/{file_id}/{quote(name, safe='')}"

    def picture_url(self, file_id: str) -> str:
        """An inline picture's address at the connector, for the bot's bearer."""
        return f"{self._service_url}v3/attachments/{file_id}/views/original"

    def download_url(self, file_id: str, name: str, chat: str) -> str:
        """A new pre-authenticated link to read a file."""
        token = self._downloads.add(file_id, name, chat)
        return f"{self._base}/onedrive/download.aspx?UniqueId={file_id}&tempauth={token}"

    def upload_url(self, file_id: str, name: str, chat: str) -> str:
        """A new pre-authenticated link to write a file, valid for a single upload."""
        return f"{self._base}/onedrive/upload/{self._uploads.add(file_id, name, chat)}"

    async def _download(self, request: web.Request) -> web.StreamResponse:
        link = self._downloads.find(request.query.get("tempauth", ""))
        content = await self._storage.get(link.file_id) if link else None
        if "Authorization" in request.headers:
            answer: web.Response = _bearer_refused()
        elif link is None:
            answer = error_answer(401, "unauthenticated", "The download link is wrong or has expired.")
        elif content is None:
            answer = error_answer(404, "itemNotFound", "The file is gone.")
        else:
            answer = web.Response(body=content, content_type="application/octet-stream")
        self._record_traffic(request, answer, "fetches a file", link)
        return answer

    async def _upload(self, request: web.Request) -> web.StreamResponse:
        token = request.match_info["token"]
        link = self._uploads.find(token)
        if "Authorization" in request.headers:
            answer = _bearer_refused()
        elif link is None:
            answer = error_answer(404, "itemNotFound", "The upload session was not found.")
        else:
            answer = await self._receive(request, link, token)
        self._record_traffic(request, answer, "uploads a file", link)
        return answer

    async def _receive(self, request: web.Request, link: Link, token: str) -> web.Response:
        span = _RANGE.fullmatch(request.headers.get("Content-Range", ""))
        if span is None or int(span[1]) + 1 != int(span[2]):
            return error_answer(400, "invalidRequest", "The Content-Range must be: bytes 0-(n-1)/n.")
        try:
            content = await body_up_to(request, MOST_BYTES)
        except web.HTTPRequestEntityTooLarge:
            return error_answer(413, "invalidRequest", "The file is too large.")
        if len(content) != int(span[2]):
            return error_answer(400, "invalidRequest", "The Content-Range does not fit the Content-Length.")
        self._uploads.drop(token)
        await self._storage.put(link.file_id, content)
        return json_answer({"id": link.file_id, "name": link.name, "size": len(content)}, 201)

    async def _picture(self, request: web.Request) -> web.Response:
        """An inline picture, behind the connector's check of the bearer."""
        content = await self._storage.get(request.match_info["picture"])
        kind = picture_type(content) if content is not None else None
        if content is None or kind is None:
            raise Refused(404, "ResourceNotFound", "The attachment was not found.")
        return web.Response(body=content, content_type=kind)

    async def _file_for_page(self, request: web.Request) -> web.Response:
        """A file for the page: a picture to look at, all different files as a download only."""
        content = await self._storage.get(request.match_info["file"])
        if content is None:
            return json_answer({"error": "This file is gone."}, 404)
        kind = picture_type(content)
        headers = {} if kind else {"Content-Disposition": "attachment"}
        return web.Response(body=content, content_type=kind or "application/octet-stream", headers=headers)

    def _record_traffic(self, request: web.Request, answer: web.Response, summary: str, link: Link | None) -> None:
        verdict = "Accepted." if answer.status < 400 else f"Refused: {answer.reason}."
        if "Authorization" in request.headers:
            verdict = "Refused: a pre-authenticated link takes no bearer."
        # the link's secret stays out of the record
        path = request.path if request.path.endswith(".aspx") else "/onedrive/upload/…"
        self._traffic.add(
            "teams",
            (request.method, path),
            (answer.status, None),
            what=summary,
            verdict=verdict,
            chat=link.chat if link else None,
        )


def _bearer_refused() -> web.Response:
    return error_answer(401, "unauthenticated", "A pre-authenticated link takes no Authorization header.")
