"""Tells whether a request's body is compressed. Both listeners refuse compressed bodies."""

from __future__ import annotations

from aiohttp import web

# "identity" is the name for no coding; names have no case, and empty list members are ignored.
# https://www.rfc-editor.org/rfc/rfc9110#section-8.4.1, https://www.rfc-editor.org/rfc/rfc9110#section-5.6.1
_NO_CODING = {"", "identity"}


def is_compressed(request: web.BaseRequest) -> bool:
    """Whether any Content-Encoding header of `request` names a coding other than identity, known or not."""
    codings = ",".join(request.headers.getall("Content-Encoding", ())).split(",")
    return any(coding.strip(" \t").lower() not in _NO_CODING for coding in codings)
