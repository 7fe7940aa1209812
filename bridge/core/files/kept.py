"""A file on its way to people, and the links that open one for a while. Pure."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final
from urllib.parse import urlencode

FILES_PATH: Final = "/files"
_EXPIRY = re.compile(r"[0-9]{1,12}", re.ASCII)


class FileState(StrEnum):
    """Offered by a card, or behind a link; an offered one is saved or declined once."""

    OFFERED = "offered"
    LINKED = "linked"
    SAVED = "saved"
    DECLINED = "declined"


@dataclass(frozen=True, slots=True)
class KeptFile:
    """A file that was fetched from the gateway for the people of one conversation.

    `conversation` and `person` (AAD object id) say for whom; times in seconds since the epoch.
    """

    id: str
    turn: int
    name: str
    type: str
    content: bytes = field(repr=False)
    state: FileState
    conversation: str
    person: str
    created: float
    expires: float


@dataclass(frozen=True, slots=True)
class Consent:
    """A person's word about a file that was offered: `file` is its id, `card` the message that offered it.

    The rest is where Teams wants it and what it then calls it; empty where the person declined.
    """

    file: str
    accepted: bool
    card: str = ""
    upload_url: str = ""
    content_url: str = ""
    unique_id: str = ""
    file_type: str = ""


@dataclass(frozen=True, slots=True)
class FileLinks:
    """Signed, expiring links below the bridge's public address. Whoever has one may open it: groups share theirs."""

    base: str
    key: bytes = field(repr=False)

    def url(self, id_: str, expires: float) -> str:
        """The link that opens the file until it expires."""
        until = str(int(expires))
        query = urlencode({"exp": until, "sig": self._signature(id_, until)})
        return f"{self.base.rstrip('/')}{FILES_PATH}/{id_}?{query}"

    def opens(self, id_: str, expires: str, signature: str, now: float) -> bool:
        """Whether this is a link of ours, and still good."""
        if _EXPIRY.fullmatch(expires) is None or int(expires) < now:
            return False
        genuine = self._signature(id_, expires).encode()
        return hmac.compare_digest(genuine, signature.encode("utf-8", "replace"))

    def _signature(self, id_: str, expires: str) -> str:
        digest = hmac.digest(self.key, f"{id_}\n{expires}".encode("utf-8", "replace"), hashlib.sha256)
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
