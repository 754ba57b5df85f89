"""PURE: what a printer says to the person in front of the host: questions with choices, and notifications.

Source: RepRap wiki, page "G-code", section "Action commands"; Marlin `host_actions.cpp`.
"""

from __future__ import annotations

from msgspec import Struct

from limpet.protocol.events import Event

MAX_TEXT = 500
MAX_CHOICES = 20
MAX_CHOICE = 100
MAX_NOTIFICATIONS = 50
"""Notifications that are kept, the newest ones."""


class Prompt(Struct, frozen=True):
    """A question that waits for an answer: the number of one of its choices, from 0. Without any it only tells."""

    text: str
    choices: tuple[str, ...] = ()


class PromptShown(Event, frozen=True):
    """The printer asks something."""

    prompt: Prompt


class PromptClosed(Event, frozen=True):
    """It has been answered, or the printer does not ask any more."""


class Notified(Event, frozen=True):
    """The printer tells something; `at` is in seconds since the epoch."""

    at: float
    message: str


class NotificationsCleared(Event, frozen=True):
    """Somebody has read them."""


class PrintWanted(Event, frozen=True):
    """The printer asks for the selected file to be printed."""


class Dialog:
    """A prompt as the printer says it, piece by piece."""

    def __init__(self) -> None:
        self._text: str | None = None
        self._choices: list[str] = []

    def read(self, action: str, at: float) -> Event | None:
        """What comes of one `//action:`; `at` is when, in seconds since the epoch."""
        what, _, words = action.partition(" ")
        words = words.strip()[:MAX_TEXT]
        match what:
            case "notification":
                return Notified(at, words)
            case "prompt_begin":
                self._text, self._choices = words, []
            case "prompt_choice" | "prompt_button" if self._text is not None and len(self._choices) < MAX_CHOICES:
                self._choices.append(words[:MAX_CHOICE])
            case "prompt_show" if self._text is not None:
                shown, self._text = Prompt(self._text, tuple(self._choices)), None
                return PromptShown(shown)
            case "prompt_end":
                self._text = None
                return PromptClosed()
        return None
