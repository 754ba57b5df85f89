"""`POST` and `DELETE /api/files/...`: what is done with files that are there, and `/api/files/test`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from aiohttp import web
from msgspec import UNSET, Struct, UnsetType

from limpet.errors import BadRequest, Conflict, LimpetError, NotFound
from limpet.printer.card_files import new_name, path_on_card
from limpet.printer.print import SelectedFile
from limpet.printer.state import FileDeselected, FilesChanged, FileSelected, FilesMoved, State
from limpet.protocol.events import Event
from limpet.protocol.gcode import delete_card_file, list_card
from limpet.storage.names import new_path, type_path
from limpet.storage.store import Store, StoredFile, StoredFolder
from limpet.web.api.files import CARD, LOCAL, Place, file_on_card, place, place_on_card, unknown_in
from limpet.web.api.job import opened, start
from limpet.web.auth import FORBIDDEN
from limpet.web.call import Call, Refused, Route, answer, done

UPDATED = FilesChanged("UpdatedFiles", LOCAL)
NO_CARD = "Can not upload to SD card, printer is either not operational or already busy"


class Known(Struct, frozen=True, kw_only=True):
    """The answer to `exists`; the rest only if it does. `suggestion` is a name that is still free."""

    exists: bool
    suggestion: str | UnsetType = UNSET
    size: int | UnsetType = UNSET
    date: int | UnsetType = UNSET


class Sanitized(Struct, frozen=True, kw_only=True):
    """The name under which a file would be stored."""

    sanitized: str


async def post_command(call: Call) -> web.StreamResponse:
    location, path = call.request.match_info["location"], call.request.match_info["path"]
    body = await call.json()
    command = body.get("command") if isinstance(body, dict) else None
    if not isinstance(command, str) or command not in _COMMANDS:
        raise BadRequest("command is invalid")
    run, *permissions = _COMMANDS[command]
    if not all(call.caller.permits(permission) for permission in permissions):
        raise Refused(403, FORBIDDEN)
    return await run(call, location, path, body)


async def delete_file(call: Call) -> web.StreamResponse:
    location, path = call.request.match_info["location"], call.request.match_info["path"]
    if location == CARD:
        return _delete_on_card(call, path)
    store = call.fleet.store(call.printer)
    if is_in_use(call, store, path):
        raise Conflict("Trying to delete a file that is currently in use")
    is_folder = await asyncio.to_thread(store.delete, path)
    deselect(call, store, path)
    tell(call, store, _removed(path, is_folder, "remove"), UPDATED)
    return done()


def _delete_on_card(call: Call, path: str) -> web.StreamResponse:
    printer, file = call.printer, file_on_card(call, path)
    if printer.is_printing:
        # The printer does not tell which file it prints.
        raise Conflict("Trying to delete a file that is currently in use")
    path = file.path
    printer.send(delete_card_file(path, printer.snapshot.firmware or ""), list_card(printer.snapshot.capabilities))
    selected = printer.snapshot.selected
    if selected and (selected.origin, selected.path) == (CARD, path):
        printer.tell(FileDeselected())
    printer.tell(FilesChanged("FileRemoved", CARD, path, file.typePath, "remove"))
    printer.tell(UPDATED)
    return done()


async def _select(call: Call, location: str, path: str, body: dict[str, Any]) -> web.StreamResponse:
    wants_print = body.get("print", False)
    if not isinstance(wants_print, bool):
        raise BadRequest("print is invalid")
    if wants_print and not call.caller.permits("PRINT"):
        raise Refused(403, FORBIDDEN)
    if location == CARD:
        info = file_on_card(call, path)
        size = None if info.size is UNSET else info.size
        file = SelectedFile(origin=CARD, path=info.path, name=info.name, display=info.display, size=size)
    else:
        file = selected_file(await asyncio.to_thread(call.fleet.store(call.printer).info, path), call)
    if call.printer.is_printing:
        raise Conflict("Printer is already printing, cannot select a new file")
    call.printer.select(file)
    if wants_print:
        await start(call, file)
    return done()


async def _unselect(call: Call, location: str, path: str, _: dict[str, Any]) -> web.StreamResponse:
    selected = call.printer.snapshot.selected
    if call.printer.is_printing:
        raise Conflict("Printer is already printing, cannot unselect current file")
    if call.printer.snapshot.state is State.OPERATIONAL and selected is None:
        raise Conflict("Cannot unselect current file when there is no file selected")
    if location == CARD:
        path = path_on_card(call.printer.snapshot.sd_files, path) or path
    if selected is not None and path != "current" and (location, path) != (selected.origin, selected.path):
        raise BadRequest("Only the currently selected file can be unselected")
    call.printer.select(None)
    return done()


async def _copy(call: Call, location: str, path: str, body: dict[str, Any]) -> web.StreamResponse:
    store, destination = _destination(call, location, body)
    made = await asyncio.to_thread(store.copy, path, destination)
    call.fleet.analyse(store, list(unknown_in(made)))
    tell(call, store, _added(made, "copy"), UPDATED)
    return created(call, made)


async def _move(call: Call, location: str, path: str, body: dict[str, Any]) -> web.StreamResponse:
    store, destination = _destination(call, location, body)
    if is_in_use(call, store, path):
        raise Conflict("Trying to move a file or folder that is currently in use")
    made = await asyncio.to_thread(store.move, path, destination)
    with suppress(LimpetError):
        place = call.fleet.place(call.printer).store
        await call.fleet.history.ask(lambda history: history.move(place, path, made.path))
    deselect(call, store, path)
    kind, what = (made.type_path, "FileMoved") if isinstance(made, StoredFile) else ((), "FolderMoved")
    moved = FilesMoved(what, LOCAL, path, made.path, kind)
    tell(call, store, _removed(path, not kind, "move"), _added(made, "move"), moved, UPDATED)
    return created(call, made)


async def _analyse(call: Call, location: str, path: str, _: dict[str, Any]) -> web.StreamResponse:
    """Once more, before all others that wait; the pictures in it, too."""
    if location != LOCAL:
        file_on_card(call, path)
        raise BadRequest("No analysis possible: the file is on the printer's card")
    await _must_be_there(call, location, path)
    if not call.fleet.analyse(call.fleet.store(call.printer), [path], first=True):
        raise BadRequest("No analysis possible: files.analyse is off in the settings")
    return done()


async def _slice(call: Call, location: str, path: str, _: dict[str, Any]) -> web.StreamResponse:
    await _must_be_there(call, location, path)
    raise Refused(415, "Cannot slice file, no slicer available")


async def _upload_sd(call: Call, location: str, path: str, _: dict[str, Any]) -> web.StreamResponse:
    if location != LOCAL:
        raise NotFound()
    require_card(call)
    file = selected_file(await asyncio.to_thread(call.fleet.store(call.printer).info, path), call)
    return answer_created(await to_card(call, file))


_Command = Callable[[Call, str, str, dict[str, Any]], Awaitable[web.StreamResponse]]
_COMMANDS: dict[str, tuple[_Command, *tuple[str, ...]]] = {
    "select": (_select, "FILES_SELECT"),
    "unselect": (_unselect, "FILES_SELECT"),
    "copy": (_copy, "FILES_UPLOAD"),
    "move": (_move, "FILES_UPLOAD", "FILES_DELETE"),
    "analyse": (_analyse, "FILES_UPLOAD"),
    "refresh_thumbnails": (_analyse, "FILES_UPLOAD"),
    "slice": (_slice, "SLICE"),
    "uploadSd": (_upload_sd, "FILES_UPLOAD"),
}
"""Command -> what it does, and which permissions it needs besides that to see files."""


async def _must_be_there(call: Call, location: str, path: str) -> None:
    if location != LOCAL or await asyncio.to_thread(call.fleet.store(call.printer).is_folder, path) is not False:
        raise NotFound()


def _destination(call: Call, location: str, body: dict[str, Any]) -> tuple[Store, str]:
    if location != LOCAL:
        raise BadRequest(f"Unsupported target for {body['command']}")
    if "destination" not in body:
        raise BadRequest("Mandatory parameters missing")
    if not isinstance(body["destination"], str):
        raise BadRequest("destination is invalid")
    return call.fleet.store(call.printer), body["destination"]


# -- to the printer's card --


def require_card(call: Call) -> None:
    """Raises Conflict when nothing can be written to the printer's card now."""
    if call.printer.snapshot.state is not State.OPERATIONAL or call.printer.is_printing:
        raise Conflict(NO_CARD)
    if not call.printer.snapshot.sd_ready:
        raise Conflict("Can not upload to SD card, not yet initialized")


async def to_card(call: Call, file: SelectedFile, *, select: bool = False, print: bool = False) -> Place:
    """Begin to write a stored file to the printer's card; where it will be. What comes of it is told by events."""
    now = call.printer.snapshot
    name = new_name(file.name, now.sd_files, long_names=now.capabilities.get("LFN_WRITE", False))
    call.printer.prints.transfer(file, await opened(call, file.path), name, select=select, print=print)
    return place_on_card(call, name)


# -- what others are told --


def tell(call: Call, store: Store, *events: Event) -> None:
    """Every printer that has these files is told."""
    for printer in call.fleet.sharing(store):
        for event in events:
            printer.tell(event)


def is_in_use(call: Call, store: Store, path: str) -> bool:
    """Whether a printer prints this file, or one below this folder, or has it written to its card."""
    jobs = [printer.snapshot.print for printer in call.fleet.sharing(store) if printer.snapshot.print]
    used = [job.source or (job.file.path if job.file.origin == LOCAL else "") for job in jobs]
    return any(f"{each}/".startswith(f"{path}/") for each in used if each)


def deselect(call: Call, store: Store, path: str) -> None:
    """What has gone from this path is selected no longer."""
    for printer in call.fleet.sharing(store):
        selected = printer.snapshot.selected
        if selected and selected.origin == LOCAL and f"{selected.path}/".startswith(f"{path}/"):
            printer.tell(FileDeselected())


def select_again(call: Call, store: Store, file: StoredFile) -> None:
    """A selected file has been replaced."""
    for printer in call.fleet.sharing(store):
        selected = printer.snapshot.selected
        if selected and (selected.origin, selected.path) == (LOCAL, file.path):
            printer.tell(FileSelected(selected_file(file, call)))


def selected_file(file: StoredFile, call: Call) -> SelectedFile:
    return SelectedFile(
        origin=LOCAL,
        path=file.path,
        name=file.name,
        display=file.display,
        size=file.size,
        date=file.date,
        user=call.caller.name,
    )


def _added(found: StoredFile | StoredFolder, operation: str) -> FilesChanged:
    if isinstance(found, StoredFolder):
        return FilesChanged("FolderAdded", LOCAL, found.path)
    return FilesChanged("FileAdded", LOCAL, found.path, found.type_path, operation)


def _removed(path: str, is_folder: bool, operation: str) -> FilesChanged:
    if is_folder:
        return FilesChanged("FolderRemoved", LOCAL, path)
    return FilesChanged("FileRemoved", LOCAL, path, type_path(path) or (), operation)


def created(call: Call, found: StoredFile | StoredFolder) -> web.Response:
    return answer_created(place(call, found))


def answer_created(told: Place) -> web.Response:
    response = answer(told, 201)
    response.headers["Location"] = told.refs.resource
    return response


# -- /api/files/test --


async def post_test(call: Call) -> web.StreamResponse:
    body = await call.json()
    command = body.get("command") if isinstance(body, dict) else None
    if command not in ("exists", "sanitize"):
        raise BadRequest("command is invalid")
    if not {"storage", "path", "filename"} <= body.keys():
        raise BadRequest("Mandatory parameters missing")
    for name in ("storage", "path", "filename"):
        if not isinstance(body[name], str):
            raise BadRequest(f"{name} is invalid")
    if body["storage"] != LOCAL:
        raise BadRequest("storage is invalid")
    parts = (*new_path(body["path"]), *new_path(body["filename"]))
    if not parts:
        raise BadRequest("filename is invalid")
    if command == "sanitize":
        return answer(Sanitized(sanitized=parts[-1]))
    return answer(await asyncio.to_thread(_known, call.fleet.store(call.printer), "/".join(parts)))


def _known(store: Store, path: str) -> Known:
    if store.is_folder(path) is None:
        return Known(exists=False)
    found, other = store.look(path), store.other_name(path)
    return Known(exists=True, suggestion=other.rpartition("/")[2], size=found.size, date=found.date)


_TEXT = {"type": "string"}
_COMMAND_BODY = {
    "anyOf": [
        {
            "title": "Select",
            "type": "object",
            "required": ["command"],
            "properties": {
                "command": {"const": "select"},
                "print": {"type": "boolean", "description": "Print it, too"},
            },
        },
        {
            "title": "Copy or move",
            "type": "object",
            "required": ["command", "destination"],
            "properties": {
                "command": {"enum": ["copy", "move"]},
                "destination": {"type": "string", "description": "A folder that is there, or a new name"},
            },
        },
        {
            "title": "Any other command",
            "type": "object",
            "required": ["command"],
            "properties": {"command": {"enum": ["unselect", "analyse", "refresh_thumbnails", "slice", "uploadSd"]}},
        },
    ]
}
_TEST_BODY = {
    "type": "object",
    "required": ["command", "storage", "path", "filename"],
    "properties": {
        "command": {"enum": ["exists", "sanitize"]},
        "storage": {"const": LOCAL},
        "path": _TEXT,
        "filename": _TEXT,
    },
}

ROUTES = (
    Route(
        "POST",
        "/api/files/{location:local|sdcard}/{path:.+}",
        "FILES_LIST",
        post_command,
        "Select, copy or move a file; each command needs a permission of its own as well",
        {201: (Place,), 204: ()},
        body=_COMMAND_BODY,
        refusals=(404, 507),
    ),
    Route(
        "DELETE",
        "/api/files/{location:local|sdcard}/{path:.+}",
        "FILES_DELETE",
        delete_file,
        "Delete a file, or a folder with all that is in it",
        {204: ()},
        refusals=(404, 409),
    ),
    Route(
        "POST",
        "/api/files/test",
        "FILES_LIST",
        post_test,
        "Whether a file exists, and under which name one would be stored",
        {200: (Known, Sanitized)},
        body=_TEST_BODY,
    ),
)
