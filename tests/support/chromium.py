"""A real Chromium, for tests of the chat page."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import Browser, ViewportSize, async_playwright

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"))),
    None,
)
IN_BROWSER = [
    pytest.mark.browser,
    # under CI a missing Chromium must fail the tests, so the tests are not skipped
    pytest.mark.skipif(CHROMIUM is None and os.environ.get("CI") != "true", reason="no Chromium on this machine"),
]
WIDE = ViewportSize(width=1280, height=800)
PHONE = ViewportSize(width=390, height=780)


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """A running headless Chromium, closed at the end."""
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", "--disable-quic"]
        )
        yield started
        await started.close()
