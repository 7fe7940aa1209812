"""A real model behind the stand-in: any OpenAI-compatible endpoint.

Tries, pauses and the wording of a failure follow the gateway (docs/reference/goclaw.md, "Errors"); retried statuses
differ a little (docs/reference/goclaw.md, "Where the stand-in differs"). Tools are not offered to the model, and its
reasoning does not become ``thinking`` events.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt

from bridge.simulator.gateway.sessions import Message

TRIES = 3
_DELAYS = ((0.2, 0.3), (0.5, 0.7))  # seconds between the tries, observed (docs/reference/goclaw.md, "Errors")
_LONGEST_RETRY_AFTER = 60.0  # seconds; the stand-in's own limit, the gateway has none
_SILENCE = 180.0  # seconds until a silent model counts as failed (docs/reference/goclaw.md, "Time limits")
_CONNECT = 10.0
_SYSTEM = (
    "You are a helpful agent that people talk with in a chat. Answer in Markdown. Messages of a group begin with"
    " [From: Name]. If nothing needs to be said, answer with exactly NO_REPLY."
)


class ProviderFailure(Exception):
    """The provider did not answer. The text follows ``llm call: `` in the gateway's error."""

    def __init__(self, words: str, *, retried: bool, retry_after: float = 0.0) -> None:
        super().__init__(words)
        self.retried = retried
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Completion:
    """An answered model call: raw text, and the provider's token counts (0 if the provider gave none)."""

    text: str
    prompt_tokens: int = 0
    completion_tokens: int = 0


def is_retried(status: int) -> bool:
    """Whether the stand-in asks the provider again after this HTTP status: 429, and all of 500 and above."""
    return status == 429 or status >= 500


def retry_delay(failed_tries: int, retry_after: float = 0.0) -> float:
    """Seconds to wait after ``failed_tries``; the provider's ``Retry-After`` (seconds) is obeyed up to 60 s."""
    low, high = _DELAYS[min(failed_tries, len(_DELAYS)) - 1]
    return min(retry_after, _LONGEST_RETRY_AFTER) or random.uniform(low, high)  # noqa: S311  jitter, no secret


def base_url(url: str) -> str:
    """The address without ``/chat/completions``; ``/v1`` is added unless the path names a version."""
    trimmed = url.rstrip("/").removesuffix("/chat/completions")
    return trimmed if re.search(r"/v\d", urlsplit(trimmed).path) else f"{trimmed}/v1"


@dataclass(slots=True)
class Model:
    """An OpenAI-compatible endpoint. ``name`` None takes the first model of the endpoint's list."""

    http: aiohttp.ClientSession
    url: str
    name: str | None = None
    key: str | None = None
    silence: float = _SILENCE
    _base: str = field(init=False)

    def __post_init__(self) -> None:
        self._base = base_url(self.url)

    async def complete(
        self, history: Iterable[Message], text: str, *, on_piece: Callable[[str], None] | None
    ) -> Completion:
        """The model's answer to ``text``; with ``on_piece`` the answer is streamed, and each piece handed over.

        Raises: ProviderFailure (no answer after all tries).
        """
        kept = [m for m in history if m["role"] in {"user", "assistant"} and m["content"]]
        messages = [{"role": "system", "content": _SYSTEM}]
        messages += [{"role": m["role"], "content": m["content"]} for m in kept]
        messages.append({"role": "user", "content": text})
        retrying = AsyncRetrying(
            stop=stop_after_attempt(TRIES),
            wait=_wait,
            retry=retry_if_exception(lambda error: isinstance(error, ProviderFailure) and error.retried),
            sleep=asyncio.sleep,
            reraise=True,
        )
        return await retrying(self._try, messages, on_piece)

    async def _try(self, messages: list[dict[str, str]], on_piece: Callable[[str], None] | None) -> Completion:
        url = f"{self._base}/chat/completions"
        spoken: list[str] = []
        try:
            body: dict[str, Any] = {"model": await self._model_name(), "messages": messages}
            if on_piece is not None:
                body |= {"stream": True, "stream_options": {"include_usage": True}}
            async with self.http.post(url, json=body, headers=self._headers(), timeout=self._timeout()) as response:
                if response.status != 200:
                    raise _refused(response, await response.text(errors="replace"))
                if on_piece is None:
                    return _completion(json.loads(await response.read()))
                return await _stream(response, spoken, on_piece)
        except TimeoutError as error:
            words = f'openai: request failed: Post "{url}": net/http: timeout awaiting response headers'
            raise ProviderFailure(words, retried=not spoken) from error
        except aiohttp.ClientError as error:
            raise ProviderFailure(f'openai: request failed: Post "{url}": {error}', retried=not spoken) from error
        except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
            raise ProviderFailure("openai: decode response: not a chat completion", retried=False) from error

    async def _model_name(self) -> str:
        """The model's name for requests: the configured name, else the first of the endpoint's list, asked once."""
        if self.name is None:
            async with self.http.get(
                f"{self._base}/models", headers=self._headers(), timeout=self._timeout()
            ) as response:
                if response.status != 200:
                    raise _refused(response, await response.text(errors="replace"))
                self.name = str(json.loads(await response.read())["data"][0]["id"])
        return self.name

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"} if self.key else {}

    def _timeout(self) -> aiohttp.ClientTimeout:
        """A limit for each silence, but none for the whole answer, since a local model may think for long."""
        return aiohttp.ClientTimeout(total=None, connect=_CONNECT, sock_read=self.silence)


def _wait(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    return retry_delay(state.attempt_number, error.retry_after if isinstance(error, ProviderFailure) else 0.0)


def _refused(response: aiohttp.ClientResponse, words: str) -> ProviderFailure:
    after = response.headers.get("Retry-After", "")
    return ProviderFailure(
        f"HTTP {response.status}: openai: {words}",
        retried=is_retried(response.status),
        retry_after=float(after) if re.fullmatch(r"\d{1,5}(\.\d+)?", after) else 0.0,
    )


def _completion(answer: Any) -> Completion:
    text = answer["choices"][0]["message"].get("content") or ""
    return Completion(str(text), *_tokens(answer))


def _tokens(answer: Any) -> tuple[int, int]:
    usage = answer.get("usage") or {}
    return int(usage.get("prompt_tokens") or 0), int(usage.get("completion_tokens") or 0)


async def _stream(response: aiohttp.ClientResponse, spoken: list[str], on_piece: Callable[[str], None]) -> Completion:
    """Reads server-sent events until ``[DONE]``. ``spoken`` gets each piece at once, for a broken stream too."""
    tokens = (0, 0)
    async for line in response.content:
        data = line.strip().removeprefix(b"data:").strip()
        if data == b"[DONE]":
            break
        if not line.startswith(b"data:") or not data:
            continue
        chunk = json.loads(data)
        if chunk.get("usage"):
            tokens = _tokens(chunk)
        piece = str(chunk["choices"][0].get("delta", {}).get("content") or "") if chunk.get("choices") else ""
        if piece:
            spoken.append(piece)
            on_piece(piece)
    return Completion("".join(spoken), *tokens)
