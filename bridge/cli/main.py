"""The command `teams-bridge` and most of the subcommands. Exit codes: 0 done, 1 failed, 2 wrong settings or usage."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from bridge import __version__
from bridge.cli import texts as cli_texts
from bridge.cli import turns as cli_turns
from bridge.cli.simulate import demo, simulate
from bridge.cli.terminal import ERR, OUT, fail
from bridge.core.errors import SettingsInvalid, StoreInUse
from bridge.settings.describe import describe, effective
from bridge.settings.load import load
from bridge.settings.model import Settings

_VERDICTS = {
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
app.add_typer(simulate, name="simulate")
app.add_typer(cli_turns.turns, name="turns")


def main() -> None:
    """The console script. An error of the system that no command expects, such as a full disk, becomes a sentence."""
    try:
        app()
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        # what waits in a full standard output must not be written once more at the interpreter's end
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123  open until the process ends
        with contextlib.suppress(OSError):
            ERR.print(
                f"The system refused an operation: {error.strerror or type(error).__name__}{where}.", markup=False
            )
        sys.exit(1)


@app.callback()
def prepare(ctx: typer.Context) -> None:
    """Give bridge/cli/turns.py the function for reading the settings from the environment."""
    ctx.obj = _settings


@app.command()
def run() -> None:
    """Run the bridge in production until SIGTERM."""
    from bridge import output  # noqa: PLC0415  `--help` must not pay for botbuilder

    output.detach()
    from bridge import logs, server  # noqa: PLC0415  imported libraries may print warnings
    from bridge.web.sockets import CannotListen  # noqa: PLC0415  as above

    settings = _settings()
    logs.configure(settings.log, settings.log_level)
    try:
        _run_fast(server.serve(settings))
    except StoreInUse as error:
        fail(f"BRIDGE_STORE: {error.detail}. Stop the other process, or give this one a file of its own.", 1)
    except ValueError as error:
        fail(str(error), 2)
    except CannotListen as error:
        fail(f"{error}. Is another process using the port?" if error.taken else f"{error}.", 1)


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
    """Check the whole chain; each line gives the result and the fix. Exit code 1 if a check failed."""
    from bridge import logs  # noqa: PLC0415  `--help` must not pay for botbuilder
    from bridge.admin.doctor import examine  # noqa: PLC0415  as above
    from bridge.app import connected  # noqa: PLC0415  as above

    settings = _settings()
    logs.configure("console", "error")

    async def checks() -> bool:
        failed = False
        async with connected(settings) as edges:
            async for check in examine(settings, edges, spend_model_call=not no_model_call):
                failed = failed or check.verdict == "failed"
                OUT.print(f"{_VERDICTS[check.verdict]}  {check.name}: ", end="")
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
    """Make the app package for IT admins to upload to Teams. The version goes up when the content changes."""
    from bridge.admin.app_package import build_package  # noqa: PLC0415  `--help` must not pay for the manifest's model
    from bridge.admin.registration import app_details  # noqa: PLC0415  as above
    from bridge.core import texts  # noqa: PLC0415  as above

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
    """Check that the bridge on this machine is ready (for a container's HEALTHCHECK)."""
    import httpx  # noqa: PLC0415  the other commands need not import httpx

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


app.command()(demo)
app.command()(cli_texts.texts)
app.command()(cli_turns.feedback)
app.command()(cli_turns.pause)
app.command()(cli_turns.resume)


def _settings() -> Settings:
    try:
        return load(os.environ)
    except SettingsInvalid as error:
        ERR.print("[bold red]These settings need your attention:[/]")
        for problem in error.problems:
            ERR.print(f"  {problem}", markup=False)
        raise typer.Exit(2) from None


def _run_fast(work: Coroutine[Any, Any, None]) -> None:
    """Run `work` on uvloop; on Windows, which has no uvloop, on asyncio's own loop."""
    factory = None
    if sys.platform != "win32":
        import uvloop  # noqa: PLC0415  not on every platform

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(work)
