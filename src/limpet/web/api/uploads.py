"""`POST /api/files/{location}`: a file comes in, or a folder is made. What slicers call."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web
from msgspec import Struct

from limpet.errors import BadRequest, Conflict, NoRoom
from limpet.printer.state import FilesChanged, FileUploaded, State
from limpet.storage.names import new_path, type_path
from limpet.storage.store import EXISTS, Store
from limpet.storage.upload import Upload
from limpet.web.api.file_commands import UPDATED, is_in_use, require_card, select_again, selected_file, tell, to_card
from limpet.web.api.files import CARD, LOCAL, TRUE, Place, place
from limpet.web.api.job import start
from limpet.web.call import Call, Refused, Route, answer
from limpet.web.multipart import Begun, Ended, FormReader

MAX_FIELDS = 1 << 16
"""Bytes of all fields of a form together, besides the file."""
WRITTEN = 1 << 20
"""Bytes that are gathered before they are written."""
NOTHING = "No file to upload and no folder to create"
BAD_NAME = "Can not upload file, invalid file name"


class Uploaded(Struct, frozen=True, kw_only=True):
    """Where the file is, and what was done with it."""

    done: bool = True
    effectiveSelect: bool  # noqa: N815
    effectivePrint: bool  # noqa: N815
    files: dict[str, Place]


class FolderMade(Struct, frozen=True, kw_only=True):
    """Where the folder is."""

    done: bool = True
    folder: Place


_NO_PART = Begun("", None)


@dataclass
class _Form:
    """What has arrived: fields by name, and the file, which may come before them; and of `part`, what is not kept yet.

    `room` is how many bytes of fields may come.
    """

    fields: dict[str, str] = field(default_factory=dict)
    filename: str = ""
    upload: Upload | None = None
    room: int = MAX_FIELDS
    part: Begun = _NO_PART
    content: list[bytes] = field(default_factory=list)
    gathered: int = 0

    @property
    def is_file(self) -> bool:
        """The part that is arriving is the file."""
        return self.part.name == "file" and bool(self.part.filename)

    def says(self, name: str) -> bool:
        return self.fields.get(name, "").strip().lower() in TRUE


async def post_upload(call: Call) -> web.StreamResponse:
    if call.request.match_info["location"] == CARD:
        require_card(call)
    store = call.fleet.store(call.printer)
    async with _received(call, store) as form:
        if form.upload is not None:
            return await _keep(call, store, form, form.upload)
        if "foldername" in form.fields:
            return await _make_folder(call, store, form)
    raise BadRequest(NOTHING)


async def _keep(call: Call, store: Store, form: _Form, upload: Upload) -> web.StreamResponse:
    path = _joined(form.fields.get("path", ""), form.filename)
    if is_in_use(call, store, "/".join(new_path(path))):
        raise Conflict("Trying to overwrite file that is currently being printed")
    overwrite, userdata = not form.says("noOverwrite"), _userdata(form)
    try:
        file = await asyncio.to_thread(
            store.place, upload, path, overwrite=overwrite, user=call.caller.name, userdata=userdata
        )
    except Conflict as error:
        kept = str(error) == EXISTS and not overwrite
        raise Conflict("File already exists and noOverwrite was set" if kept else str(error)) from None
    wants_select, wants_print = form.says("select"), form.says("print")
    tell(call, store, FilesChanged("FileAdded", LOCAL, file.path, file.type_path, "add"), UPDATED)
    # Whatever waits, this one is likely to be printed first.
    call.fleet.analyse(store, [file.path], first=True)
    select_again(call, store, file)
    # A file that cannot be selected now has arrived all the same.
    may_select = call.printer.snapshot.state is State.OPERATIONAL and not call.printer.is_printing
    prints = wants_print and may_select and call.caller.permits("PRINT") and call.caller.permits("FILES_SELECT")
    selects = wants_select and may_select and call.caller.permits("FILES_SELECT")
    location, new = call.request.match_info["location"], selected_file(file, call)
    files = {LOCAL: place(call, file)}
    if location == CARD:
        # It is kept here, too, as with OctoPrint; selected or printed is the one on the card, once it is there.
        files[CARD] = await to_card(call, new, select=selects, print=prints)
    else:
        # One that was selected already is so again, and that has been told.
        if (selects or prints) and call.printer.snapshot.selected != new:
            call.printer.select(new)
        if prints:
            await start(call, new)
    call.printer.tell(FileUploaded(location, file.path, wants_select, wants_print, selects, prints))
    there = files[location]
    response = answer(Uploaded(effectiveSelect=selects, effectivePrint=prints, files=files), 201)
    response.headers["Location"] = there.refs.resource
    return response


async def _make_folder(call: Call, store: Store, form: _Form) -> web.StreamResponse:
    path = _joined(form.fields.get("path", ""), form.fields["foldername"])
    folder = await asyncio.to_thread(store.make_folder, path)
    tell(call, store, FilesChanged("FolderAdded", LOCAL, folder.path), UPDATED)
    there = place(call, folder)
    response = answer(FolderMade(folder=there), 201)
    response.headers["Location"] = there.refs.resource
    return response


# -- the form --


@asynccontextmanager
async def _received(call: Call, store: Store) -> AsyncIterator[_Form]:
    """The whole form. What has not become a file when the block ends is gone."""
    form = _Form()
    try:
        match call.request.content_type:
            case "multipart/form-data":
                await _receive(call, store, form)
            case "application/x-www-form-urlencoded":
                body = b"".join([piece async for piece in call.pieces(MAX_FIELDS)])
                form.fields.update(parse_qsl(body.decode(errors="replace"), keep_blank_values=True))
        yield form
    finally:
        if form.upload is not None:
            await asyncio.to_thread(form.upload.discard)


async def _receive(call: Call, store: Store, form: _Form) -> None:
    limit = call.fleet.settings.files.max_upload << 20
    await _check_room(call, store)
    reader = FormReader(call.request.headers["Content-Type"])
    async for piece in call.pieces(limit + MAX_FIELDS):
        for found in reader.feed(piece):
            match found:
                case Begun():
                    await _begin(store, form, found)
                case bytes():
                    await _continue(form, found)
                case Ended():
                    await _end(form)
    reader.close()


async def _begin(store: Store, form: _Form, part: Begun) -> None:
    form.part, form.content, form.gathered = part, [], 0
    if not form.is_file:
        return
    form.filename = part.filename or ""
    _joined("", form.filename)
    if type_path(form.filename) is None:
        raise Refused(415, "Could not upload file, invalid type")
    if form.upload is not None:
        # A second file takes the place of the first, as with OctoPrint.
        await asyncio.to_thread(form.upload.discard)
    form.upload = await asyncio.to_thread(store.begin)


async def _continue(form: _Form, content: bytes) -> None:
    form.content.append(content)
    form.gathered += len(content)
    if form.is_file and form.gathered >= WRITTEN:
        await _write(form)
    elif not form.is_file:
        form.room -= len(content)
        if form.room < 0:
            raise Refused(413, f"The fields of the form are larger than {MAX_FIELDS} bytes")


async def _end(form: _Form) -> None:
    if form.is_file:
        await _write(form)
    else:
        form.fields[form.part.name] = b"".join(form.content).decode(errors="replace")


async def _write(form: _Form) -> None:
    content, form.content, form.gathered = form.content, [], 0
    if form.upload is not None:
        await asyncio.to_thread(form.upload.write, content)


async def _check_room(call: Call, store: Store) -> None:
    """Before anything is sent, if the client says how much it will be."""
    free, _ = await asyncio.to_thread(store.space)
    if (call.request.content_length or 0) > free:
        raise NoRoom("There is not enough room on the disk of the uploads; delete some files")


def _joined(path: str, name: str) -> str:
    try:
        parts = new_path(path), new_path(name)
    except BadRequest as error:
        raise BadRequest(f"{BAD_NAME}: {error}") from None
    if not parts[1]:
        raise BadRequest(f"{BAD_NAME}: the name is empty")
    return f"{path}/{name}"


def _userdata(form: _Form) -> Any:
    try:
        return json.loads(form.fields["userdata"]) if "userdata" in form.fields else None
    except (ValueError, RecursionError):
        raise BadRequest("userdata contains invalid JSON") from None


_FIELDS = {
    "path": {"type": "string", "description": "The folder that it goes to; made if it is missing"},
    "select": {"type": "string", "description": "`true` selects the file"},
    "print": {"type": "string", "description": "`true` prints it, if the printer is ready"},
    "noOverwrite": {"type": "string", "description": "`true` leaves a file that is there as it is"},
    "userdata": {"type": "string", "description": "JSON that is kept with the file"},
}
_FOLDER = {
    "title": "A folder",
    "type": "object",
    "required": ["foldername"],
    "properties": {"foldername": {"type": "string"}, "path": _FIELDS["path"]},
}
_BODY = {
    "anyOf": [
        {
            "title": "A file",
            "type": "object",
            "required": ["file"],
            "properties": {"file": {"type": "string", "format": "binary"}, **_FIELDS},
        },
        _FOLDER,
    ]
}

ROUTES = (
    Route(
        "POST",
        "/api/files/{location:local|sdcard}",
        "FILES_UPLOAD",
        post_upload,
        "Upload a file, or make a folder",
        {201: (Uploaded, FolderMade)},
        body=_BODY,
        body_type="multipart/form-data",
        form=_FOLDER,
        refusals=(404, 507),
    ),
)
