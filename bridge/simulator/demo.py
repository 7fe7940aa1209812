"""`teams-bridge demo`: the bridge, a simulated tenant and an agent on your machine, with a chat page in the browser.

No Azure, no key, no network. All state lies in a single folder and survives a restart.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from bridge.simulator.bridge_process import BridgeProcess
from bridge.simulator.gateway.agent import phrases
from bridge.simulator.gateway.app import GatewayOptions
from bridge.simulator.gateway.app import build_app as gateway_app
from bridge.simulator.ports import choose_ports
from bridge.simulator.serve_alone import bot_settings, ended_by_signal, serving
from bridge.simulator.teams.app import TeamsOptions
from bridge.simulator.teams.app import build_app as teams_app

# 3978: the port of Bot Framework tools
_PORTS = {"page": 8765, "gateway": 8766, "bridge": 3978, "admin": 3979}
# settings of the person's own bot: the demo's bridge gets none of these variables
_NOT_INHERITED = ("BRIDGE_", "TEAMS_", "GOCLAW_", "MicrosoftApp")


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """How the demo is set up. `data` is the folder of all state, `port` the chat page's.

    With `gateway` a real GoClaw answers, with `llm` a real model behind the stand-in gateway. `stateless` makes the
    stand-in forget conversations.
    """

    data: Path
    port: int | None = None
    gateway: str | None = None
    gateway_token: str = ""
    agent: str = "demo"
    llm: str | None = None
    llm_model: str | None = None
    llm_key: str | None = None
    stateless: bool = False


class DemoFailed(Exception):
    """The bridge did not start; the message names the log."""


async def run_demo(options: DemoOptions, say: Callable[[str], None], ready: Callable[[str], None]) -> None:
    """Run the demo until Ctrl-C or SIGTERM.

    `say` gets progress in words, `ready` the page's address once all parts are up. `OSError` comes from a folder
    without write access. Raises: DemoFailed, OSError.
    """
    options.data.mkdir(parents=True, exist_ok=True)
    wanted = {**_PORTS, **({"page": options.port} if options.port else {})}
    ports = choose_ports(wanted, options.data / "ports.json")
    page = f"http://127.0.0.1:{ports['page']}"
    token = options.gateway_token or _kept_token(options.data)
    async with AsyncExitStack() as stack:
        gateway = options.gateway or f"http://127.0.0.1:{ports['gateway']}"
        if options.gateway is None:
            say("starting the agent")
            await stack.enter_async_context(serving(gateway_app(_gateway(options, token)), ports["gateway"]))
        environment = _environment(options, ports, gateway, token)
        health = f"http://127.0.0.1:{ports['bridge']}/readyz"
        process = BridgeProcess(environment, health, options.data / "bridge.log")
        say("starting the simulated Teams tenant")
        teams = teams_app(_teams(options, ports, page), bridge_control=process)
        await stack.enter_async_context(serving(teams, ports["page"]))
        say("starting the bridge")
        await _with_bridge(process, page, ready, options.data / "bridge.log")


async def _with_bridge(process: BridgeProcess, page: str, ready: Callable[[str], None], log: Path) -> None:
    loop = asyncio.get_running_loop()
    stop = ended_by_signal()
    first_start: asyncio.Future[int] = loop.create_future()
    watch = asyncio.create_task(process.watch(first_start), name="bridge process")
    try:
        if await first_start != 0:
            raise DemoFailed(f"The bridge did not start. {_last_plain_lines(log)}\nIts log is {log}")
        ready(page)
        await stop.wait()
    finally:
        watch.cancel()
        await process.stop()


def _last_plain_lines(log: Path) -> str:
    """The last four plain lines of the bridge's log, written for people; JSON records are left out."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-40:]
    return "\n".join([line for line in lines if line.strip() and not line.startswith("{")][-4:])


def _gateway(options: DemoOptions, token: str) -> GatewayOptions:
    return GatewayOptions(
        token=token,
        agent=options.agent,
        data=options.data / "gateway",
        persistent=not options.stateless,
        llm_url=options.llm,
        llm_model=options.llm_model,
        llm_key=options.llm_key,
    )


def _teams(options: DemoOptions, ports: dict[str, int], page: str) -> TeamsOptions:
    if options.gateway:
        kind, label = "goclaw", f"GoClaw agent “{options.agent}”"
    elif options.llm:
        kind, label = "model", f"model {options.llm_model or ''}".strip()
    else:
        kind, label = "stand-in", "stand-in agent (no model)"
    return TeamsOptions(
        data=options.data / "teams",
        bot_endpoint=f"http://127.0.0.1:{ports['bridge']}/api/messages",
        public_base=page,
        phrases=phrases() if kind == "stand-in" else [],
        agent_label=label,
        agent_kind=kind,
    )


def _environment(options: DemoOptions, ports: dict[str, int], gateway: str, token: str) -> dict[str, str]:
    """The bridge's settings: the names of production, with addresses of the simulator."""
    page = f"http://127.0.0.1:{ports['page']}"
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(_NOT_INHERITED) and k != "PORT"}
    return {
        **inherited,
        **bot_settings(options.data / "teams", page),
        "GOCLAW_URL": gateway,
        "GOCLAW_TOKEN": token,
        "GOCLAW_AGENT": options.agent,
        "BRIDGE_HOST": "127.0.0.1",
        "BRIDGE_PORT": str(ports["bridge"]),
        "BRIDGE_PUBLIC_URL": f"http://127.0.0.1:{ports['bridge']}",
        "BRIDGE_ADMIN_PORT": str(ports["admin"]),
        "BRIDGE_STORE": str(options.data / "bridge.db"),
        "BRIDGE_SHUTDOWN_GRACE": "3",
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
    }


def _kept_token(data: Path) -> str:
    """The stand-in gateway's token: made at the first start, kept in the demo's folder."""
    path = data / "gateway-token"
    if not path.exists():
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(secrets.token_urlsafe(24))
    return path.read_text(encoding="utf-8").strip()
