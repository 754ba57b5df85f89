"""`/api/system/commands`: programs that the settings name, run without a shell.

`shutdown`, `reboot` and `restart` are OctoPrint's core commands; every other one is a custom one.
"""

from __future__ import annotations

import asyncio
import logging
from asyncio.subprocess import DEVNULL, PIPE, Process

from aiohttp import web
from msgspec import Struct

from limpet.errors import Conflict, NotFound
from limpet.settings import CommandSettings
from limpet.web.auth import base_of
from limpet.web.call import Call, Route, answer, done

CORE = ("shutdown", "reboot", "restart")
SOURCES = ("core", "custom", "plugin")
PATIENCE = 5.0
"""Seconds that the answer waits for the command; what takes longer goes on by itself."""
LONGEST = 600.0
"""Seconds after which a command is killed."""
MAX_OUTPUT = 4096

log = logging.getLogger(__name__)
_running: set[asyncio.Task[None]] = set()


class CommandInfo(Struct, frozen=True, kw_only=True):
    """One command; `confirm` is what a person is to be asked before, or false. POST to `resource` runs it."""

    action: str
    name: str
    confirm: str | bool
    source: str
    resource: str


class CommandsInfo(Struct, frozen=True, kw_only=True):
    """All commands, by where they come from; there are no plugins."""

    core: list[CommandInfo]
    custom: list[CommandInfo]
    plugin: list[CommandInfo] = []


def commands_of(call: Call, source: str) -> list[CommandInfo]:
    base = f"{base_of(call.request)}{call.prefix}/api/system/commands"
    return [
        CommandInfo(
            action=id,
            name=command.name,
            confirm=command.confirm or False,
            source=source,
            resource=f"{base}/{source}/{id}",
        )
        for id, command in call.fleet.settings.commands.items()
        if (id in CORE) is (source == "core") and source != "plugin"
    ]


async def get_commands(call: Call) -> web.StreamResponse:
    return answer(CommandsInfo(core=commands_of(call, "core"), custom=commands_of(call, "custom")))


async def get_commands_of_source(call: Call) -> web.StreamResponse:
    return answer(commands_of(call, _source(call)))


async def run_command(call: Call) -> web.StreamResponse:
    source, action = _source(call), call.request.match_info["action"]
    command = call.fleet.settings.commands.get(action)
    if command is None or (action in CORE) is not (source == "core") or source == "plugin":
        raise NotFound()
    if source == "core":
        await _confirm(call)
    await _run(command)
    return done()


async def _confirm(call: Call) -> None:
    """What ends this server ends the prints, so that has to be wanted. Raises Conflict."""
    printing = [call.fleet.preferences(printer).name for printer in call.fleet if printer.is_printing]
    if not printing:
        return
    body = await call.json() if call.request.content_type == "application/json" and call.request.can_read_body else {}
    if not isinstance(body, dict) or body.get("confirm") is not True:
        raise Conflict(
            f'A print is under way ({", ".join(printing)}), and would end; {{"confirm": true}} does it anyway'
        )


def _source(call: Call) -> str:
    source = call.request.match_info["source"]
    if source not in SOURCES:
        raise NotFound()
    return source


async def _run(command: CommandSettings) -> None:
    """Raises Conflict when it cannot be started, or fails at once."""
    log.info("running the command %s: %s", command.name, command.run)
    try:
        process = await asyncio.create_subprocess_exec(*command.run, stdin=DEVNULL, stdout=DEVNULL, stderr=PIPE)
    except OSError as error:
        raise Conflict(f"The command {command.name} cannot be run: {error.strerror or error}") from None
    watch = asyncio.create_task(_watch(command, process))
    _running.add(watch)
    watch.add_done_callback(_running.discard)
    await asyncio.wait({watch}, timeout=PATIENCE)
    if watch.done():
        watch.result()


async def _watch(command: CommandSettings, process: Process) -> None:
    assert process.stderr is not None
    said = b""
    try:
        async with asyncio.timeout(LONGEST):
            while data := await process.stderr.read(MAX_OUTPUT):
                said = (said + data)[-MAX_OUTPUT:]
            code = await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
        log.warning("the command %s was killed after %.0f s", command.name, LONGEST)
        return
    if code != 0:
        last = said.decode(errors="replace").strip().rpartition("\n")[2]
        raise Conflict(f"The command {command.name} has failed with exit code {code}: {last or 'it said nothing'}")


ROUTES = (
    Route("GET", "/api/system/commands", "SYSTEM", get_commands, "The commands", {200: (CommandsInfo,)}),
    Route(
        "GET",
        "/api/system/commands/{source}",
        "SYSTEM",
        get_commands_of_source,
        "The commands of one source",
        {200: (list[CommandInfo],)},
        refusals=(404,),
    ),
    Route(
        "POST",
        "/api/system/commands/{source}/{action}",
        "SYSTEM",
        run_command,
        "Run a command",
        {204: ()},
        body={"type": "object", "properties": {"confirm": {"type": "boolean"}}},
        refusals=(404, 409),
    ),
)
