"""What a printer asks and tells, line by line."""

from __future__ import annotations

import pytest

from limpet.errors import BadRequest, Conflict
from limpet.printer.print import Phase
from limpet.printer.printer import Printer
from limpet.printer.prompts import (
    MAX_CHOICE,
    MAX_CHOICES,
    MAX_NOTIFICATIONS,
    MAX_TEXT,
    Dialog,
    Notified,
    PrintWanted,
    Prompt,
    PromptClosed,
    PromptShown,
)
from limpet.printer.state import PrinterRestarted, Snapshot, State, StateChanged, apply
from limpet.protocol.events import Event
from tests.printer.rig import TO_VIRTUAL, answered, connected, eventually, sent
from tests.printer.test_printer import FILE
from tests.printer.test_printing import playing


def said(*actions: str) -> list[Event]:
    dialog = Dialog()
    return [event for action in actions if (event := dialog.read(action, 5.0)) is not None]


def test_a_prompt_is_put_together_of_what_is_said_one_by_one() -> None:
    assert said("prompt_begin Continue?", "prompt_button Yes", "prompt_choice  No ", "prompt_show", "prompt_end") == [
        PromptShown(Prompt("Continue?", ("Yes", "No"))),
        PromptClosed(),
    ]


def test_a_prompt_without_choices_only_tells() -> None:
    assert said("prompt_begin Wait", "prompt_show") == [PromptShown(Prompt("Wait"))]


def test_a_new_prompt_begins_from_nothing() -> None:
    assert said("prompt_begin a", "prompt_button 1", "prompt_begin b", "prompt_button 2", "prompt_show") == [
        PromptShown(Prompt("b", ("2",)))
    ]


@pytest.mark.parametrize("action", ["prompt_show", "prompt_button Yes", "prompt_", "prompt", "pause", "", "poweroff"])
def test_what_is_no_part_of_a_prompt_is_passed_over(action: str) -> None:
    assert said(action) == []


def test_texts_and_choices_have_a_limit() -> None:
    (shown,) = said("prompt_begin " + 1000 * "x", *["prompt_button " + 1000 * "y"] * 50, "prompt_show")
    assert isinstance(shown, PromptShown)
    assert (len(shown.prompt.text), len(shown.prompt.choices)) == (MAX_TEXT, MAX_CHOICES)
    assert len(shown.prompt.choices[0]) == MAX_CHOICE


def test_the_last_notifications_are_kept() -> None:
    snapshot = Snapshot(state=State.OPERATIONAL)
    for number in range(100):
        snapshot = apply(snapshot, Notified(float(number), f"note {number}"))
    assert len(snapshot.notifications) == MAX_NOTIFICATIONS
    assert snapshot.notifications[-1].message == "note 99"


@pytest.mark.parametrize("gone", [PrinterRestarted("start", 0), StateChanged(State.OFFLINE)])
def test_a_prompt_goes_with_its_printer(gone: Event) -> None:
    snapshot = apply(Snapshot(state=State.OPERATIONAL), PromptShown(Prompt("a")))
    assert snapshot.prompt is not None
    assert apply(snapshot, gone).prompt is None


async def test_an_answer_goes_to_the_printer_which_goes_on() -> None:
    async with playing(instant=True, prompts=True, emergency_parser=True) as play:
        play.start("G1 X1\nM600\nG1 X2\n")
        await eventually(lambda: play.printer.snapshot.prompt is not None)
        prompt = play.printer.snapshot.prompt
        assert prompt is not None
        assert prompt.choices == ("Continue",)
        await play.until_phase(Phase.PAUSED)
        with pytest.raises(BadRequest):
            play.printer.answer(1)
        play.printer.answer(0)
        assert play.printer.snapshot.prompt is None
        assert (await play.end()).outcome == "done"
        assert "G1 X2" in play.sent


async def test_a_cancel_does_not_wait_for_an_answer() -> None:
    async with playing(instant=True, prompts=True, emergency_parser=True) as play:
        play.start("G1 X1\nM600\nG1 X2\n")
        await eventually(lambda: play.printer.snapshot.prompt is not None)
        play.printer.prints.cancel()
        assert (await play.end()).outcome == "cancelled"
        assert "G1 X2" not in play.sent


async def test_a_print_that_waits_for_its_user_is_told_to_go_on() -> None:
    async with playing(busy_interval=0.1, prompts=True, emergency_parser=True) as play:
        play.start("G4 P1\nM600\nG4 P2\n")
        await play.until_waiting_for_user()
        play.printer.prints.resume()
        assert (await play.end()).outcome == "done"
        assert play.sent_of("M108", "G4 P2") == ["M108", "G4 P2"]


async def test_a_cancel_ends_a_wait_that_somebody_else_has_asked_for() -> None:
    async with playing(busy_interval=0.1, emergency_parser=True) as play:
        play.start("G4 P1\n" * 5000)
        play.printer.send("M0")
        await play.until_waiting_for_user()
        play.printer.prints.cancel()
        assert (await play.end()).outcome == "cancelled"


async def test_an_answer_that_would_not_be_read_is_refused_and_the_question_stays() -> None:
    async with playing(busy_interval=0.1, prompts=True) as play:
        play.start("G4 P1\nM600\nG4 P2\n")
        await play.until_waiting_for_user()
        with pytest.raises(Conflict, match="answer it there"):
            play.printer.answer(0)
        assert play.printer.snapshot.prompt is not None


async def test_nothing_asked_is_not_answered(printer: Printer) -> None:
    with pytest.raises(Conflict):
        printer.answer(0)


async def test_a_printer_is_told_that_it_may_ask(printer: Printer) -> None:
    await connected(printer, **TO_VIRTUAL)
    events = printer.subscribe()
    printer.send(*["!!DEBUG:send Cap:PROMPT_SUPPORT:1"] * 3)
    await answered(printer)
    await answered(printer)
    assert (await sent(events)).count("M876 P1") == 1


async def test_a_printer_may_ask_for_the_selected_file(printer: Printer) -> None:
    await connected(printer, **TO_VIRTUAL)
    events = printer.subscribe()
    printer.send("!!DEBUG:action_custom start")
    await answered(printer)
    printer.select(FILE)
    printer.send("!!DEBUG:action_custom start")
    await answered(printer)
    events.close()
    assert [event async for event, _ in events if isinstance(event, PrintWanted)] == [PrintWanted()]
