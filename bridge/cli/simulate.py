"""The commands `teams-bridge demo` and `simulate`: the bridge with the simulator, or a part of the simulator alone."""

from __future__ import annotations

import asyncio
import webbrowser
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer

from bridge.cli.terminal import OUT, fail

simulate = typer.Typer(help="Run a part of the simulator alone, to test your own bot or gateway.", no_args_is_help=True)

Data = Annotated[Path, typer.Option(help="Folder for all state; it survives a restart.")]
Llm = Annotated[str | None, typer.Option("--llm", help="An OpenAI-compatible endpoint that thinks for the stand-in.")]
LlmModel = Annotated[str | None, typer.Option("--llm-model", help="The model's name there.")]
LlmKeyFile = Annotated[Path | None, typer.Option(help="A file with the endpoint's API key.")]


def demo(
    data: Data = Path(".demo"),
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Port of the chat page (8765).")] = None,
    no_open: Annotated[bool, typer.Option("--no-open", help="Do not open the browser.")] = False,
    gateway: Annotated[str | None, typer.Option(help="A real GoClaw gateway's address.")] = None,
    token_file: Annotated[Path | None, typer.Option(help="A file with that gateway's token.")] = None,
    agent: Annotated[str, typer.Option(help="The agent's key.")] = "demo",
    llm: Llm = None,
    llm_model: LlmModel = None,
    llm_key_file: LlmKeyFile = None,
    stateless: Annotated[
        bool, typer.Option("--stateless", help="A stand-in gateway that forgets, as older ones do.")
    ] = False,
) -> None:
    """Talk with an agent through Teams' protocol, on this machine: no Azure, no key."""
    from bridge.simulator.demo import DemoFailed, DemoOptions, run_demo  # noqa: PLC0415  a heavy part

    if gateway and not token_file:
        fail("--gateway needs --token-file: a file with the gateway's token.", 2)
    if gateway and llm:
        fail("--gateway and --llm exclude each other: a real gateway has models of its own.", 2)
    if llm_model and not llm:
        fail("--llm-model needs --llm: the address of the endpoint that has the model.", 2)
    for name, address in (("--gateway", gateway), ("--llm", llm)):
        if address and not address.startswith(("http://", "https://")):
            fail(f"{name}: must be an address such as http://127.0.0.1:18790", 2)
    options = DemoOptions(
        data=data.resolve(),
        port=port,
        gateway=gateway.rstrip("/") if gateway else None,
        gateway_token=_secret(token_file) if gateway else "",
        agent=agent,
        llm=llm,
        llm_model=llm_model,
        llm_key=_secret(llm_key_file) or None,
        stateless=stateless,
    )

    def ready(address: str) -> None:
        OUT.print(f"\n  Open  [bold cyan]{address}[/]  and say hello. Ctrl-C ends it.")
        OUT.print(f"  The state stays in {data}\n", markup=False, soft_wrap=True)
        if not no_open:
            webbrowser.open(address)

    try:
        asyncio.run(run_demo(options, lambda step: OUT.print(f"  {step} …"), ready))
    except DemoFailed as error:
        fail(str(error), 1)
    except OSError as error:
        fail(f"cannot start: {error}", 1)


@simulate.command("gateway")
def simulate_gateway(
    token: Annotated[str, typer.Option(help="The token it accepts.")],
    port: Annotated[int, typer.Option(help="Port to listen on (127.0.0.1).")] = 8766,
    agent: Annotated[str, typer.Option(help="The agent's key.")] = "demo",
    data: Data = Path(".simulated-gateway"),
    llm: Llm = None,
    llm_model: LlmModel = None,
    llm_key_file: LlmKeyFile = None,
    rate_limit: Annotated[int, typer.Option(help="Requests a minute, over all users; 0: no limit.")] = 0,
    stateless: Annotated[bool, typer.Option("--stateless", help="Forget after every request.")] = False,
) -> None:
    """A GoClaw gateway on this machine: a real gateway's answers, with a small honest agent behind."""
    from bridge.simulator.gateway.app import GatewayOptions, build_app  # noqa: PLC0415  a heavy part
    from bridge.simulator.serve_alone import serve_alone  # noqa: PLC0415  a heavy part

    options = GatewayOptions(
        token=token,
        agent=agent,
        data=data,
        persistent=not stateless,
        rate_limit_rpm=rate_limit,
        llm_url=llm,
        llm_model=llm_model,
        llm_key=_secret(llm_key_file) or None,
    )
    OUT.print(f"  GOCLAW_URL=http://127.0.0.1:{port}\n  GOCLAW_AGENT={agent}", markup=False)
    _run_alone(lambda: serve_alone(build_app(options), port))


@simulate.command("teams")
def simulate_teams(
    bot: Annotated[str, typer.Option(help="The bot's messaging endpoint.")] = "http://127.0.0.1:3978/api/messages",
    port: Annotated[int, typer.Option(help="Port to listen on (127.0.0.1).")] = 8765,
    data: Data = Path(".simulated-teams"),
    no_limits: Annotated[bool, typer.Option("--no-limits", help="Without Teams' rate limits.")] = False,
) -> None:
    """A Teams tenant with Entra ID, Bot Connector and a chat page on this machine, for your own bot."""
    from bridge.simulator.serve_alone import bot_settings, serve_alone  # noqa: PLC0415  a heavy part
    from bridge.simulator.teams.app import TeamsOptions, build_app  # noqa: PLC0415  a heavy part

    page = f"http://127.0.0.1:{port}"
    options = TeamsOptions(
        data=data,
        bot_endpoint=bot,
        public_base=page,
        phrases=[],
        agent_label="your own bot",
        agent_kind="goclaw",
        send_limits=not no_limits,
    )
    for name, value in bot_settings(data, page).items():
        OUT.print(f"  {name}={value}", markup=False, soft_wrap=True)
    OUT.print(f"  chat page: {page}", markup=False)
    _run_alone(lambda: serve_alone(build_app(options), port))


def _run_alone(serve: Callable[[], Coroutine[Any, Any, None]]) -> None:
    try:
        asyncio.run(serve())
    except (OSError, ValueError) as error:
        fail(f"cannot start: {error}", 1)


def _secret(path: Path | None) -> str:
    if path is None:
        return ""
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        fail(f"{path}: cannot be read.", 2)
