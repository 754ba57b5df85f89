"""A file on its way to the printer's card: what is sent, what is not, and why it ends."""

from __future__ import annotations

import pytest

from limpet.printer.card_job import ANSWER_TIME
from limpet.printer.print import Outcome, Phase, PhaseChanged, SelectedFile, TransferEnded
from limpet.printer.transfer import Transfer, on_card
from limpet.protocol.events import CardFileBegun, CardFileSaved, CardGone, CardRefused, ErrorReported, Event

LOCAL = SelectedFile(origin="local", path="a/cube.gcode", name="cube.gcode", display="Cube", size=20, date=1, user="me")
FILE = "G28 ; home\n\nG1 X1\n"
BEGUN = CardFileBegun("cube.gco")


class Play:
    """A transfer whose printer acknowledges at once, and answers M28 with `answer`."""

    def __init__(self, content: str = FILE, answer: Event | None = BEGUN, *, firmware: str = "Repetier") -> None:
        self.now = 0.0
        self.answer = answer
        self.events: list[Event] = []
        self.job = Transfer(on_card(LOCAL, "cube.gco"), LOCAL.path, 0.0, started_at=1000.0, firmware=firmware)
        for block in (content.encode(), b""):
            self.job.feed(block, self.now)

    def step(self) -> str | None:
        command = self.job.next_command(self.now)
        if command is None:
            return None
        if command.text.startswith("M28") and self.answer is not None:
            self.job.hear(self.answer, self.now)
        self.job.acknowledged()
        return command.text

    def run(self) -> list[str]:
        sent = []
        while (text := self.step()) is not None:
            sent.append(text)
        return sent

    def until(self, wanted: str) -> None:
        while self.step() != wanted:
            pass

    def end(self) -> tuple[Outcome, str | None, str | None]:
        while event := self.job.next_event():
            self.events.append(event)
        (end,) = [event for event in self.events if isinstance(event, TransferEnded)]
        return end.outcome, end.code, end.message


def test_the_commands_of_a_file_are_written_between_a_beginning_and_an_end() -> None:
    play = Play()

    assert play.run() == ["M28 cube.gco", "G28", "G1 X1", "M29"]
    assert play.end() == ("done", None, None)
    phases = [str(event.print.phase) for event in play.events if isinstance(event, PhaseChanged)]
    assert phases == ["Starting", "Printing", "Finishing"]
    assert (play.job.print.source, play.job.print.file.origin) == ("a/cube.gcode", "sdcard")
    assert play.job.print.completion == 100.0


def test_how_far_it_is_are_the_bytes_that_the_printer_has_taken() -> None:
    play = Play()
    play.until("G28")
    play.job.report(1.0)

    assert play.job.print.position == len("G28 ; home\n")


def test_the_line_is_its_own_from_the_beginning_to_the_end() -> None:
    play = Play()
    assert not play.job.owns_line
    play.until("G28")
    assert play.job.owns_line
    play.run()
    assert not play.job.owns_line


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (CardRefused("open failed, File: cube.gco"), "open failed, File: cube.gco"),
        (ErrorReported("volume is locked"), "volume is locked"),
        (CardGone(), "there is no card in it"),
        (None, "it has not said that it writes to a file"),
    ],
)
def test_nothing_of_a_file_is_sent_to_a_printer_that_does_not_write_it(answer: Event | None, why: str) -> None:
    play = Play(answer=answer)
    play.run()
    play.now += ANSWER_TIME

    assert not {"G28", "G1 X1"} & set(play.run())
    assert play.end() == ("failed", "card", f"The printer cannot write cube.gco to its card: {why}")


def test_what_is_cancelled_is_closed_and_deleted() -> None:
    play = Play(firmware="Marlin 2.1.2")
    play.until("G28")
    play.job.cancel(play.now)

    assert play.run() == ["M29", "M30 /cube.gco"]
    assert play.end() == ("cancelled", "cancelled", "It was cancelled")


def test_what_is_cancelled_before_its_beginning_is_not_there() -> None:
    play = Play()
    play.job.cancel(play.now)

    assert play.run() == []
    assert play.end()[0] == "cancelled"


def test_a_card_that_cannot_be_written_any_more_is_told() -> None:
    play = Play()
    play.until("G28")
    play.job.hear(ErrorReported("error writing to file"), play.now)

    assert play.run() == ["M29", "M30 cube.gco"]
    assert play.end() == ("failed", "card", "The printer cannot write to its card: error writing to file")


def test_a_printer_that_closes_the_file_by_itself_gets_no_move_of_it() -> None:
    play = Play()
    play.until("G28")
    play.job.hear(CardFileSaved(), play.now)

    assert play.run() == ["M30 cube.gco"]
    assert play.end()[:2] == ("failed", "card")


def test_a_card_that_is_taken_out_is_told() -> None:
    play = Play()
    play.until("G28")
    play.job.hear(CardGone(), play.now)
    play.run()

    assert play.end()[:2] == ("failed", "card")


@pytest.mark.parametrize(("line", "word"), [("M117 M290 is my hero", "M29"), ("M29", "M29"), ("M112", "M112")])
def test_a_file_that_would_be_obeyed_while_it_is_written_is_refused(line: str, word: str) -> None:
    play = Play(f"G28\n{line}\nG1 X1\n")

    assert play.run() == ["M28 cube.gco", "G28", "M29", "M30 cube.gco"]
    assert play.end() == (
        "failed",
        "file",
        f"line 2 has {word}, which the printer obeys instead of writing it",
    )


def test_what_is_for_a_host_alone_is_left_out() -> None:
    assert Play("M110 N0\n@pause\nG28\n").run() == ["M28 cube.gco", "G28", "M29"]


def test_it_neither_pauses_nor_goes_on() -> None:
    play = Play()
    play.until("G28")
    play.job.pause(play.now)
    play.job.resume(play.now)

    assert play.job.phase is Phase.PRINTING


def test_a_lost_printer_is_the_end_of_it() -> None:
    play = Play()
    play.until("G28")
    play.job.fail("unplugged", "It has gone away", play.now)

    assert play.run() == []
    assert play.end() == ("failed", "unplugged", "It has gone away")
