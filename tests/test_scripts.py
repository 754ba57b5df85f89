"""G-code scripts: what is refused when they are saved, and the lines that they come to."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import pytest

from limpet.profiles import Profile
from limpet.scripts import ALWAYS, MAX_LINES, BadScript, check, defaults, lines, values_for

ONE = Profile(name="One")
TWO = Profile(name="Two", extruders=2, heated_bed=False)
THEIRS = {
    "afterPrintCancelled": "; disable motors\nM84\n\n;disable all heaters\n{% snippet 'disable_hotends' %}\n"
    "{% snippet 'disable_bed' %}\n;disable fan\nM106 S0",
    "snippets/disable_bed": "{% if printer_profile.heatedBed %}M140 S0\n{% endif %}",
    "snippets/disable_hotends": "{% if printer_profile.extruder.sharedNozzle %}M104 T0 S0\n{% else %}"
    "{% for tool in range(printer_profile.extruder.count) %}M104 T{{ tool }} S0\n{% endfor %}{% endif %}",
}
"""As an OctoPrint has them, and as they are taken over."""


def run(text: str, profile: Profile = ONE, **context: Any) -> list[str]:
    check({"script": text}, profile)
    return lines("script", {**defaults(profile), "script": text}, values_for("_default", profile, context))


@pytest.mark.parametrize(
    ("profile", "off"),
    [
        (ONE, ["M84", "M104 S0", "M140 S0", "M106 S0"]),
        (TWO, ["M84", "M104 T0 S0", "M104 T1 S0", "M106 S0"]),
        (Profile(name="Shared", extruders=3, shared_nozzle=True), ["M84", "M104 S0", "M140 S0", "M106 S0"]),
    ],
)
def test_after_a_cancelled_print_nothing_is_left_on(profile: Profile, off: list[str]) -> None:
    assert lines("afterPrintCancelled", defaults(profile), {}) == off


@pytest.mark.parametrize(
    ("profile", "off"),
    [
        (ONE, ["M84", "M104 T0 S0", "M140 S0", "M106 S0"]),
        (TWO, ["M84", "M104 T0 S0", "M104 T1 S0", "M106 S0"]),
    ],
)
def test_the_scripts_of_an_octoprint_come_to_what_they_came_to_there(profile: Profile, off: list[str]) -> None:
    check(THEIRS, profile)
    assert lines("afterPrintCancelled", THEIRS, values_for("_default", profile, {})) == off


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("", []),
        ("G28\n\n; words\n  M84 ; off\r\n", ["G28", "M84"]),
        ("@pause\nG28", ["G28"]),
        ("{% snippet 'disable_bed' %}\n{% snippet \"disable_hotends\" %}", ["M140 S0", "M104 S0"]),
        ("G1 X{{ pause_position.x }} F{{ '%.0f' % pause_position.f }}", ["G1 X1.5 F600"]),
        ("{% if pause_position.z is not none %}G1 Z{{ pause_position.z + 5 }}{% endif %}", ["G1 Z7.0"]),
        (
            "M104 S{{ pause_temperature[0].target|int }}\nM140 S{{ pause_temperature.b.target }}",
            ["M104 S200", "M140 S60.0"],
        ),
        ("G1 Z{{ [last_position.z + 10, printer_profile.volume.height]|min }}", ["G1 Z12.0"]),
        ("{% for n in range(3) %}\nM117 {{ n }}\n{% endfor %}", ["M117 0", "M117 1", "M117 2"]),
        ("{% if 1 %}G1 Z5{% endif %}\nM117 up\n{% set n = 1 %}\nM84", ["G1 Z5", "M117 up", "M84"]),
        ("{% set far = 10 %}G1 X{{ far * 2 }}", ["G1 X20"]),
        ("M117 {{ nothing_known }}!", ["M117 !"]),
    ],
)
def test_a_script_comes_to_its_lines(text: str, sent: list[str]) -> None:
    position = {"x": 1.5, "y": 0.0, "z": 2.0, "e": 3.0, "f": 600.0, "t": 0}
    assert run(text, pause_position=position, pause_temperature={"tool0": 200.0, "bed": 60.0}) == sent


def test_a_script_knows_how_hot_it_is() -> None:
    text = "M117 {{ last_temperature[0].actual }} {{ last_temperature.b.target }} {{ pause_temperature[0].target }}"
    values = values_for(
        "_default", ONE, {"pause_temperature": {"tool0": 200.0}}, heaters={"tool0": (90.0, 0.0), "bed": (59.5, 60.0)}
    )
    assert lines("script", {"script": text}, values) == ["M117 90.0 60.0 200.0"]


def test_what_is_known_of_a_heater_that_was_off_at_the_pause_is_that() -> None:
    text = "M104 T1 S{{ pause_temperature[1].target }}\nM104 T0 S{{ cancel_temperature[0].target }}"
    values = values_for(
        "_default", TWO, {"pause_temperature": {"tool0": 200.0}}, heaters={"tool0": (90.0, 5.0), "tool1": (20.0, None)}
    )
    assert lines("script", {"script": text}, values) == ["M104 T1 S0.0", "M104 T0 S5.0"]


def test_where_a_pause_knows_of_no_heater_it_is_as_now() -> None:
    values = values_for("_default", ONE, {}, heaters={"tool0": (90.0, 200.0)})
    assert lines("a", {"a": "M104 S{{ pause_temperature[0].target }}"}, values) == ["M104 S200.0"]


def test_the_last_position_is_what_the_printer_has_told_last() -> None:
    paused = {"x": 1.0, "y": 2.0, "z": 3.0, "e": 4.0, "f": 600.0, "t": 1}
    values = values_for("_default", TWO, {"pause_position": paused}, position={"X": 9.0, "Y": 8.0, "Z": 7.0, "E": 6.0})
    assert values["last_position"] == {"x": 9.0, "y": 8.0, "z": 7.0, "e": 6.0, "f": 600.0, "t": 1}
    assert values["pause_position"] == paused


@pytest.mark.parametrize(("profile", "tool"), [(ONE, 0), (TWO, None)])
def test_a_place_that_is_not_known_is_none_but_for_the_only_tool(profile: Profile, tool: int | None) -> None:
    values = values_for("_default", profile, {"pause_position": dict.fromkeys("xyzeft")})
    nowhere = {"x": None, "y": None, "z": None, "e": None, "f": None, "t": tool}
    assert [values[f"{name}_position"] for name in ("last", "pause", "cancel")] == [nowhere] * 3


@pytest.mark.parametrize(
    "text", ["T{{ pause_position.t }}", "G28\nG1 Z{{ pause_position.z }}", "M106 S{{ last_fanspeed }}"]
)
def test_a_value_that_is_not_known_is_not_sent_as_a_number(text: str) -> None:
    with pytest.raises(BadScript, match="None: that value is not known"):
        lines("script", {"script": text}, values_for("_default", TWO, {}))


def test_in_a_text_a_value_may_be_unknown() -> None:
    assert run("M117 {{ cancel_position.x }} X{{ cancel_position.x }}") == ["M117 None XNone"]


@pytest.mark.parametrize(
    "text",
    [
        "M117 {{ event.name }}",
        "{% snippet 'who' %}",
        "{% if plugins %}{{ plugins.x.y }}{% endif %}",
        "{% if plugins is defined %}{{ plugins.x }}{% endif %}",
        "{% set at = cancel_position %}{{ at.x }}{% for n in range(2) %}{{ loop.index }}{% endfor %}",
    ],
)
def test_a_script_may_refer_to_what_there_is_when_it_runs(text: str) -> None:
    check({"afterPrintCancelled": text, "snippets/who": "M117 {{ event.name }}"}, ONE)


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("beforePrinterDisconnected", "G28\nM117 {{ event.name }}", "line 2: there is no event in this script"),
        ("beforePrintStarted", "{{ plugins['a'].b }}", "line 1: there is no plugins in this script"),
        ("afterPrintDone", "M117 {{ tool.new }}", "line 1: there is no tool in this script"),
        ("afterToolChange", "{% snippet 'who' %}", "there is no event in this script"),
    ],
)
def test_a_script_that_could_only_fail_is_refused_when_it_is_saved(name: str, text: str, why: str) -> None:
    with pytest.raises(BadScript, match=f"^{name}: .*{re.escape(why)}"):
        check({name: text, "snippets/who": "M117 {{ event.name }}"}, ONE)


def test_what_every_script_may_refer_to_is_there() -> None:
    assert {*values_for("_default", ONE, {}), "script"} == ALWAYS


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("G28\n{% if x %}\nG1", "line 2: unexpected end of template"),
        ("G28\n{{ x|eval }}", "line 2: no filter named 'eval'"),
        ("G28\nM117 \ud800", "line 2: half a character"),
        ("G28\n{{ 1 }} \x00", "line 2: a command is one line without control characters"),
        ("G28\nM117 \x07", "line 2: a command is one line without control characters"),
        ("M117 " + 300 * "x", "line 1: a command is at most 256 bytes"),
        ("G28\n{% snippet 'nope' %}", "line 2: there is no snippet nope"),
        ("\n{% include 'x' %}", "line 2: this is not possible"),
        ("{% macro x() %}{% endmacro %}", "line 1: this is not possible"),
        ("{% set x = x ~ x %}", "line 1: ~ is not possible in a set"),
        (
            "{% for a in x %}{% for b in x %}{% for c in x %}{% endfor %}{% endfor %}{% endfor %}",
            "loops are at the most",
        ),
        ("{{" + 5000 * "(" + "}}", ""),
        (20_000 * "x", "longer than 16384"),
    ],
)
def test_a_bad_script_is_refused_with_its_name_and_line(text: str, why: str) -> None:
    with pytest.raises(BadScript, match=f"(?i)^script: .*{re.escape(why)}"):
        check({"script": text}, ONE)


def test_snippets_within_themselves_are_refused() -> None:
    with pytest.raises(BadScript, match="within themselves"):
        check({"a": "{% snippet 'b' %}", "snippets/b": "{% snippet 'b' %}"}, ONE)


@pytest.mark.parametrize("name", ["", "../x", "a b", "snippets/", "x" * 70, "other/x"])
def test_a_bad_name_is_refused(name: str) -> None:
    with pytest.raises(BadScript, match="a name has"):
        check({name: "G28"}, ONE)


@pytest.mark.parametrize(
    "text",
    [
        "{{ pause_position.x + 1 }}",
        "{{ 'x' * 100 }}",
        "{{ 'x'.center(99) }}",
        "{{ 10 ** 9999 }}",
        "{{ '%9999d' % 1 }}",
        "{{ '%9999d'|format(1) }}",
        "{{ range(100000) }}",
        "{% set x = [1] %}{% set x = x + x %}{{ x }}",
        "{% for a in range(1000) %}M117\n{% endfor %}",
        "{% set x = 999999 %}" + 9 * "{% set x = x * x %}",
        "{{ ().__class__.__base__.__subclasses__() }}{{ 1 / 0 }}",
        "M117 {% for a in range(300) %}x{% endfor %}",
    ],
)
def test_what_would_run_wild_ends_as_a_fault(text: str) -> None:
    check({"script": text}, ONE)
    with pytest.raises(BadScript, match=r"^script: "):
        lines("script", {"script": text}, values_for("_default", ONE, {}))


def test_the_lines_of_a_script_have_a_limit() -> None:
    assert len(run(MAX_LINES * "G28\n")) == MAX_LINES
    with pytest.raises(BadScript, match="more than"):
        run((MAX_LINES + 1) * "G28\n")


def test_templates_are_loaded_by_those_alone_who_have_some() -> None:
    program = "import sys, limpet.service; sys.exit('jinja2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
