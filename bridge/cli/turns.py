"""The operator's commands `teams-bridge turns`, `feedback`, `pause` and `resume`, over the admin listener.

The context's `obj` reads the settings, so that only commands which need settings read the environment.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any
from urllib.parse import quote

import typer

from bridge.cli.terminal import OUT, fail, wide
from bridge.core.turn import DropVerdict, Kind, Outcome, State

turns = typer.Typer(help="What became of people's turns: list, show, ask again, drop.", invoke_without_command=True)

_PAGE = 1000

Name = Annotated[str, typer.Argument(metavar="TURN", help="Its number, as T-12 or 12.")]
Json = Annotated[bool, typer.Option("--json", help="For scripts.")]


@turns.callback()
def list_turns(
    ctx: typer.Context,
    *,
    state: Annotated[State | None, typer.Option(help="Only turns in this state.")] = None,
    outcome: Annotated[Outcome | None, typer.Option(help="Only turns that ended so.")] = None,
    kind: Annotated[Kind | None, typer.Option(help="Only turns of this kind.")] = None,
    user: Annotated[str | None, typer.Option(help="Only turns of this X-GoClaw-User-Id.")] = None,
    before: Annotated[str | None, typer.Option(metavar="TURN", help="Only turns before this one, to page on.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many.")] = 50,
    as_json: Json = False,
) -> None:
    """The newest turns first."""
    if ctx.invoked_subcommand is not None:
        return
    wanted = {"state": state, "outcome": outcome, "kind": kind, "user": user, "before": before, "limit": limit}
    found = _ask(ctx, "GET", "turns", wanted)
    if as_json:
        OUT.print_json(data=found["turns"])
        return
    from bridge.admin.turns import table  # noqa: PLC0415  `--help` must not pay for httpx

    if found["turns"]:
        wide(table(found["turns"]))
    else:
        OUT.print("No such turns.")
    if found["paused"]:
        OUT.print("The bridge is paused: questions are kept and not asked. `teams-bridge resume` lets them go on.")


@turns.command()
def show(ctx: typer.Context, name: Name, *, as_json: Json = False) -> None:
    """A turn with its whole history, without the text of question and answer."""
    turn = _ask(ctx, "GET", _path(name))
    if as_json:
        OUT.print_json(data=turn)
        return
    from bridge.admin.turns import record  # noqa: PLC0415  `--help` must not pay for httpx

    wide(record(turn))


@turns.command()
def again(ctx: typer.Context, name: Name) -> None:
    """Ask a closed question once more; the asker gets the answer."""
    asked = _ask(ctx, "POST", f"{_path(name)}/again")
    OUT.print(f"{asked['of']} is asked again as {asked['name']}.")


@turns.command()
def drop(
    ctx: typer.Context, name: Name, *, yes: Annotated[bool, typer.Option("--yes", help="Do not ask first.")] = False
) -> None:
    """Close an open turn without an answer; the people in the conversation are told."""
    if not yes:
        from bridge.admin.turns import table  # noqa: PLC0415  `--help` must not pay for httpx

        wide(table([_ask(ctx, "GET", _path(name))]))
        typer.confirm("Drop it? Its people are told; this cannot be undone.", abort=True)
    dropped = _ask(ctx, "POST", f"{_path(name)}/drop")
    stopping = dropped["verdict"] == DropVerdict.STOPPING
    OUT.print(f"{dropped['name']} was at work and is being stopped." if stopping else f"{dropped['name']} is dropped.")


class Form(StrEnum):
    """The form in which feedback is printed."""

    JSONL = "jsonl"
    CSV = "csv"


def feedback(
    ctx: typer.Context,
    *,
    since: Annotated[str | None, typer.Option(metavar="TIME", help="Only from then on, as 2026-11-25.")] = None,
    form: Annotated[Form, typer.Option("--format", help="One JSON object a line, or a table.")] = Form.JSONL,
) -> None:
    """Print people's ratings of answers with the person's id, the words and the turn; oldest first."""
    from bridge.admin.feedback import as_csv, as_jsonl  # noqa: PLC0415  `--help` must not pay for httpx

    write = as_csv() if form is Form.CSV else as_jsonl()
    query: dict[str, Any] = {"since": since, "limit": _PAGE}
    while found := _ask(ctx, "GET", "feedback", query)["feedback"]:
        for rating in found:
            typer.echo(write(rating), nl=False)
        if len(found) < _PAGE:
            break
        query = {"after": found[-1]["after"], "limit": _PAGE}


def pause(ctx: typer.Context) -> None:
    """Hold all turns: questions are kept, and people are told."""
    _ask(ctx, "POST", "pause")
    OUT.print("Paused: questions are kept and not asked until `teams-bridge resume`. What runs already goes on.")


def resume(ctx: typer.Context) -> None:
    """Let turns go on after `pause`."""
    _ask(ctx, "POST", "resume")
    OUT.print("Resumed: what was kept is asked now.")


def _path(name: str) -> str:
    return f"turns/{quote(name, safe='')}"


def _ask(ctx: typer.Context, method: str, path: str, query: dict[str, Any] | None = None) -> dict[str, Any]:
    """The admin listener's answer; without an answer the command ends with a sentence. Raises: typer.Exit."""
    from bridge.admin.turns import AdminClient, AdminFailed  # noqa: PLC0415  `--help` must not pay for httpx

    settings = ctx.obj()
    client = AdminClient(settings.admin_host, settings.admin_port, settings.admin_token.get_secret_value())
    try:
        return client.ask(method, path, query)
    except AdminFailed as failed:
        fail(str(failed), failed.code)
