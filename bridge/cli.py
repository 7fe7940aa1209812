"""`teams-bridge`: commands and exit codes. 0 done, 1 failed, 2 wrong settings or usage."""

from __future__ import annotations

import asyncio
import os
import sys
import webbrowser
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from bridge import __version__, cli_texts, cli_turns
from bridge.core.errors import SettingsInvalid, StoreInUse
from bridge.loading import load
from bridge.settings import Settings, describe, effective
from bridge.terminal import ERR, OUT, fail

_MARKS = {
    "ok": "[green]ok[/]         ",
    "failed": "[bold red]failed[/]     ",
    "not_checked": "[yellow]not checked[/]",
}

app = typer.Typer(
    name="teams-bridge",
    help="The bot through which people in Microsoft Teams talk with their GoClaw agent.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
simulate = typer.Typer(help="Run a part of the simulator alone, to test your own bot or gateway.", no_args_is_help=True)
app.add_typer(simulate, name="simulate")
app.add_typer(cli_turns.turns, name="turns")


def main() -> None:
    """The console script."""
    app()


@app.callback()
def prepare(ctx: typer.Context) -> None:
    """For the commands in other modules: the environment is read here alone."""
    ctx.obj = _settings


@app.command()
def run() -> None:
    """Run the bridge in production until SIGTERM."""
    from bridge import output  # noqa: PLC0415  `--help` must not pay for botbuilder

    output.detach()
    from bridge import logs, server  # noqa: PLC0415  imported libraries may print warnings

    settings = _settings()
    logs.configure(settings.log, settings.log_level)
    try:
        _run_fast(server.serve(settings))
    except StoreInUse as error:
        fail(f"BRIDGE_STORE: {error.detail}. Stop the other process, or give this one a file of its own.", 1)
    except ValueError as error:
        fail(str(error), 2)
    except OSError as error:
        fail(f"cannot listen: {error.strerror or error}. Is another process using the port?", 1)


@app.command()
def config() -> None:
    """Show the settings in effect; secrets are masked."""
    table = Table(show_header=True, box=None, pad_edge=False)
    table.add_column("setting")
    table.add_column("value", overflow="fold")
    for name, value in effective(_settings()):
        table.add_row(name, value)
    OUT.print(table)


@app.command()
def doctor(
    no_model_call: Annotated[
        bool, typer.Option("--no-model-call", help="Leave out the check that asks the agent once.")
    ] = False,
) -> None:
    """Check the whole chain; each line says what was seen and what to do. Exit code 1 if a check failed."""
    from bridge import logs  # noqa: PLC0415  `--help` must not pay for botbuilder
    from bridge.admin.doctor import examine  # noqa: PLC0415
    from bridge.app import connected  # noqa: PLC0415

    settings = _settings()
    logs.configure("console", "error")

    async def checks() -> bool:
        failed = False
        async with connected(settings) as edges:
            async for check in examine(settings, edges, spend_model_call=not no_model_call):
                failed = failed or check.verdict == "failed"
                OUT.print(f"{_MARKS[check.verdict]}  {check.name}: ", end="")
                OUT.print(check.detail, markup=False)
                if check.fix:
                    OUT.print(f"             -> {check.fix}", markup=False)
        return failed

    try:
        if asyncio.run(checks()):
            raise typer.Exit(1)
    except ValueError as error:
        fail(str(error), 2)


@app.command()
def manifest(
    out: Annotated[Path, typer.Option(help="Where the package goes.")] = Path("appPackage.zip"),
) -> None:
    """Make the app package that IT admins upload to Teams. The version goes up when its content changes."""
    from bridge.admin.app_package import build_package  # noqa: PLC0415
    from bridge.admin.registration import app_details  # noqa: PLC0415
    from bridge.core import texts  # noqa: PLC0415

    try:
        settings = _settings()
        texts.use(settings.texts.sentences)
        previous = out.read_bytes() if out.exists() else None
        package = build_package(app_details(settings), previous=previous)
        out.write_bytes(package.content)
    except ValueError as error:
        fail(str(error), 2)
    except OSError as error:
        fail(f"{out}: {error.strerror}", 1)
    placeholders = {s.name: s.default for s in describe() if s.name in ("BRIDGE_APP_WEBSITE", "BRIDGE_APP_DEVELOPER")}
    for name, value in effective(settings):
        if value == placeholders.get(name):
            ERR.print(f"{name} is not set: the package says “{value}”, which people see in Teams.", markup=False)
    state = "written" if package.changed else "unchanged"
    OUT.print(f"{out}: version {package.version}, {state}", markup=False)


@app.command()
def version() -> None:
    """Show the version."""
    OUT.print(__version__)


@app.command()
def healthcheck() -> None:
    """Ask a running bridge on this machine whether it is ready (for a container's HEALTHCHECK)."""
    import httpx  # noqa: PLC0415  only here

    settings = _settings()
    host = "127.0.0.1" if settings.host in ("0.0.0.0", "::") else settings.host  # noqa: S104  compared, not bound
    address = httpx.URL(scheme="http", host=host, port=settings.port, path="/readyz")  # an IPv6 host gets its brackets
    try:
        status = httpx.get(address, timeout=3.0, trust_env=False).status_code
    except httpx.HTTPError as error:
        fail(f"not reachable: {type(error).__name__}", 1)
    if status != 200:
        fail(f"not ready: {status}", 1)
    OUT.print("ready")


app.command()(cli_texts.texts)
app.command()(cli_turns.feedback)
app.command()(cli_turns.pause)
app.command()(cli_turns.resume)

Data = Annotated[Path, typer.Option(help="Folder for all state; it survives a restart.")]
Llm = Annotated[str | None, typer.Option("--llm", help="An OpenAI-compatible endpoint that thinks for the stand-in.")]
LlmModel = Annotated[str | None, typer.Option("--llm-model", help="The model's name there.")]
LlmKeyFile = Annotated[Path | None, typer.Option(help="A file with the endpoint's API key.")]


@app.command()
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
    """A GoClaw gateway on this machine: the real one's answers, with a small honest agent behind it."""
    from bridge.simulator.alone import serve_alone  # noqa: PLC0415  a heavy part
    from bridge.simulator.gateway.app import GatewayOptions, build_app  # noqa: PLC0415

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
    from bridge.simulator.alone import bot_settings, serve_alone  # noqa: PLC0415  a heavy part
    from bridge.simulator.teams.app import TeamsOptions, build_app  # noqa: PLC0415

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


def _settings() -> Settings:
    try:
        return load(os.environ)
    except SettingsInvalid as error:
        ERR.print("[bold red]These settings need your attention:[/]")
        for problem in error.problems:
            ERR.print(f"  {problem}", markup=False)
        raise typer.Exit(2) from None


def _secret(path: Path | None) -> str:
    if path is None:
        return ""
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        fail(f"{path}: cannot be read.", 2)


def _run_fast(work: Coroutine[Any, Any, None]) -> None:
    """asyncio.run on uvloop where it exists (not on Windows)."""
    factory = None
    if sys.platform != "win32":
        import uvloop  # noqa: PLC0415  not on every platform

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(work)
