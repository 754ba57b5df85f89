"""`/api/printerprofiles`: what kinds of printers there are. They are kept in the settings, as `[profiles.<id>]`.

Source: the page "Printer profile operations" of OctoPrint's documentation, and what OctoPrint 1.11.8 answers.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from aiohttp import web
from msgspec import Struct, structs

from limpet.errors import BadRequest, NotFound
from limpet.profiles import FormFactor, Origin, Profile
from limpet.settings import is_id
from limpet.web.auth import base_of
from limpet.web.call import Call, Route, answer, done
from limpet.web.complaints import in_words


class CustomBox(Struct, frozen=True, kw_only=True):
    """How far the head may go, in mm."""

    x_min: float
    y_min: float
    z_min: float
    x_max: float
    y_max: float
    z_max: float


class Volume(Struct, frozen=True, kw_only=True):
    """What can be printed, in mm; `custom_box` is false where the head goes no farther than that."""

    width: float
    depth: float
    height: float
    formFactor: FormFactor  # noqa: N815
    origin: Origin
    custom_box: CustomBox | Literal[False]


class Axis(Struct, frozen=True, kw_only=True):
    """Speed in mm/min; `inverted` is for the controls of a page."""

    speed: int
    inverted: bool


class Extruder(Struct, frozen=True, kw_only=True):
    """Lengths in mm; one offset for each tool."""

    count: int
    offsets: list[tuple[float, float]]
    nozzleDiameter: float  # noqa: N815
    sharedNozzle: bool  # noqa: N815
    defaultExtrusionLength: int  # noqa: N815


class Limits(Struct, frozen=True, kw_only=True):
    """Degrees Celsius; Limpet's addition."""

    maxHotend: float  # noqa: N815
    maxBed: float  # noqa: N815
    maxChamber: float  # noqa: N815
    minExtrusionTemperature: float  # noqa: N815


class ProfileInfo(Struct, frozen=True, kw_only=True):
    """A profile: `default` is the one that this printer prefers, `current` the one that it has now."""

    id: str
    name: str
    model: str
    color: str
    volume: Volume
    heatedBed: bool  # noqa: N815
    heatedChamber: bool  # noqa: N815
    axes: dict[str, Axis]
    extruder: Extruder
    limits: Limits
    default: bool
    current: bool
    resource: str


class ProfileList(Struct, frozen=True, kw_only=True):
    """By id."""

    profiles: dict[str, ProfileInfo]


class ProfileAnswer(Struct, frozen=True, kw_only=True):
    """What has been saved."""

    profile: ProfileInfo


_FIELDS: dict[str, Any] = {
    "name": "name",
    "model": "model",
    "color": "color",
    "heatedBed": "heated_bed",
    "heatedChamber": "heated_chamber",
    "volume": {
        "width": "width",
        "depth": "depth",
        "height": "height",
        "formFactor": "form_factor",
        "origin": "origin",
        "custom_box": {f"{axis}_{end}": f"{axis}_{end}" for axis in "xyz" for end in ("min", "max")},
    },
    "axes": {axis: {"speed": f"{axis}_speed", "inverted": f"{axis}_inverted"} for axis in "xyze"},
    "extruder": {
        "count": "extruders",
        "offsets": "extruder_offsets",
        "nozzleDiameter": "nozzle_diameter",
        "sharedNozzle": "shared_nozzle",
        "defaultExtrusionLength": "default_extrusion_length",
    },
    "limits": {
        "maxHotend": "max_hotend",
        "maxBed": "max_bed",
        "maxChamber": "max_chamber",
        "minExtrusionTemperature": "min_extrusion_temperature",
    },
}
"""Where OctoPrint has what a profile of ours has; the rest of what a client sends is not for us to keep."""


async def get_profiles(call: Call) -> web.StreamResponse:
    return answer(ProfileList(profiles={id: _info(call, id) for id in call.fleet.profiles}))


async def get_profile(call: Call) -> web.StreamResponse:
    return answer(_info(call, _known_id(call)))


async def post_profile(call: Call) -> web.StreamResponse:
    body = await call.json()
    given = _given(body)
    id, based_on = given.get("id"), body.get("basedOn")
    for name in ("id", "name"):
        if name not in given:
            raise BadRequest(f"{name} is missing")
    if not isinstance(id, str) or not is_id(id):
        raise BadRequest("id is invalid: it is 1 to 32 of a-z, 0-9, _ and -, the first one a letter or digit")
    preferred = call.fleet.preferences(call.printer).profile
    base = call.fleet.profiles.get(based_on) if isinstance(based_on, str) else None
    await call.fleet.add_profile(id, _merged(base or call.fleet.profiles[preferred], given))
    return await _saved(call, id, given)


async def patch_profile(call: Call) -> web.StreamResponse:
    id, given = _known_id(call), _given(await call.json())
    try:
        await call.fleet.change_profile(id, lambda profile: _merged(profile, given))
    except LookupError:
        raise NotFound() from None
    return await _saved(call, id, given)


async def delete_profile(call: Call) -> web.StreamResponse:
    try:
        await call.fleet.remove_profile(call.request.match_info["id"])
    except LookupError:
        raise NotFound() from None
    return done()


async def _saved(call: Call, id: str, given: dict[str, Any]) -> web.StreamResponse:
    if given.get("default") is True:
        await call.fleet.remember(call.printer, {"profile": id})
    return answer(ProfileAnswer(profile=_info(call, id)))


def _known_id(call: Call) -> str:
    id = call.request.match_info["id"]
    if id not in call.fleet.profiles:
        raise NotFound()
    return id


def _given(body: Any) -> dict[str, Any]:
    given = body.get("profile") if isinstance(body, dict) else None
    if given is None:
        raise BadRequest("profile is missing")
    if not isinstance(given, dict):
        raise BadRequest("profile is invalid")
    return given


def _merged(profile: Profile, given: dict[str, Any]) -> Profile:
    """The profile with what the client gives. Raises BadRequest that names the field."""
    values = {**structs.asdict(profile), **_flat(given, _FIELDS, "profile")}
    try:
        return msgspec.convert(values, Profile)
    except msgspec.ValidationError as error:
        raise BadRequest(in_words(error, values)) from None


def _flat(given: dict[str, Any], fields: dict[str, Any], place: str) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, field in fields.items():
        if name not in given:
            continue
        value = given[name]
        if isinstance(field, str):
            values[field] = value
        elif name == "custom_box" and value is False:
            values |= dict.fromkeys(field.values())
        elif isinstance(value, dict):
            values |= _flat(value, field, f"{place}.{name}")
        else:
            raise BadRequest(f"profile is invalid: {place}.{name} is no object")
    return values


def _info(call: Call, id: str) -> ProfileInfo:
    profile = call.fleet.profiles[id]
    return ProfileInfo(
        id=id,
        name=profile.name,
        model=profile.model,
        color=profile.color,
        volume=_volume(profile),
        heatedBed=profile.heated_bed,
        heatedChamber=profile.heated_chamber,
        axes={
            "x": Axis(speed=profile.x_speed, inverted=profile.x_inverted),
            "y": Axis(speed=profile.y_speed, inverted=profile.y_inverted),
            "z": Axis(speed=profile.z_speed, inverted=profile.z_inverted),
            "e": Axis(speed=profile.e_speed, inverted=profile.e_inverted),
        },
        extruder=Extruder(
            count=profile.extruders,
            offsets=[profile.offset(tool) for tool in range(profile.extruders)],
            nozzleDiameter=profile.nozzle_diameter,
            sharedNozzle=profile.shared_nozzle,
            defaultExtrusionLength=profile.default_extrusion_length,
        ),
        limits=Limits(
            maxHotend=profile.max_hotend,
            maxBed=profile.max_bed,
            maxChamber=profile.max_chamber,
            minExtrusionTemperature=profile.min_extrusion_temperature,
        ),
        default=call.fleet.preferences(call.printer).profile == id,
        current=call.fleet.profile_id(call.printer) == id,
        resource=_resource(call, id),
    )


def _volume(profile: Profile) -> Volume:
    width, depth, height = profile.volume
    box = profile.box
    limits = {f"{axis}_{end}": box[axis][index] for axis in "xyz" for index, end in enumerate(("min", "max"))}
    return Volume(
        width=width,
        depth=depth,
        height=height,
        formFactor=profile.form_factor,
        origin="center" if profile.is_centered else "lowerleft",
        custom_box=CustomBox(**limits) if profile.goes_beyond else False,
    )


def _resource(call: Call, id: str) -> str:
    # What a client calls us is for its own eyes, and may be any bytes.
    base = base_of(call.request).encode("utf-8", "replace").decode()
    return f"{base}{call.prefix}/api/printerprofiles/{id}"


_BODY = {
    "type": "object",
    "required": ["profile"],
    "properties": {
        "profile": {"type": "object", "description": "Any part of a profile; what is left out stays as it is"}
    },
}
_NEW_BODY = {
    "type": "object",
    "required": ["profile"],
    "properties": {
        "profile": {
            "type": "object",
            "required": ["id", "name"],
            "properties": {"id": {"type": "string"}, "name": {"type": "string"}},
        },
        "basedOn": {"type": "string", "description": "The id of the profile that says what is left out"},
    },
}
_ONE = "/api/printerprofiles/{id}"

ROUTES = (
    Route("GET", "/api/printerprofiles", "CONNECTION", get_profiles, "All profiles", {200: (ProfileList,)}),
    Route(
        "POST",
        "/api/printerprofiles",
        "SETTINGS",
        post_profile,
        "Add a profile",
        {200: (ProfileAnswer,)},
        body=_NEW_BODY,
    ),
    Route("GET", _ONE, "CONNECTION", get_profile, "One profile", {200: (ProfileInfo,)}, refusals=(404,)),
    Route(
        "PATCH",
        _ONE,
        "SETTINGS",
        patch_profile,
        "Change a profile",
        {200: (ProfileAnswer,)},
        body=_BODY,
        refusals=(404,),
    ),
    Route("DELETE", _ONE, "SETTINGS", delete_profile, "Remove a profile", {204: ()}, refusals=(404, 409)),
)
