"""How the page is served: to anybody, small, kept by browsers, and locked up."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest

from limpet.web.page import FOLDER, read
from tests.web.server import Client

UNPACKED = {"Accept-Encoding": "identity"}
LOCKED = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}
SCRIPTS = sorted(path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*.js"))


@pytest.mark.parametrize("path", ["/", "/p/default/", "/p/no-such-printer/"])
async def test_the_page_is_for_anybody_and_says_nothing_of_printers(client: Client, path: str) -> None:
    answer = await client.get(path, key="")

    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-cache"
    assert (
        answer.headers["ETag"] == (await client.get(path.replace("no-such-printer", "default"), key="")).headers["ETag"]
    )
    for name, value in LOCKED.items():
        assert answer.headers[name] == value


async def test_nothing_in_the_page_is_inline_or_from_elsewhere(client: Client) -> None:
    answer = await client.request("GET", "/", headers=UNPACKED)
    policy = answer.headers["Content-Security-Policy"]

    assert "unsafe" not in policy
    for rule in ("default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"):
        assert rule in policy
    text = answer.body.decode()
    assert "{static}" not in text
    assert re.findall(r"<script(?! type=\"module\" src=\"static/)", text) == []
    assert re.findall(r"\s(?:on\w+|style)=", text) == []
    assert re.findall(r"(?:src|href)=\"(?!static/)", text) == []


async def test_the_address_without_its_slash_leads_to_the_page(client: Client) -> None:
    answer = await client.get("/p/default", key="")

    assert (answer.status, answer.headers["Location"]) == (308, "/p/default/")


def test_lines_that_are_comments_are_not_served_and_licences_are(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<!doctype html>")
    ours = 'const a = "//x"; // why\n  // what\n/** All of it. */\nb();\n'
    for folder, content in (("js", ours), ("vendor", "/* MIT */\na();\n")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.js").write_text(content)
    files = read(tmp_path).by_path
    assert files["js/x.js"].plain == b'const a = "//x"; // why\n\n\nb();\n'
    assert files["vendor/x.js"].plain == b"/* MIT */\na();\n"


async def test_files_are_kept_for_ever_under_an_address_that_changes_with_them(client: Client) -> None:
    files = read(FOLDER)
    version = files.version

    answer = await client.request("GET", f"/static/{version}/js/main.js", headers=UNPACKED)
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert "immutable" in answer.headers["Cache-Control"]
    assert answer.body == files.by_path["js/main.js"].plain
    for path in (f"/static/{version}/js/none.js", "/static/0/js/main.js", f"/static/{version}/vendor/README.md"):
        assert (await client.get(path)).status == 404
    for path in (f"/static/{version}/../page.py", f"/static/{version}/..%2f..%2fapp.py", f"/static/{version}/%2e%2e/x"):
        assert (await client.get(path)).status in (403, 404)


async def test_whoever_takes_it_packed_gets_it_packed(client: Client) -> None:
    plain = await client.request("GET", "/", headers=UNPACKED)
    packed = await client.request("GET", "/", headers={"Accept-Encoding": "gzip, br"})

    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.body) == plain.body
    assert packed.headers["Vary"] == "Accept-Encoding"
    assert packed.headers["ETag"] != plain.headers["ETag"]


async def test_whoever_has_it_is_told_that_it_is_the_same(client: Client) -> None:
    tag = (await client.get("/", key="")).headers["ETag"]

    same = await client.request("GET", "/", headers={"If-None-Match": tag})
    assert (same.status, same.body) == (304, b"")
    assert (await client.request("GET", "/", headers={"If-None-Match": '"another"'})).status == 200


async def test_a_head_request_has_no_body(client: Client) -> None:
    answer = await client.request("HEAD", "/")

    assert (answer.status, answer.body) == (200, b"")
    assert int(answer.headers["Content-Length"]) > 500


async def test_nothing_else_is_open(client: Client) -> None:
    for path in ("/static", "/static/", "/index.html", "/p/", "/p/default/api/connection"):
        assert (await client.get(path, key="")).status == 403
    assert (await client.post("/", {}, key="")).status == 403


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_import_of_a_script_is_there(name: str) -> None:
    path = FOLDER / name
    if not name.startswith("vendor/"):
        for target in re.findall(r"(?:from|import)\s*\(?\"([^\"]+)\"", path.read_text()):
            assert target.startswith("."), f"{name} imports {target}"
            assert (path.parent / target).resolve().is_relative_to(FOLDER)
            assert (path.parent / target).is_file(), f"{name} imports {target}"


@pytest.mark.parametrize("name", [name for name in SCRIPTS if not name.startswith("vendor/")])
def test_no_script_turns_text_into_markup_or_code(name: str) -> None:
    text = (FOLDER / name).read_text()

    assert (
        re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|srcdoc", text) == []
    )
    assert len(text.splitlines()) < 400


def test_libraries_are_kept_with_their_versions_and_licences() -> None:
    about = (FOLDER / "vendor/README.md").read_text()
    licences = (FOLDER / "vendor/LICENSES.txt").read_text()

    for name in ("preact", "@preact/signals", "@preact/signals-core", "htm", "uplot"):
        assert re.search(rf"\[{name}\]\(\S+ \| \d+\.\d+\.\d+ \| [\w.-]+ \|", about), name
        assert f"=== {name} ===" in licences


@pytest.mark.parametrize(("path", "up"), [("/", ""), ("/p/default/", "../../")])
async def test_the_files_are_found_from_where_the_page_is(client: Client, path: str, up: str) -> None:
    text = gzip.decompress((await client.request("GET", path, headers={"Accept-Encoding": "gzip"})).body).decode()

    places = re.findall(r"(?:src|href)=\"([^\"]+)\"", text)
    assert len(places) > 5
    for place in places:
        assert place.startswith(f"{up}static/")
        assert (await client.get("/" + place.removeprefix(up), key="")).status == 200


def test_the_document_names_all_that_the_first_view_imports() -> None:
    wanted: set[str] = set()

    def follow(path: Path) -> None:
        name = path.relative_to(FOLDER).as_posix()
        if name not in wanted:
            wanted.add(name)
            for target in re.findall(r"^(?:import|export|\}) [^;]*\"(\.[^\"]+)\";", path.read_text(), re.MULTILINE):
                follow((path.parent / target).resolve())

    follow(FOLDER / "js/main.js")
    text = (FOLDER / "index.html").read_text()
    assert set(re.findall(r"modulepreload\" href=\"\{static\}/([^\"]+)\"", text)) == wanted - {"js/main.js"}
