"""Serves a part of the simulator on loopback until Ctrl-C, and gives the settings of a bot for the simulator."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from bridge.simulator.teams.identity import credentials


async def serve_alone(app: web.Application, port: int) -> None:
    """Serve `app` on 127.0.0.1 until SIGINT or SIGTERM. `OSError`: the port is taken. Raises: OSError."""
    stop = ended_by_signal()
    async with serving(app, port):
        await stop.wait()


@asynccontextmanager
async def serving(app: web.Application, port: int) -> AsyncIterator[None]:
    """Serve `app` on 127.0.0.1 while the context is open. Raises: OSError."""
    # seconds; with aiohttp's default of 60, open event streams would delay the end for a minute
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=2.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield
    finally:
        await runner.cleanup()


def ended_by_signal() -> asyncio.Event:
    """An event, set by Ctrl-C (SIGINT) or SIGTERM."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(number, stop.set)
        except NotImplementedError:  # Windows: the event loop has no signal handlers
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop.set))
    return stop


def bot_settings(data: Path, page: str) -> dict[str, str]:
    """The settings of a bot for the simulated tenant in folder `data`, served at the URL `page`. Raises: OSError."""
    data.mkdir(parents=True, exist_ok=True)
    app = credentials(data)
    return {
        "TEAMS_APP_ID": app.app_id,
        "TEAMS_APP_PASSWORD": app.app_password,
        "TEAMS_TENANT_ID": app.tenant_id,
        "TEAMS_CLOUD": "custom",
        "TEAMS_OPENID_URL": f"{page}/v1/.well-known/openidconfiguration",
        "TEAMS_LOGIN_URL": page,
        "TEAMS_SERVICE_HOSTS": page.removeprefix("http://"),
        "TEAMS_FILE_HOSTS": page.removeprefix("http://"),
    }
