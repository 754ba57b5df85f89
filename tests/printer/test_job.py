"""One print from its file to its end: what is sent, in which phase, and what is told. Times are in seconds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limpet.gcodefile.analysis import Analysis, Layer, Point, Summary
from limpet.printer.course import JOB, Heaters
from limpet.printer.job import POSITION_TIME, Job
from limpet.printer.print import FileFacts, Outcome, Phase, PhaseChanged, PrintEnded, PrintProgressed, SelectedFile
from limpet.protocol.events import Event

AXES = {"X": 10.0, "Y": 20.0, "Z": 0.3, "E": 4.5}
SCRIPTS = {
    "beforePrintStarted": ["M117 starts"],
    "afterPrintPaused": ["M117 paused"],
    "beforePrintResumed": ["M117 resumes"],
    "afterPrintCancelled": ["M84"],
    "afterPrintDone": ["M117 done"],
}


class Play:
    """A job whose printer acknowledges at once, and says where its head is."""

    def __init__(
        self,
        content: str,
        *,
        scripts: Mapping[str, list[str]] | None = None,
        offsets: Mapping[str, float] | None = None,
        heaters: Heaters | None = None,
        axes: Mapping[str, float] | None = AXES,
    ) -> None:
        self.now = 0.0
        self.heaters = dict(heaters or {})
        self.axes = axes
        self.contexts: dict[str, Mapping[str, Any]] = {}
        self.events: list[Event] = []

        def script(name: str, context: Mapping[str, Any]) -> Iterable[str]:
            self.contexts[name] = context
            return (scripts or {}).get(name, [])

        self.job = Job(
            SelectedFile(origin="local", path="a.gcode", name="a.gcode", display="a.gcode", size=len(content)),
            self.now,
            started_at=1000.0,
            scripts=script,
            offsets=lambda: offsets or {},
            heaters=lambda: self.heaters,
        )
        self.feed(content)

    def feed(self, content: str) -> None:
        for block in (content.encode(), b""):
            self.job.feed(block, self.now)

    def give(self) -> str | None:
        """The next command, which the printer has not acknowledged yet."""
        self.now += 1.0
        command = self.job.next_command(self.now)
        if command is None:
            return None
        assert command.tag == JOB
        if command.text == "M114" and self.axes is not None:
            self.job.located(self.axes)
        return command.text

    def step(self) -> str | None:
        """The next command, acknowledged."""
        text = self.give()
        if text is not None:
            self.job.acknowledged()
        return text

    def run(self) -> list[str]:
        """All that is sent until there is nothing to send."""
        sent = []
        while (text := self.step()) is not None:
            sent.append(text)
        return sent

    def until(self, wanted: str) -> list[str]:
        sent = []
        while (text := self.step()) is not None:
            sent.append(text)
            if text == wanted:
                return sent
        raise AssertionError(f"{wanted} was not sent, but {sent}")

    def told(self) -> list[Event]:
        while event := self.job.next_event():
            self.events.append(event)
        return self.events

    def phases(self) -> list[str]:
        return [str(event.print.phase) for event in self.told() if isinstance(event, PhaseChanged)]

    def end(self) -> tuple[Outcome, str | None, str | None]:
        ends = [event for event in self.told() if isinstance(event, PrintEnded)]
        assert len(ends) == 1
        assert self.events[-1] == ends[0]
        assert self.job.ended
        return ends[0].outcome, ends[0].code, ends[0].message


CANCELLED = ("cancelled", "cancelled", "It was cancelled")


# -- from beginning to end --


def test_a_file_is_sent_in_order_with_its_scripts_around_it() -> None:
    play = Play("G28\nG1 X1\n", scripts=SCRIPTS)
    assert play.run() == ["M117 starts", "G28", "G1 X1", "M400", "M117 done"]
    assert play.phases() == ["Starting", "Printing", "Finishing"]
    assert play.end() == ("done", None, None)


@pytest.mark.parametrize("content", ["", "\n\n", "; nothing\n; but words", "M110 N0\n"])
def test_a_file_without_a_command_is_done_at_once(content: str) -> None:
    play = Play(content)
    assert play.run() == ["M400"]
    assert play.end() == ("done", None, None)
    assert play.job.print.completion in (None, 0.0, 100.0)


def test_a_print_is_done_only_when_its_last_command_is_acknowledged() -> None:
    play = Play("G28\nG1 X1\n")
    assert [play.give(), play.give(), play.give()] == ["G28", "G1 X1", None]
    assert play.job.phase is Phase.PRINTING
    play.job.acknowledged()
    play.job.acknowledged()
    assert play.give() == "M400"
    assert play.give() is None
    assert not play.job.ended
    play.job.acknowledged()
    play.give()
    assert play.end() == ("done", None, None)


def test_progress_counts_what_has_been_acknowledged() -> None:
    play = Play("; head\nG28\nG1 X1\n")
    assert play.give() == "G28"
    play.job.report(play.now)
    assert (play.job.print.position, play.job.print.line) == (0, 0)
    play.job.acknowledged()
    play.job.report(play.now)
    assert (play.job.print.position, play.job.print.line) == (11, 2)
    assert play.job.print.completion == pytest.approx(100 * 11 / 17)
    assert isinstance(play.told()[-1], PrintProgressed)
    play.run()
    assert play.job.print.completion == 100.0


def test_a_job_waits_for_a_file_that_comes_slowly() -> None:
    play = Play("")
    slow = Job(play.job.print.file, 0.0, started_at=0.0)
    assert slow.wants_data
    assert slow.next_command(0.0) is None
    slow.feed(b"G28\nG1", 1.0)
    assert slow.next_command(1.0) is not None
    assert slow.next_command(1.0) is None
    slow.acknowledged()
    assert slow.next_command(1.0) is None
    assert slow.phase is Phase.PRINTING
    slow.feed(b" X1\n", 2.0)
    command = slow.next_command(2.0)
    assert command is not None
    assert command.text == "G1 X1"


# -- what is in the file --


def test_line_numbers_of_the_file_are_not_the_printers() -> None:
    play = Play("M110 N0\nN1 G28*18\nN2 M110 N5*1\nN3 G1 X1*97\n")
    assert play.run() == ["G28", "G1 X1", "M400"]


@pytest.mark.parametrize("command", ["M0", "M1", "M25", "@pause", "@PAUSE now", "M0 S5"])
def test_a_pause_in_the_file_pauses_in_its_place(command: str) -> None:
    play = Play(f"G28\n{command}\nG1 X1\n")
    assert play.run() == ["G28", "M400", "M114"]
    assert play.job.phase is Phase.PAUSED
    play.job.resume(play.now)
    assert play.run() == ["G1 X1", "M400"]


def test_a_pause_in_the_file_tells_what_it_says() -> None:
    play = Play("M0 Insert the nut\nG1 X1\n")
    play.run()
    assert play.job.print.message == "Insert the nut"
    play.job.resume(play.now)
    play.run()
    assert play.job.print.message is None


@pytest.mark.parametrize("command", ["@cancel", "@abort"])
def test_a_cancel_in_the_file_cancels(command: str) -> None:
    play = Play(f"G28\n{command}\nG1 X1\n", scripts={"afterPrintCancelled": ["M84"]})
    assert play.run() == ["G28", "M84"]
    assert play.end() == CANCELLED


def test_other_lines_for_a_host_are_passed_over() -> None:
    assert Play("@OBJECT part\n@\nG28\n").run() == ["G28", "M400"]


@pytest.mark.parametrize(
    ("line", "sent"),
    [
        ("M104 S200", "M104 S205"),
        ("M109 R200", "M109 R205"),
        ("M104 T1 S200", "M104 T1 S197"),
        ("M140 S60", "M140 S60"),
        ("M190 S60.5 ", "M190 S60.5"),
        ("M104 S0", "M104 S0"),
        ("M109", "M109"),
    ],
)
def test_targets_are_corrected_by_the_offsets_and_off_stays_off(line: str, sent: str) -> None:
    assert Play(f"{line}\n", offsets={"tool0": 5.0, "tool1": -3.0}).run() == [sent, "M400"]


def test_a_target_without_a_tool_is_that_of_the_tool_in_use() -> None:
    play = Play("T1\nM104 S200\nT0\nM104 S200\n", offsets={"tool1": 5.0})
    assert play.run() == ["T1", "M104 S205", "T0", "M104 S200", "M400"]


def test_what_the_file_says_of_its_time_is_told_from_that_moment_on() -> None:
    play = Play("G28\nM73 P10 R50\n" + "G1 X1\n" * 20)
    for _ in range(10):
        play.step()
    play.job.report(play.now)
    assert play.job.print.left == pytest.approx(3000.0, abs=30.0)
    assert play.job.print.left_origin == "analysis"


def test_what_is_known_of_the_file_tells_the_layer_and_the_time_left() -> None:
    text = "G28\n" + "G1 X1\n" * 100
    play = Play(text)
    for _ in range(20):
        play.step()
    play.job.report(play.now)
    before = play.job.print
    play.job.learn(
        FileFacts(
            analysis=Analysis(
                summary=Summary(moves=100, time=1000.0),
                done=(Point(0, 0.0), Point(len(text), 1000.0)),
                layers=(Layer(4, 0.2), Layer(64, 0.4), Layer(304, 0.6)),
            )
        )
    )
    play.job.report(play.now)

    after = play.job.print
    assert (before.left, before.layer, before.layers, before.z) == (None, None, None, None)
    assert (after.left_origin, after.layer, after.layers, after.z) == ("analysis", 2, 3, 0.4)
    assert after.left is not None
    assert 700.0 < after.left < 1000.0


@pytest.mark.parametrize("broken", ["M117 \x07", "M117 " + 300 * "x"])
def test_a_line_that_cannot_be_sent_ends_the_print_as_failed_with_its_place(broken: str) -> None:
    play = Play(f"G28\n{broken}\nG1 X1\n", scripts=SCRIPTS)
    assert play.run() == ["M117 starts", "G28", "M84"]
    outcome, code, message = play.end()
    assert (outcome, code) == ("failed", "file")
    assert message is not None
    assert message.startswith("line 2 cannot be sent")


def test_a_binary_file_is_failed_before_any_of_it_is_sent() -> None:
    play = Play("GCDE\1\0\0")
    assert play.run() == []
    assert play.end()[:2] == ("failed", "file")


def test_a_change_of_tool_has_scripts_around_it() -> None:
    scripts = {"beforeToolChange": ["M117 before"], "afterToolChange": ["M117 after"]}
    play = Play("T1\nG1 X1\n", scripts=scripts)
    assert play.run() == ["M117 before", "T1", "M117 after", "G1 X1", "M400"]
    assert play.contexts["beforeToolChange"]["tool"] == {"old": 0, "new": 1}


# -- pausing --


def test_a_pause_asks_where_the_head_is_and_runs_its_script() -> None:
    play = Play("G1 X1 F600\nG1 X2\nG1 X3\n", scripts=SCRIPTS)
    play.until("G1 X1 F600")
    play.job.pause(play.now)
    assert play.run() == ["M400", "M114", "M117 paused"]
    assert play.job.phase is Phase.PAUSED
    assert play.job.print.axes == AXES | {"F": 600.0, "T": 0.0}
    context = play.contexts["afterPrintPaused"]
    assert context["pause_position"] == {"x": 10.0, "y": 20.0, "z": 0.3, "e": 4.5, "f": 600.0, "t": 0}
    play.job.resume(play.now)
    assert play.run() == ["M117 resumes", "G1 X2", "G1 X3", "M400", "M117 done"]
    assert play.phases() == ["Starting", "Printing", "Pausing", "Paused", "Resuming", "Printing", "Finishing"]


def test_what_is_under_way_is_acknowledged_before_the_print_counts_as_paused() -> None:
    play = Play("M109 S200\nG1 X1\n")
    assert play.give() == "M109 S200"
    play.job.pause(play.now)
    assert [play.give(), play.give(), play.give()] == ["M400", "M114", None]
    assert play.job.phase is Phase.PAUSING
    for _ in range(3):
        play.job.acknowledged()
    assert play.give() is None
    assert play.job.phase is Phase.PAUSED


def test_where_the_head_was_before_it_came_to_rest_does_not_count() -> None:
    play = Play("G1 X1\nG1 X2\n")
    play.until("G1 X1")
    play.job.pause(play.now)
    assert play.give() == "M400"
    play.job.located({"X": 0.0, "Y": 0.0, "Z": 0.0, "E": 0.0})
    play.job.acknowledged()
    play.run()
    assert play.job.print.axes["X"] == AXES["X"]
    play.job.located({"X": 99.0, "Y": 0.0, "Z": 0.0, "E": 0.0})
    play.job.disturb("G1 X99")
    play.job.resume(play.now)
    assert "G1 X10 Y20 F3000" in play.run()


def test_a_printer_that_says_ok_first_is_waited_for_until_it_has_said_where_its_head_is() -> None:
    play = Play("G1 X1\nG1 X2\n", scripts=SCRIPTS, axes=None)
    play.until("G1 X1")
    play.job.pause(play.now)
    assert [play.step(), play.step(), play.give()] == ["M400", "M114", None]
    assert play.job.phase is Phase.PAUSING
    play.job.located(AXES)
    assert play.run() == ["M117 paused"]
    play.job.disturb("G28")
    play.job.resume(play.now)
    assert "G1 X10 Y20 F3000" in play.run()


def test_a_printer_that_never_says_where_its_head_is_is_not_waited_for_for_ever() -> None:
    play = Play("G1 X1\nG1 X2\n", axes=None)
    play.until("G1 X1")
    play.job.pause(play.now)
    assert play.run() == ["M400", "M114"]
    assert play.job.phase is Phase.PAUSING
    play.now += POSITION_TIME
    assert play.run() == []
    assert play.job.phase is Phase.PAUSED
    play.job.resume(play.now)
    assert play.run() == ["G1 X2", "M400"]


def test_a_print_that_pauses_takes_no_time() -> None:
    play = Play("G1 X1\nG1 X2\n")
    play.until("G1 X1")
    play.job.pause(play.now)
    play.run()
    before = play.job.elapsed(play.now)
    play.now += 1000.0
    assert play.job.elapsed(play.now) == before
    play.job.resume(play.now)
    play.run()
    assert play.job.print.elapsed < before + 20
    ended = play.told()[-1]
    assert isinstance(ended, PrintEnded)
    assert ended.ended_at == pytest.approx(1000.0 + play.now, abs=1.0)


def test_a_pause_while_starting_comes_after_the_script_that_is_part_of_the_start() -> None:
    play = Play("G1 X1\n", scripts={"beforePrintStarted": ["G28", "G29"]})
    assert play.step() == "G28"
    play.job.pause(play.now)
    assert play.run() == ["G29", "M400", "M114"]
    assert play.job.phase is Phase.PAUSED
    play.job.resume(play.now)
    assert play.run() == ["G1 X1", "M400"]


def test_a_pause_while_resuming_keeps_where_to_go_back_to() -> None:
    play = Play("G1 X1\nG1 X2\n", scripts={"afterPrintPaused": ["G1 X0"], "beforePrintResumed": ["M117 a", "M117 b"]})
    play.until("G1 X1")
    play.job.pause(play.now)
    play.run()
    play.job.resume(play.now)
    assert play.step() == "M117 a"
    play.axes = {"X": 0.0, "Y": 0.0, "Z": 50.0, "E": 0.0}
    play.job.pause(play.now)
    assert play.run() == ["G1 X0"]
    assert play.job.phase is Phase.PAUSED
    play.job.resume(play.now)
    assert play.run() == [
        *("M117 a", "M117 b", "G21", "G90", "G1 X10 Y20 F3000", "G1 Z0.3 F300", "G92 E4.5", "G90", "M82"),
        *("G1 X2", "M400"),
    ]


@pytest.mark.parametrize("phase", ["pausing", "paused", "finishing", "cancelling"])
def test_a_pause_where_there_is_nothing_to_pause_changes_nothing(phase: str) -> None:
    play = in_phase(phase)
    before = play.job.phase
    play.job.pause(play.now)
    assert play.job.phase is before


@pytest.mark.parametrize("phase", ["starting", "printing", "pausing", "resuming", "finishing", "cancelling"])
def test_only_what_pauses_is_resumed(phase: str) -> None:
    play = in_phase(phase)
    before = play.job.phase
    play.job.resume(play.now)
    assert play.job.phase is before


def test_who_is_told_to_go_on_before_he_has_paused_pauses_and_goes_on() -> None:
    play = Play("G1 X1\nG1 X2\n", scripts=SCRIPTS)
    play.until("G1 X1")
    play.job.pause(play.now)
    play.job.resume(play.now)
    assert play.until("G1 X2") == ["M400", "M114", "M117 paused", "M117 resumes", "G1 X2"]
    assert play.phases()[-4:] == ["Pausing", "Paused", "Resuming", "Printing"]


def test_the_last_word_holds() -> None:
    play = Play("G1 X1\nG1 X2\n", scripts=SCRIPTS)
    play.until("G1 X1")
    play.job.pause(play.now)
    play.job.resume(play.now)
    play.job.pause(play.now)
    assert play.run() == ["M400", "M114", "M117 paused"]
    assert play.job.phase is Phase.PAUSED


# -- back to the print --


def resumed_after(file: str, at: str, *disturbances: str, axes: Mapping[str, float] = AXES) -> list[str]:
    """What is sent from the resume to the next line of the file, which is `G1 X99`."""
    play = Play(f"{file}\nG1 X99\n", axes=axes)
    play.until(at)
    play.job.pause(play.now)
    play.run()
    for command in disturbances:
        play.job.disturb(command)
    play.job.resume(play.now)
    return play.until("G1 X99")[:-1]


BACK = ["G21", "G90", "G1 X10 Y20 F3000", "G1 Z0.3 F300", "G92 E4.5"]


@pytest.mark.parametrize("command", ["M105", "M104 S0", "M117 hello", "M220 S50", "M400"])
def test_what_moves_nothing_needs_no_way_back(command: str) -> None:
    assert resumed_after("G1 X1 F600", "G1 X1 F600", command) == []


@pytest.mark.parametrize("command", ["G1 Z50", "g28", "G91", "M83", "T1", "M600", "G92 E0", "LOAD_FILAMENT"])
def test_what_moves_the_head_or_its_meaning_is_undone(command: str) -> None:
    assert resumed_after("G1 X1 F600", "G1 X1 F600", command) == [*BACK, "G90", "M82", "G1 F600"]


@pytest.mark.parametrize(
    ("file", "at", "modes"),
    [
        ("M83", "M83", ["G90", "M83"]),
        ("G91", "G91", ["G91", "M83"]),
        ("G91\nM82", "M82", ["G91", "M82"]),
        ("M83\nG90", "G90", ["G90", "M82"]),
        ("G20\nG1 X1 F30", "G1 X1 F30", ["G20", "G90", "M82", "G1 F30"]),
        ("G2 X1 F500", "G2 X1 F500", ["G90", "M82", "G1 F500"]),
        ("G1X1F500", "G1X1F500", ["G90", "M82", "G1 F500"]),
    ],
)
def test_moves_are_read_as_before(file: str, at: str, modes: list[str]) -> None:
    assert resumed_after(file, at, "G28") == [*BACK, *modes]


def test_the_tool_of_the_print_is_taken_first() -> None:
    assert resumed_after("T1", "T1", "T0")[0] == "T1"


def test_a_printer_that_does_not_say_where_its_head_is_gets_its_modes_back_alone() -> None:
    assert resumed_after("M83", "M83", "G28", axes={}) == ["G90", "M83"]


def test_heaters_that_were_turned_off_are_hot_before_the_head_goes_back() -> None:
    play = Play("G1 X1\nG1 X2\n", heaters={"tool0": (200.0, 200.0), "bed": (60.0, 60.0), "tool1": (20.0, 0.0)})
    play.until("G1 X1")
    play.job.pause(play.now)
    play.run()
    assert play.contexts["afterPrintPaused"]["pause_temperature"] == {"tool0": 200.0, "bed": 60.0}
    play.heaters = {"tool0": (90.0, 0.0), "bed": (30.0, None)}
    play.job.disturb("G28")
    play.job.resume(play.now)
    heating = ["M104 T0 S200", "M140 S60", "M109 T0 S200", "M190 S60"]
    assert play.until("G1 X2") == [*heating, *BACK, "G90", "M82", "G1 X2"]


def test_a_pause_while_heating_comes_back_to_the_target_that_was_being_reached() -> None:
    play = Play("M109 S200\nG1 X2\n", heaters={"tool0": (20.0, 0.0)})
    assert play.give() == "M109 S200"
    play.job.pause(play.now)
    play.heaters = {"tool0": (200.0, 200.0)}
    play.job.acknowledged()
    play.run()
    play.heaters = {"tool0": (150.0, 0.0)}
    play.job.resume(play.now)
    assert play.until("G1 X2") == ["M104 T0 S200", "M109 T0 S200", "G1 X2"]


# -- what the printer does by itself --


def test_a_printer_that_pauses_by_itself_is_left_to_it() -> None:
    play = Play("G1 X1\nG1 X2\n", scripts=SCRIPTS)
    play.until("G1 X1")
    play.job.paused_by_printer(play.now)
    assert play.run() == []
    assert play.phases()[-1] == "Paused"
    play.job.disturb("G28")
    play.job.resumed_by_printer(play.now)
    assert play.step() == "G1 X2"
    assert play.phases()[-2:] == ["Resuming", "Printing"]


def test_a_printer_that_has_paused_by_itself_can_be_told_to_go_on() -> None:
    play = Play("G1 X1\nG1 X2\n", scripts=SCRIPTS)
    play.until("G1 X1")
    play.job.paused_by_printer(play.now)
    play.job.resume(play.now)
    assert play.until("G1 X2") == ["M117 resumes", "G1 X2"]


TOOLS = {"beforeToolChange": ["M600", "M117 before"], "afterToolChange": ["M117 after"]}


def test_a_change_of_tool_whose_script_makes_the_printer_pause_is_not_lost() -> None:
    play = Play("T1\nG1 X2\n", scripts=TOOLS)
    assert play.give() == "M600"
    play.job.paused_by_printer(play.now)
    assert play.give() is None
    play.job.acknowledged()
    assert play.give() is None
    play.job.resumed_by_printer(play.now)
    assert play.run() == ["M117 before", "T1", "M117 after", "G1 X2", "M400"]


def test_a_change_of_tool_is_not_lost_when_the_printer_pauses_by_itself_while_it_is_told_to() -> None:
    play = Play("T1\nG1 X2\n", scripts=TOOLS | {"afterPrintPaused": ["M117 paused"]})
    assert play.step() == "M600"
    play.job.pause(play.now)
    assert play.step() == "M117 before"
    play.job.paused_by_printer(play.now)
    assert play.run() == []
    play.job.resume(play.now)
    assert play.run() == ["T1", "M117 after", "G1 X2", "M400"]


def test_the_script_before_a_print_is_whole_when_the_printer_pauses_by_itself_in_it() -> None:
    play = Play("G1 X1\n", scripts={"beforePrintStarted": ["G28", "G29"]})
    assert play.step() == "G28"
    play.job.paused_by_printer(play.now)
    assert play.run() == []
    play.job.resumed_by_printer(play.now)
    assert play.run() == ["G29", "G1 X1", "M400"]


# -- what the printer refuses --


@pytest.mark.parametrize("at", ["M117 starts", "G1 X1", "M117 resumes"])
def test_a_line_that_the_printer_refuses_ends_the_print(at: str) -> None:
    play = Play("G1 X1\nG1 X2\n", scripts=SCRIPTS)
    if at == "M117 resumes":
        play.job.pause(play.now)
        play.run()
        play.job.resume(play.now)
    while play.give() != at:
        play.job.acknowledged()
    play.job.refused("Must home axis first", play.now)
    play.job.acknowledged()
    assert play.run() == ["M84"]
    assert play.end() == ("failed", "refused", "Must home axis first")


@pytest.mark.parametrize("at", ["M117 paused", "M117 done"])
def test_what_is_refused_of_the_scripts_around_it_ends_no_print(at: str) -> None:
    play = Play("G1 X1\n", scripts=SCRIPTS)
    if at == "M117 paused":
        play.job.pause(play.now)
    while play.give() != at:
        play.job.acknowledged()
    play.job.refused("Move out of range", play.now)
    play.job.acknowledged()
    play.run()
    play.job.resume(play.now)
    play.run()
    assert play.end()[0] == "done"


# -- the end --


@pytest.mark.parametrize("end", ["; filament used [mm] = 1.0\n" * 50, "\n\n", "; no newline"])
def test_what_follows_the_last_command_is_done_as_well(end: str) -> None:
    play = Play("G1 X1\n" + end)
    play.run()
    play.end()
    assert play.job.print.position == len("G1 X1\n" + end)


def in_phase(phase: str) -> Play:
    """A job in this phase, with something of it still to be acknowledged."""
    play = Play("G1 X1\nG1 X2\n", scripts=SCRIPTS)
    if phase == "starting":
        return play
    play.until("G1 X2" if phase == "finishing" else "G1 X1")
    match phase:
        case "pausing":
            play.job.pause(play.now)
        case "paused" | "resuming":
            play.job.pause(play.now)
            play.run()
        case "finishing":
            assert play.give() == "M400"
        case "cancelling":
            play.job.cancel(play.now)
    if phase == "resuming":
        play.job.resume(play.now)
    assert play.job.phase == phase.capitalize()
    return play


@pytest.mark.parametrize("phase", [*(str(each).lower() for each in Phase)])
def test_a_print_is_cancelled_in_every_phase(phase: str) -> None:
    play = in_phase(phase)
    play.job.cancel(play.now)
    play.job.cancel(play.now)
    while len(play.job._given) > 0:
        play.job.acknowledged()
    assert play.run() == ["M84"]
    assert play.phases().count("Cancelling") == 1
    assert play.end() == CANCELLED


@pytest.mark.parametrize("phase", [*(str(each).lower() for each in Phase)])
def test_a_print_whose_printer_is_gone_ends_in_every_phase_and_sends_nothing(phase: str) -> None:
    play = in_phase(phase)
    play.job.fail("unplugged", "it is gone", play.now)
    play.job.fail("timeout", "it is still gone", play.now)
    assert play.give() is None
    assert play.end() == ("failed", "unplugged", "it is gone")
    for late in (play.job.cancel, play.job.pause, play.job.resume, play.job.report):
        late(play.now)
    play.job.abort("file", "it was too late", play.now)
    play.job.acknowledged()
    assert play.give() is None
    assert play.end() == ("failed", "unplugged", "it is gone")


def test_a_cancel_waits_for_what_is_under_way_before_it_is_over() -> None:
    play = Play("M109 S200\nG1 X1\n", scripts=SCRIPTS)
    play.until("M117 starts")
    assert play.give() == "M109 S200"
    play.job.cancel(play.now)
    assert [play.give(), play.give()] == ["M84", None]
    play.job.acknowledged()
    assert play.give() is None
    play.job.acknowledged()
    play.give()
    assert play.end() == CANCELLED


def test_a_fault_of_the_file_in_a_print_that_is_being_cancelled_changes_nothing() -> None:
    play = in_phase("cancelling")
    play.job.abort("file", "it could not be read", play.now)
    play.run()
    assert play.end() == CANCELLED


def test_a_print_gives_way_to_another_without_a_word_to_the_printer() -> None:
    play = in_phase("paused")
    play.job.replace(play.now)
    assert play.give() is None
    assert play.end() == ("cancelled", "cancelled", "It was started again")


# -- whatever happens --

NEXT = {
    "Starting": {"Printing", "Pausing", "Paused", "Cancelling"},
    "Printing": {"Pausing", "Paused", "Finishing", "Cancelling"},
    "Pausing": {"Paused", "Cancelling"},
    "Paused": {"Resuming", "Printing", "Cancelling"},
    "Resuming": {"Printing", "Pausing", "Cancelling"},
    "Finishing": {"Cancelling"},
    "Cancelling": set(),
}
DEEDS = ("give", "acknowledge", "pause", "resume", "cancel", "paused", "resumed", "disturb", "locate", "report")
MOVES = [f"G1 X{number}" for number in range(6)]


def do(play: Play, deed: str, sent: list[str]) -> None:
    job, now = play.job, play.now
    match deed:
        case "give":
            sent += [text] if (text := play.give()) is not None else []
        case "acknowledge":
            job.acknowledged()
        case "pause":
            job.pause(now)
        case "resume":
            job.resume(now)
        case "cancel":
            job.cancel(now)
        case "paused":
            job.paused_by_printer(now)
        case "resumed":
            job.resumed_by_printer(now)
        case "disturb":
            job.disturb("G28")
        case "locate":
            job.located(AXES)
        case "report":
            job.report(now)


@given(st.lists(st.sampled_from(DEEDS + ("give", "acknowledge") * 6), max_size=80))
def test_whatever_is_done_to_it_no_line_is_lost_doubled_or_out_of_order(deeds: list[str]) -> None:
    play, sent = Play("\n".join(MOVES), scripts=SCRIPTS), list[str]()
    for deed in deeds:
        do(play, deed, sent)
        moves = [text for text in sent if text in MOVES]
        assert moves == MOVES[: len(moves)]
    phases = play.phases()
    assert all(after in NEXT[before] for before, after in pairwise(phases)), phases

    for _ in range(50):  # From wherever it is, it comes to its end.
        do(play, "resume", sent)
        do(play, "give", sent)
        do(play, "acknowledge", sent)
    outcome, _, _ = play.end()
    moves = [text for text in sent if text in MOVES]
    assert outcome == ("cancelled" if "cancel" in deeds and moves != MOVES else outcome)
    assert outcome != "done" or moves == MOVES


# -- what scripts are told --

WHICH = {"name": "a.gcode", "path": "a.gcode", "origin": "local", "size": 18}


def test_scripts_are_told_what_the_event_at_their_moment_tells() -> None:
    play = Play("G1 X1\nG1 X2\nG1 X3\n")
    play.until("G1 X1")
    play.job.pause(play.now)
    play.run()
    play.job.resume(play.now)
    play.run()

    told = {name: context["event"] for name, context in play.contexts.items()}
    assert told["beforePrintStarted"] == told["beforePrintResumed"] == WHICH
    position = {"x": 10.0, "y": 20.0, "z": 0.3, "e": 4.5, "f": None, "t": 0}
    assert told["afterPrintPaused"] == WHICH | {"position": position, "fileposition": 6, "progress": 33}
    assert told["afterPrintDone"].pop("time") > 0
    assert told["afterPrintDone"] == WHICH


def test_the_script_after_a_cancel_is_told_how_far_it_was() -> None:
    play = Play("G1 X1\nG1 X2\nG1 X3\n")
    play.until("G1 X1")
    play.job.cancel(play.now)
    play.run()

    event = play.contexts["afterPrintCancelled"]["event"]
    assert event.pop("time") == 1.0
    nowhere = dict.fromkeys("xyzeft")
    assert event == WHICH | {"position": nowhere, "fileposition": 6, "progress": 33}
    assert play.contexts["afterPrintCancelled"]["cancel_position"] == nowhere


def test_the_tool_of_a_pause_is_a_whole_number() -> None:
    play = Play("T1\nG1 X1\nG1 X2\n")
    play.until("G1 X1")
    play.job.pause(play.now)
    play.run()
    context = play.contexts["afterPrintPaused"]
    assert [str(where["t"]) for where in (context["pause_position"], context["event"]["position"])] == ["1", "1"]


@pytest.mark.parametrize(("moved", "x"), [("", 10.0), ("G28", None)])
def test_a_cancel_in_a_pause_knows_where_the_head_is_if_nothing_has_moved_it(moved: str, x: float | None) -> None:
    play = Play("G1 X1\nG1 X2\n")
    play.until("G1 X1")
    play.job.pause(play.now)
    play.run()
    if moved:
        play.job.disturb(moved)
    play.job.cancel(play.now)
    assert play.contexts["afterPrintCancelled"]["cancel_position"]["x"] == x
