"""Runs `teams-bridge run`: starts the parts in order, listens, drains at the end."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import structlog
from aiohttp import web

from bridge.app import Bridge, compose, connected
from bridge.core.errors import StoreInUse, StoreUnavailable
from bridge.engine.dispatcher import Dispatcher
from bridge.settings.model import Settings, is_postgres
from bridge.tasks import Tasks
from bridge.web.admin import admin_app
from bridge.web.public import public_app
from bridge.web.sockets import BoundSite, bound

_log = structlog.get_logger()

_STORE_RETRY_SECONDS = 5.0
_FIRST_CHECK_SECONDS = 5.0


async def serve(settings: Settings) -> None:
    """Run the bridge until SIGTERM or SIGINT. Raises: CannotListen, StoreInUse, ValueError."""
    stop, second_signal = _signals()
    async with connected(settings) as edges:
        bridge = compose(settings, edges)
        background = bridge.tasks.beside()
        # Bound before the first turn is claimed: a process that cannot listen must not begin people's turns.
        with bound((settings.admin_host, settings.admin_port), (settings.host, settings.port)) as sockets:
            try:
                await _start(bridge, settings, background)
                async with _listening(bridge, settings, sockets):
                    await _freeze()
                    _log.info("listening", host=settings.host, port=settings.port)
                    await stop.wait()
                    _log.info("stopping", grace=settings.shutdown_grace)
                    # Activities that still arrive are stored and acknowledged until the listener closes.
                    await _drain(bridge.dispatcher, settings.shutdown_grace, second_signal)
            finally:
                await background.cancel()
                await bridge.edges.store.close()
    _log.info("stopped")


async def _start(bridge: Bridge, settings: Settings, background: Tasks) -> None:
    background.keep(bridge.edges.verifier.run, "signing keys")
    background.keep(bridge.edges.token.run, "outbound token")
    # Checked before the first turn runs, because a gateway that mixes users must not be asked
    # (docs/architecture.md, "Guarantees").
    background.keep(bridge.edges.watch.run, "gateway watch")
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_FIRST_CHECK_SECONDS):
            await bridge.edges.watch.checked()
    if bridge.edges.observer is not None:
        background.keep(bridge.edges.observer.run, "gateway events")
    if not await _open(bridge):
        _log.error("store_not_open", store=_store_name(settings))
        background.keep(lambda: _open_later(bridge), "store")


def _store_name(settings: Settings) -> str:
    return "postgresql" if is_postgres(settings.store) else Path(settings.store).name


async def _open(bridge: Bridge) -> bool:
    try:
        await bridge.edges.store.open()
        await bridge.dispatcher.start()
    except StoreInUse:
        raise
    except StoreUnavailable as error:
        _log.error("store_unavailable", detail=error.detail)
        return False
    return True


async def _open_later(bridge: Bridge) -> None:
    while True:
        await asyncio.sleep(_STORE_RETRY_SECONDS)
        with contextlib.suppress(StoreInUse):  # a second process holds the store and may end later
            if await _open(bridge):
                _log.info("store_open")
                return


@asynccontextmanager
async def _listening(bridge: Bridge, settings: Settings, sockets: tuple[socket.socket, ...]) -> AsyncIterator[None]:
    public = web.AppRunner(
        public_app(bridge.inbound.post, ready=bridge.ready, max_body=settings.max_body, files=bridge.files_out)
    )
    admin = web.AppRunner(
        admin_app(details=bridge.details, token=settings.admin_token.get_secret_value(), operator=bridge.operator)
    )
    try:
        for runner, listener in zip((admin, public), sockets, strict=True):
            await runner.setup()
            await BoundSite(runner, listener, settings.max_sockets).start()
        yield
    finally:
        await public.cleanup()
        await admin.cleanup()


async def _drain(dispatcher: Dispatcher, grace: float, second_signal: asyncio.Event) -> None:
    tasks = Tasks()
    drain = tasks.start(dispatcher.drain(grace), "drain")
    second = tasks.start(second_signal.wait(), "second signal")
    await asyncio.wait({drain, second}, return_when=asyncio.FIRST_COMPLETED)
    await tasks.cancel()


async def _freeze() -> None:
    """Exempt the objects made at start from garbage collection and collect rarely: these objects live to the end."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 50)


def _signals() -> tuple[asyncio.Event, asyncio.Event]:
    """Two events: the first SIGTERM or SIGINT sets the first event, the second signal sets the second event."""
    stop, second_signal = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def received() -> None:
        (second_signal if stop.is_set() else stop).set()

    def on_signal(callback: Callable[[], object]) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            try:
                loop.add_signal_handler(number, callback)
            except NotImplementedError:  # Windows has no signal handlers in the loop
                signal.signal(number, lambda *_: loop.call_soon_threadsafe(callback))

    on_signal(received)
    return stop, second_signal
