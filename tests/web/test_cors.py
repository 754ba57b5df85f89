"""Pages from elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.web.server import ADMIN_KEY, HERMETIC, Answer, Client, running

PANEL = "https://panel.example"
PREFLIGHT = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-api-key"}


def allowed(answer: Answer) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name.startswith("Access-Control")}


async def test_no_page_from_elsewhere_may_ask_unless_it_is_set(client: Client) -> None:
    for method, headers in (("OPTIONS", PREFLIGHT), ("GET", {"X-Api-Key": ADMIN_KEY}), ("GET", {})):
        answer = await client.request(method, "/api/connection", headers={**headers, "Origin": PANEL})
        assert allowed(answer) == {}
        assert answer.status == (200 if "X-Api-Key" in headers else 403)


@pytest.mark.parametrize("origins", [[PANEL], ["*"]])
async def test_a_page_that_is_named_may_ask_with_a_key_and_never_with_a_cookie(tmp_path: Path, origins: Any) -> None:
    settings = f"{HERMETIC}[server]\ncors_origins = {origins}\n"
    async with running(tmp_path, settings=settings) as (client, _):
        for path in ("/api/connection", "/api/unknown"):
            answer = await client.request("OPTIONS", path, headers={**PREFLIGHT, "Origin": PANEL})
            assert answer.status == 204
            assert "X-Api-Key" in answer.headers["Access-Control-Allow-Headers"]
            assert "POST" in answer.headers["Access-Control-Allow-Methods"]
        for headers in ({"X-Api-Key": ADMIN_KEY}, {}):
            answer = await client.request("GET", "/api/connection", headers={**headers, "Origin": PANEL})
            assert answer.headers["Access-Control-Allow-Origin"] == ("*" if origins == ["*"] else PANEL)
            assert "Access-Control-Allow-Credentials" not in answer.headers
            assert "Origin" in answer.headers["Vary"]
        for origin in ("https://evil.example", "https://panel.example.evil", "http://panel.example", "null"):
            answer = await client.request("OPTIONS", "/api/connection", headers={**PREFLIGHT, "Origin": origin})
            assert (answer.status == 204) == (origins == ["*"])


async def test_a_page_that_is_named_may_read_what_comes_in_a_stream(tmp_path: Path) -> None:
    (tmp_path / "uploads").mkdir()
    (tmp_path / "uploads/a.gcode").write_text("G28\n")
    async with running(tmp_path, settings=f'{HERMETIC}[server]\ncors_origins = ["{PANEL}"]\n') as (client, _):
        headers = {"X-Api-Key": ADMIN_KEY, "Origin": PANEL}
        answer = await client.request("GET", "/downloads/files/local/a.gcode", headers=headers)
        assert answer.body == b"G28\n"
        assert answer.headers["Access-Control-Allow-Origin"] == PANEL
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
