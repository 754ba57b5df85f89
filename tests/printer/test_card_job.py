"""One print from the printer's own card: what the printer is told, in which phase it is, and what is told of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from limpet.printer.card_job import ANSWER_TIME, CardJob
from limpet.printer.course import JOB
from limpet.printer.print import Outcome, Phase, PhaseChanged, PrintEnded, SelectedFile
from limpet.protocol.events import (
    ActionRequested,
    BusyReported,
    CardFileOpened,
    CardGone,
    CardRefused,
    ErrorReported,
    Event,
    PositionReported,
    PrintTimeReported,
    SdPrintDone,
    SdPrintEnded,
    SdPrintReported,
)

FILE = SelectedFile(origin="sdcard", path="SUB/A.GCO", name="A.GCO", display="a.gcode")
OPENED = CardFileOpened("A.GCO", 100)
SCRIPTS = {
    "beforePrintStarted": ["M117 starts"],
    "afterPrintPaused": ["M117 paused"],
    "beforePrintResumed": ["M117 resumes"],
    "afterPrintCancelled": ["M84"],
    "afterPrintDone": ["M117 done"],
}


class Play:
    """A print whose printer acknowledges at once, and answers M23 with `answer`."""

    def __init__(self, answer: Event | None = OPENED, *, firmware: str = "Repetier", **more: float | bool) -> None:
        self.now = 0.0
        self.answer = answer
        self.events: list[Event] = []
        self.job = CardJob(
            FILE,
            self.now,
            started_at=1000.0,
            firmware=firmware,
            **{"scripts": lambda name, _: SCRIPTS[name], **more},  # type: ignore[arg-type]
        )

    def give(self) -> str | None:
        self.now += 0.1
        command = self.job.next_command(self.now)
        if command is None:
            return None
        assert command.tag == JOB
        if command.text.startswith("M23") and self.answer is not None:
            self.hear(self.answer)
        return command.text

    def run(self) -> list[str]:
        sent = []
        while (text := self.give()) is not None:
            sent.append(text)
            self.job.acknowledged()
        return sent

    def hear(self, *events: Event) -> None:
        for event in events:
            self.job.hear(event, self.now)

    def told(self) -> list[Event]:
        while event := self.job.next_event():
            self.events.append(event)
        return self.events

    def phases(self) -> list[str]:
        return [str(event.print.phase) for event in self.told() if isinstance(event, PhaseChanged)]

    def end(self) -> tuple[Outcome, str | None, str | None]:
        (end,) = [event for event in self.told() if isinstance(event, PrintEnded)]
        assert self.job.ended
        return end.outcome, end.code, end.message


def printing(**more: object) -> Play:
    play = Play(**more)
    play.run()
    play.hear(SdPrintReported(10, 100))
    return play


def paused() -> Play:
    play = printing()
    play.job.pause(play.now)
    play.run()
    assert play.job.phase is Phase.PAUSED
    return play


def test_a_file_is_opened_started_followed_and_done() -> None:
    play = Play()
    assert play.run() == ["M117 starts", "M23 SUB/A.GCO", "M24"]
    play.hear(SdPrintReported(40, 100))
    play.now = 10.0
    play.job.report(play.now)

    assert (play.job.print.completion, play.job.print.file.size) == (40.0, 100)
    assert play.job.print.elapsed == 10.0
    play.hear(SdPrintDone())
    assert play.run() == ["M400", "M117 done"]
    assert play.phases() == ["Starting", "Printing", "Finishing"]
    assert play.end() == ("done", None, None)
    assert play.job.print.completion == 100.0


@pytest.mark.parametrize("firmware", ["Marlin 2.1.2", "Prusa-Firmware 3.9.3 based on Marlin"])
def test_marlin_is_told_the_path_from_the_root_for_it_looks_in_the_folder_of_the_last_file(firmware: str) -> None:
    assert "M23 /SUB/A.GCO" in Play(firmware=firmware).run()


def test_a_printer_that_can_is_asked_to_tell_by_itself_and_not_to_any_more() -> None:
    play = Play(reports=True)
    assert play.run()[-2:] == ["M27 S2", "M24"]
    play.hear(SdPrintReported(40, 100), SdPrintDone())

    assert play.run()[0] == "M27 S0"


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (CardRefused("open failed, File: A.GCO"), "open failed, File: A.GCO"),
        (ErrorReported("Unable to open file"), "Unable to open file"),
        (CardGone(), "there is no card in it"),
        (None, "it has not said that the file is open"),
    ],
)
def test_a_file_that_cannot_be_opened_is_a_failure_with_a_reason(answer: Event | None, why: str) -> None:
    play = Play(answer)
    assert "M24" not in play.run()
    play.now += ANSWER_TIME

    assert "M24" not in play.run()
    assert play.end() == ("failed", "card", f"The printer cannot print SUB/A.GCO from its card: {why}")


def test_an_answer_after_the_ok_is_waited_for() -> None:
    play = Play(None)
    assert play.run()[-1] == "M23 SUB/A.GCO"
    play.hear(OPENED)

    assert play.run() == ["M24"]


def test_a_pause_stops_the_printer_and_a_resume_has_it_read_on() -> None:
    play = printing()
    play.job.pause(play.now)
    assert play.give() == "M25"
    play.hear(ActionRequested("paused"))
    play.job.acknowledged()
    assert play.give() == "M400"
    play.job.acknowledged()
    assert play.give() == "M114"
    play.hear(PositionReported({"X": 1.0}))
    play.job.acknowledged()
    assert play.run() == ["M117 paused"]
    assert play.job.print.axes == {"X": 1.0}
    play.hear(SdPrintEnded())  # As some firmware says of a print that pauses.

    play.job.resume(play.now)
    assert play.give() == "M117 resumes"
    play.hear(ActionRequested("resume"))
    play.job.acknowledged()
    assert play.run() == ["M24"]
    assert play.phases()[1:] == ["Printing", "Pausing", "Paused", "Resuming", "Printing"]


def test_a_printer_that_parks_its_head_is_paused_before_it_has_acknowledged() -> None:
    play = printing()
    play.job.pause(play.now)
    assert play.give() == "M25"
    play.hear(BusyReported("paused for user"))
    assert play.give() is None
    assert play.job.is_held

    play.job.resume(play.now)
    assert play.give() == "M117 resumes"
    assert play.give() is None
    play.job.acknowledged()
    play.job.acknowledged()
    assert play.run() == []
    assert play.job.phase is Phase.PRINTING


@pytest.mark.parametrize(("pause", "resume"), [("pause", "resume"), ("paused", "resumed")])
def test_a_person_at_the_printer_pauses_and_resumes_without_a_word_of_ours(pause: str, resume: str) -> None:
    play = printing()
    play.hear(ActionRequested(pause))
    assert play.job.phase is Phase.PAUSED
    play.hear(ActionRequested(resume))

    assert play.job.phase is Phase.PRINTING
    assert play.run() == []


def test_a_print_that_goes_on_at_the_printer_is_noticed_by_its_progress() -> None:
    play = paused()
    play.hear(SdPrintReported(12, 100), SdPrintReported(12, 100))
    assert play.job.phase is Phase.PAUSED
    play.hear(SdPrintReported(13, 100))

    assert play.job.phase is Phase.PRINTING


@pytest.mark.parametrize(
    ("firmware", "stop"),
    [("Marlin bugfix-2.1.x", ["M524"]), ("Marlin 2.0.9", ["M524"]), ("Marlin 1.1.9", ["M25", "M26 S0"])],
)
def test_a_cancel_stops_the_printer_and_runs_its_script(firmware: str, stop: list[str]) -> None:
    play = Play(firmware=firmware)
    play.run()
    play.hear(SdPrintReported(10, 100))
    play.job.cancel(play.now)
    play.hear(SdPrintEnded(), ActionRequested("cancel"))

    assert play.run() == [*stop, "M84"]
    assert play.end() == ("cancelled", "cancelled", "It was cancelled")


def test_a_print_that_is_cancelled_before_it_was_asked_for_is_not_stopped() -> None:
    play = Play()
    play.job.cancel(play.now)

    assert play.run() == ["M84"]


@pytest.mark.parametrize(
    ("printed", "outcome"), [(100, "done"), (50, "cancelled")], ids=["at its end", "in the middle"]
)
def test_a_print_that_is_no_more_has_ended_as_far_as_it_had_come(printed: int, outcome: Outcome) -> None:
    play = printing()
    play.hear(SdPrintReported(printed, 100), SdPrintEnded())
    sent = play.run()

    assert play.end()[0] == outcome
    assert sent == (["M400", "M117 done"] if outcome == "done" else [])


def test_a_printer_that_does_not_tell_how_far_it_is_is_asked_now_and_then() -> None:
    play = printing()
    play.now += 2.0
    assert play.give() is None
    play.now += 1.0
    assert play.give() == "M27"
    play.now += 60.0
    assert play.give() is None, "it is still at work on a command of the file"
    play.job.acknowledged()

    assert play.give() == "M27"


def test_an_old_answer_that_nothing_is_printed_ends_nothing() -> None:
    play = Play()
    play.run()
    play.hear(SdPrintEnded())

    assert play.job.phase is Phase.PRINTING


def test_a_print_that_was_started_at_the_printer_has_begun_earlier_and_sends_nothing() -> None:
    play = Play(foreign=True)
    play.now = 5.0
    play.hear(SdPrintReported(10, 100), PrintTimeReported(60))
    assert play.run() == []
    play.job.report(10.0)

    assert (play.job.print.elapsed, play.job.print.started_at) == (65.0, 1000.0 - 55.0)
    assert play.phases() == ["Starting", "Printing"]
    play.hear(SdPrintDone())
    play.run()
    assert play.end() == ("done", None, None)


def test_a_print_is_taken_up_again_after_the_printer_was_lost() -> None:
    play = printing()
    play.job.pause(play.now)
    assert play.give() == "M25"
    play.job.take_up(play.now)

    assert play.run() == []
    assert play.job.phase is Phase.PRINTING


@pytest.mark.parametrize(("done", "outcome"), [(True, "done"), (False, "failed")])
def test_a_print_that_has_ended_while_the_printer_was_lost_is_told(done: bool, outcome: str) -> None:
    play = printing()
    play.job.end_unseen(play.now, done=done)

    assert play.end()[0] == outcome


def test_a_pause_keeps_what_its_heaters_are_to_reach() -> None:
    heaters: dict[str, tuple[float | None, float | None]] = {"tool0": (199.0, 200.0), "bed": (21.0, 0.0)}
    told: dict[str, Any] = {}

    def script(name: str, context: Mapping[str, Any]) -> list[str]:
        told[name] = context
        return []

    play = printing(scripts=script, heaters=lambda: heaters)
    play.job.pause(play.now)
    play.run()
    heaters["tool0"] = (190.0, 0.0)
    play.job.resume(play.now)
    assert told["beforePrintResumed"]["pause_temperature"] == {"tool0": 200.0}
    assert told["afterPrintPaused"]["event"]["name"] == "A.GCO"
