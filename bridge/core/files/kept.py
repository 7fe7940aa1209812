"""Files which the bridge keeps for people, and the signed links to these files."""

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
    """How people get the file: offered by a card (then saved or declined, once), or behind a signed link."""

    OFFERED = "offered"
    LINKED = "linked"
    SAVED = "saved"
    DECLINED = "declined"


@dataclass(frozen=True, slots=True)
class KeptFile:
    """A file fetched from the gateway for the people of a conversation.

    `turn` is the number of the answer's turn, `person` the asker's AAD object id. Times are seconds since the epoch.
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
    """A person's answer to an offered file: `file` is the kept file's id, `card` the id of the offering message.

    `upload_url` is the address for the bytes. `content_url`, `unique_id` and `file_type` go into the card shown after
    the upload. All four are "" if the person declined.
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
    """Signs and checks expiring links below `base`, the bridge's public URL; `key` is the secret.

    Everybody who has a link can open it, since members of a group share links.
    """

    base: str
    key: bytes = field(repr=False)

    def url(self, id_: str, expires: float) -> str:
        """Return a link to the kept file `id_`, good until `expires` (seconds since the epoch)."""
        until = str(int(expires))
        query = urlencode({"exp": until, "sig": self._signature(id_, until)})
        return f"{self.base.rstrip('/')}{FILES_PATH}/{id_}?{query}"

    def opens(self, id_: str, expires: str, signature: str, now: float) -> bool:
        """Tell whether the bridge signed the link with these values, and the link has not expired."""
        if _EXPIRY.fullmatch(expires) is None or int(expires) < now:
            return False
        genuine = self._signature(id_, expires).encode()
        return hmac.compare_digest(genuine, signature.encode("utf-8", "replace"))

    def _signature(self, id_: str, expires: str) -> str:
        digest = hmac.digest(self.key, f"{id_}\n{expires}".encode("utf-8", "replace"), hashlib.sha256)
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
